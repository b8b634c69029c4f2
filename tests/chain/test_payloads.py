"""Payloads at rest, attacked in their own file: rows that were swapped, moved, cut or given away do not open."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chain.errors import StoreError
from chain.store import segment as segment_module
from chain.store.database import Database
from chain.store.payloads import SCHEMA, Payloads
from chain.store.segment import StoredEvent, decode_segment, encode_event
from crypto import cbor
from crypto.errors import DecryptionError


@pytest.fixture
def store(tmp_path: Path) -> Database:
    """Four segments: two of one subject with as many events, one of another subject, one longer."""
    db = Database(tmp_path / "site.db", SCHEMA)
    payloads = Payloads(db, bytes(32))
    with db.transaction() as tx:
        for first, subject, count in ((0, "a", 2), (2, "a", 2), (4, "b", 2), (6, "a", 3)):
            events = [encode_event(StoredEvent(b"%d" % (first + n), ())) for n in range(count)]
            payloads.put(tx, first, subject, bytes(32), count, events)
        payloads.flush(tx)
    assert _read(db, 0) == [b"0", b"1"]
    assert _read(db, 4) == [b"4", b"5"]
    return db


def _read(db: Database, leaf: int) -> list[bytes]:
    segment = Payloads(db, bytes(32)).segment_of(leaf)
    assert segment is not None
    return [stored.event for stored in segment.events]


ATTACKS = {
    "bodies swapped": "UPDATE segment SET body = (SELECT body FROM segment AS other WHERE first_leaf = 2)"
    " WHERE first_leaf = 0",
    "body of another subject": "UPDATE segment SET body = (SELECT body FROM segment AS other WHERE first_leaf = 4)"
    " WHERE first_leaf = 0",
    "given to another subject": "UPDATE segment SET subject = 2 WHERE first_leaf = 0",
    "subject renamed": "UPDATE subject SET name = 'c' WHERE name = 'a'",
    "wrapped keys swapped": "UPDATE subject SET wrapped_key = (SELECT wrapped_key FROM subject AS o WHERE name = 'b')"
    " WHERE name = 'a'",
    "count lowered": "UPDATE segment SET count = 1 WHERE first_leaf = 0",
    "truncated": "UPDATE segment SET body = substr(body, 1, length(body) - 1) WHERE first_leaf = 0",
    "emptied": "UPDATE segment SET body = x'' WHERE first_leaf = 0",
    "key erased": "UPDATE subject SET wrapped_key = NULL WHERE name = 'a'",
    "subject gone": "DELETE FROM subject WHERE name = 'a'",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_rows_that_were_touched_do_not_open(store: Database, attack: str) -> None:
    with store.transaction() as tx:
        tx.execute("PRAGMA defer_foreign_keys = ON")
        assert tx.execute(attack).rowcount == 1
    with pytest.raises((DecryptionError, StoreError)):
        _read(store, 0)


def test_a_segment_moved_to_other_leaves_does_not_open(store: Database) -> None:
    with store.transaction() as tx:
        tx.execute("UPDATE segment SET first_leaf = 100 WHERE first_leaf = 0")
    with pytest.raises(DecryptionError):
        _read(store, 100)


def test_erasing_a_subject_leaves_the_others(store: Database) -> None:
    with store.transaction() as tx:
        tx.execute("UPDATE subject SET wrapped_key = NULL WHERE name = 'a'")
    assert _read(store, 4) == [b"4", b"5"]
    with pytest.raises(DecryptionError, match="erased"):
        _read(store, 6)


def test_another_site_key_opens_nothing(store: Database) -> None:
    with pytest.raises(DecryptionError):
        Payloads(store, b"\x01" * 32).segment_of(0)


def test_nothing_of_a_payload_stands_in_the_file(tmp_path: Path) -> None:
    db = Database(tmp_path / "site.db", SCHEMA)
    with db.transaction() as tx:
        event = StoredEvent(b"patient-4711-event", (("name", "patient-4711-field"),))
        payloads = Payloads(db, bytes(32))
        payloads.put(tx, 0, "a", b"seed-of-all-salts" + bytes(15), 1, [encode_event(event)])
        payloads.flush(tx)
    db.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"4711" not in written
    assert b"seed-of-all-salts" not in written


def test_a_segment_of_another_layout_is_told_as_such() -> None:
    segment = decode_segment(7, "a", cbor.pack([bytes(32), [[b"event", [["reading", 1]]]]]))
    with pytest.raises(StoreError, match=r"event 0 of a segment is not in this version's layout"):
        segment.events[0]


@pytest.mark.parametrize("compress", [segment_module.compress, segment_module._compress])
@pytest.mark.parametrize("text", [b"alike " * 40, None])
def test_large_segments_open_whether_or_not_they_can_be_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes | None, compress: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(segment_module, "compress", compress)
    events = [StoredEvent(text or os.urandom(240), (("number", n),)) for n in range(300)]
    db = Database(tmp_path / "site.db", SCHEMA)
    with db.transaction() as tx:
        payloads = Payloads(db, bytes(32))
        payloads.put(tx, 0, "a", bytes(32), len(events), map(encode_event, events))
        payloads.flush(tx)
    segment = Payloads(db, bytes(32)).segment_of(299)
    assert segment
    assert (segment.seed, list(segment.events)) == (bytes(32), events)
    (size,) = db.connection.execute("SELECT length(body) FROM segment").fetchone()
    assert (size < 10_000) is (text is not None)
    db.close()
