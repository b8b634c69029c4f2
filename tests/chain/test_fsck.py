"""fsck on copies of a real site: every kind of place is altered for real, and the message names it."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import FsckError, StoreError
from chain.fsck import fsck
from chain.ledger.store import FILE
from chain.log.reader import LogReader
from chain.log.tree import Log
from chain.record import Record
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash, sign_seal
from chain.site import SCHEMA, Folder
from chain.store.database import Database
from crypto.checkpoint import Checkpoint, sign_checkpoint
from gateway.ingest.inbound import Verdict
from tests.support.site import Site
from tests.support.source import Source, message

EVENTS, SEALS = 620, 5


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Source]:
    """Two full bundles and an open one, two sources, seals with and after their events, one with a gap, one over
    other bytes, several checkpoints and anchors."""
    root = tmp_path_factory.mktemp("fsck") / "site"
    with Site(root) as site:
        a, b = site.enrol("alpha"), site.enrol("beta")
        _send(site, a, message(a.batch(300), a.seal()))
        site.drain()
        _send(site, b, message(b.batch(200)))
        _send(site, b, message([], b.seal()))
        site.drain()
        raw = b.batch(11)
        _send(site, b, message(raw[:5] + raw[6:], b.seal()))  # number 5 never comes
        sent = b.batch(10)
        b.events[b.seq - 1] = Source("beta", b.key, seq=b.seq - 1).event(7.7)
        _send(site, b, message(sent, b.seal()))  # one is not what was sealed
        _send(site, a, message(a.batch(99), a.seal()))
        site.drain()
        site.plain("meter")
        assert site.send("meter", b'[{"n":"t","v":1}]', plain="reading") is Verdict.STORED
        site.drain()
    return root, a


def _send(site: Site, source: Source, payload: bytes) -> None:
    assert site.send(source, payload) is Verdict.STORED


@pytest.fixture
def copy(original: tuple[Path, Source], tmp_path: Path) -> Folder:
    return Folder(Path(shutil.copytree(original[0], tmp_path / "site")))


def sql(folder: Folder, *statements: str) -> None:
    """Damage the site's database; each statement must have changed something."""
    _sql(folder.database, statements)


def _sql(path: Path, statements: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
        connection.commit()


def flip(column: str, at: int) -> str:
    """SQL: `column` with one byte changed. 0xff, or 0xfe where it was 0xff."""
    byte = f"substr({column}, {at + 1}, 1)"
    changed = f"CASE {byte} WHEN x'ff' THEN x'fe' ELSE x'ff' END"
    return f"{column} = CAST(substr({column}, 1, {at}) || {changed} || substr({column}, {at + 2}) AS BLOB)"


def test_an_untouched_site_is_whole(copy: Folder) -> None:
    said: list[tuple[str, int, int]] = []
    report = fsck(copy, lambda *progress: said.append(progress))
    assert (report.events, report.seals, report.entries) == (EVENTS, SEALS, EVENTS + SEALS)
    assert report.checkpoints == 4
    assert report.transactions == 8  # bootstrap, register, two enrolments, four anchors
    assert {what for what, _, _ in said} == {"log", "payloads", "ledger"}


DAMAGE = [
    # -- payloads
    (f"UPDATE segment SET {flip('body', 40)} WHERE first_leaf = 0", "segment at or after entry 0: .*does not open"),
    (f"UPDATE segment SET {flip('body', 0)} WHERE first_leaf = 301", "segment at or after entry 30"),
    ("DELETE FROM segment WHERE first_leaf = 301", "payload of entry 301: it is gone"),
    ("DELETE FROM segment WHERE first_leaf = (SELECT MAX(first_leaf) FROM segment)", "payload of entry 624: it is g"),
    ("UPDATE segment SET first_leaf = 302 WHERE first_leaf = 301", "segment at or after entry 30.: .*does not open"),
    ("UPDATE segment SET count = 299 WHERE first_leaf = 0", "segment at or after entry 0: "),
    ("UPDATE segment SET subject = 2 WHERE first_leaf = 0", "segment at or after entry 0: "),
    ("INSERT INTO segment SELECT 9000, count, subject, body FROM segment WHERE first_leaf = 0", "segment at or after"),
    (f"UPDATE subject SET {flip('wrapped_key', 20)} WHERE name = 'alpha'", "segment at or after entry 0: "),
    ("UPDATE subject SET wrapped_key = NULL WHERE name = 'alpha'", "segment at or after entry 0: .*was erased"),
    ("DELETE FROM subject WHERE name = 'beta'", "segment at or after entry 30"),
    ("UPDATE subject SET name = 'gamma' WHERE name = 'beta'", "segment at or after entry 30"),
    ("INSERT INTO subject (name, wrapped_key) VALUES ('nobody', x'00')", "payloads: a key of nobody is stored without"),
    # -- entries
    (f"UPDATE log_bundle SET {flip('entries', 9000)} WHERE n = 0", "entry [0-9]+: |log: its first|tile 0 of level 0"),
    (f"UPDATE log_bundle SET {flip('entries', 0)} WHERE n = 1", "entry bundle ends|entry 25"),
    (f"UPDATE log_tail SET {flip('entries', 300)} WHERE first = (SELECT MIN(first) FROM log_tail)", "entry|log|tile"),
    ("DELETE FROM log_bundle WHERE n = 1", "entry bundle ends"),
    ("DELETE FROM log_tail WHERE first = (SELECT MAX(first) FROM log_tail)", "entry bundle ends"),
    ("UPDATE log_bundle SET n = -n WHERE n = 1", "entry bundle ends"),
    ("UPDATE log_bundle SET entries = CAST(entries || x'0001ff' AS BLOB) WHERE n = 1", "log_bundle and log_tail: "),
    ("INSERT INTO log_bundle SELECT 7, entries FROM log_bundle WHERE n = 1", "log_bundle: "),
    ("INSERT INTO log_tail VALUES (700, x'0001ff', zeroblob(32))", "entry bundle|log_bundle and log_tail: "),
    ("INSERT INTO log_tail VALUES (9000, x'0001ff', zeroblob(32))", "log_bundle and log_tail: "),
    ("UPDATE log_tail SET first = first + 1 WHERE first = (SELECT MAX(first) FROM log_tail)", "log_tail: the row of"),
    ("UPDATE log_tail SET first = first - 1 WHERE first = 512", "log_tail: its first row is of entry 511|ends inside"),
    ("INSERT INTO log_tail VALUES (600, x'', x'')", "the row of entry [0-9]+ does not hold a hash for each"),
    # -- tiles
    (f"UPDATE log_tile SET {flip('hashes', 100)} WHERE id = 0", "tile 0 of level 0: leaf 3 "),
    (f"UPDATE log_tail SET {flip('hashes', 1)} WHERE first = 512", "tile 2 of level 0: leaf 512 "),
    ("UPDATE log_tail SET hashes = substr(hashes, 33) WHERE first = 512", "tile 2 of level 0"),
    ("UPDATE log_tail SET hashes = CAST(hashes || x'00' AS BLOB) WHERE first = 512", "log_tail: |tile 2 of level 0"),
    ("INSERT INTO log_tile SELECT 2, hashes FROM log_tail WHERE first = 512", "log_tile: |tile 2 of level 0"),
    (f"UPDATE log_tile SET {flip('hashes', 33)} WHERE id = 1 << 56", "tile 0 of level 1: hash 1 "),
    ("DELETE FROM log_tile WHERE id = 1", "tile 1 of level 0"),
    ("DELETE FROM log_tile WHERE id = 1 << 56", "tile 0 of level 1"),
    ("UPDATE log_tile SET hashes = CAST(hashes || x'00' AS BLOB) WHERE id = 1 << 56", "log_tile: "),
    ("INSERT INTO log_tile SELECT 77, hashes FROM log_tile WHERE id = 0", "log_tile: "),
    ("UPDATE log_meta SET size = size - 1", "checkpoint of size 625: its note is of size 625, the log has 624"),
    ("UPDATE log_meta SET size = size + 1", "entry bundle ends|tile 2 of level 0"),
    # -- checkpoints
    ("UPDATE log_checkpoint SET note = replace(note, '625', '626') WHERE size = 625", "checkpoint of size 625: "),
    ("UPDATE log_checkpoint SET note = substr(note, 1, length(note) - 9) WHERE size = 625", "checkpoint of size 625: "),
    ("UPDATE log_checkpoint SET size = 600 WHERE size = 625", "checkpoint of size 600: "),
    (f"UPDATE log_checkpoint SET {flip('root', 3)} WHERE size = 625", "checkpoints: a row names another root"),
    ("DELETE FROM log_checkpoint WHERE size = 301", "checkpoint of size 301: the ledger holds it, but it is gone"),
    ("DELETE FROM log_checkpoint WHERE size = 625", "checkpoint of size 625: the ledger holds it, but it is gone"),
    ("UPDATE log_checkpoint SET evidence = NULL WHERE size = 301", "checkpoint of size 301: the ledger holds it, but"),
    ("UPDATE log_checkpoint SET evidence = x'00' WHERE size = 301", "checkpoint of size 301: its mark of an anchor"),
    ("UPDATE log_checkpoint SET published = 0 WHERE size = 301", "checkpoint of size 301: it is anchored, but held"),
    ("UPDATE log_checkpoint SET created_us = created_us + 3600000000", "checkpoint of size .*: it is said to be of"),
    ("UPDATE log_checkpoint SET created_us = created_us - 1000000", "checkpoint of size .*: it is said to be of"),
    ("UPDATE log_checkpoint SET note = 'none' WHERE size = 301", "checkpoint of size 301: "),
    ("UPDATE log_checkpoint SET note = x'00ff' WHERE size = 301", "checkpoint of size 301: |cannot be read"),
    # -- index of ranges
    ("UPDATE range_new SET first_seq = first_seq + 1 WHERE first_leaf = 0", "index of ranges: alpha boot 1 seq 0"),
    ("UPDATE range_new SET first_leaf = 1 WHERE first_leaf = 0", "index of ranges: alpha boot 1 seq 0"),
    ("UPDATE range_new SET count = count - 1 WHERE first_leaf = 0", "index of ranges: alpha boot 1 seq 299"),
    ("UPDATE range_new SET count = count + 1 WHERE first_leaf = 0", "index of ranges: it names 621 events"),
    ("UPDATE range_new SET boot = 2 WHERE first_leaf = 0", "index of ranges: alpha boot 1 seq 0"),
    ("UPDATE range_new SET source = 9 WHERE first_leaf = 0", "index of ranges: alpha boot 1 seq 0"),
    ("DELETE FROM range_new WHERE first_leaf = 0", "index of ranges: alpha boot 1 seq 0"),
    ("INSERT INTO range_new VALUES (1, 9, 0, 5, 0)", "index of ranges: it names 625 events"),
    ("INSERT INTO range_new VALUES (1, 9, 0, 0, 0)", "index of ranges: it names 621 events"),
    ("INSERT INTO range_new VALUES (1, 9, 0, 9, 0), (1, 10, 0, -9, 0)", "index of ranges: it names 638 events"),
    ("INSERT INTO range SELECT * FROM range_new WHERE first_leaf = 0", "index of ranges: it names 920 events"),
    ("INSERT INTO range VALUES (1, 9, 0, 5, 0)", "index of ranges: it names 625 events"),
    ("UPDATE range_new SET count = 'many' WHERE first_leaf = 0", "index of ranges|cannot be read"),
    ("DELETE FROM source WHERE name = 'alpha'", "index of ranges: alpha boot 1 seq 0"),
    ("UPDATE source SET name = 'gamma' WHERE name = 'beta'", "index of ranges: beta boot 1 seq 0"),
    ("INSERT INTO source (name) VALUES ('nobody')", "index of ranges: nobody"),
    # -- seals
    (f"UPDATE seal SET {flip('seal', 60)} WHERE leaf = 300", "seal at entry 300: |cannot be read"),
    (f"UPDATE seal SET {flip('signature', 9)} WHERE leaf = 300", "seal at entry 300: .*does not verify"),
    ("UPDATE seal SET signature = x'' WHERE leaf = 300", "seal at entry 300: .*64 bytes"),
    ("UPDATE seal SET first_seq = first_seq + 1 WHERE leaf = 300", "seal at entry 300: it is indexed"),
    ("UPDATE seal SET count = count + 1 WHERE leaf = 300", "seal at entry 300: it is indexed"),
    ("UPDATE seal SET boot = 5 WHERE leaf = 300", "seal at entry 300: it is indexed"),
    ("UPDATE seal SET source = 'gamma' WHERE leaf = 300", "seal at entry 300: it is indexed"),
    ("UPDATE seal SET leaf = 299 WHERE leaf = 300", "seal at entry 299: the log entry does not name"),
    ("DELETE FROM seal WHERE leaf = 300", "does not follow the seal|seals: 4 are stored"),
    ("DELETE FROM seal WHERE leaf = (SELECT MAX(leaf) FROM seal)", "seals: 4 are stored, the log names 5"),
    ("UPDATE seal SET state = 0 WHERE leaf = 300", "seal at entry 300: its state is said to be PENDING, .*HOLDS"),
    ("UPDATE seal SET state = 2 WHERE leaf = 300", "seal at entry 300: its state is said to be BROKEN, .*HOLDS"),
    ("UPDATE seal SET state = 1 WHERE state = 0", "its state is said to be HOLDS, but its events show PENDING"),
    ("UPDATE seal SET state = 1 WHERE state = 2", "its state is said to be HOLDS, but its events show BROKEN"),
    ("UPDATE seal SET state = 9 WHERE leaf = 300", "cannot be read"),
    ("INSERT INTO seal SELECT 5, source, 7, 0, count, 1, seal, signature FROM seal WHERE leaf = 300", "entry 5: "),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "place"), DAMAGE)
def test_damage_in_the_site_is_found_and_named(copy: Folder, statement: str, place: str) -> None:
    sql(copy, statement)
    with pytest.raises(FsckError, match=place):
        fsck(copy)


@pytest.mark.parametrize("table", ["range", "range_new"])
def test_a_column_of_another_name_is_found(copy: Folder, table: str) -> None:
    with closing(sqlite3.connect(copy.database, isolation_level=None)) as db:
        db.execute(f"ALTER TABLE {table} RENAME COLUMN first_leaf TO first_meaf")
    with pytest.raises(FsckError, match="no such column"):
        fsck(copy)


SWAPS = [
    ("segment", "first_leaf", (0, 301), "segment at or after entry 0: "),
    ("log_tile", "id", (0, 1), "tile 0 of level 0: leaf 0 "),
    ("log_bundle", "n", (0, 1), "entry|log: its first|index of ranges"),
    ("range_new", "first_leaf", (0, 301), "index of ranges: "),
    ("seal", "leaf", (300, 501), "seal at entry 300: |seal at entry 501: "),
    ("log_checkpoint", "size", (301, 502), "checkpoint of size 301: "),
]


@pytest.mark.parametrize(("table", "column", "pair", "place"), SWAPS)
def test_two_rows_that_changed_places_are_found(
    copy: Folder, table: str, column: str, pair: tuple[int, int], place: str
) -> None:
    a, b = pair
    move = f"UPDATE {table} SET {column} = {{}} WHERE {column} = {{}}"
    sql(copy, move.format(99_999, a), move.format(a, b), move.format(b, 99_999))
    with pytest.raises(FsckError, match=place):
        fsck(copy)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        (f"UPDATE log_tail SET {flip('entries', 300)} WHERE first = 0", "transaction 0: "),
        (f"UPDATE log_tail SET {flip('hashes', 1)} WHERE first = 0", "tile 0 of level 0: leaf 0 "),
        (
            f"UPDATE state SET {flip('value', 30)} WHERE key LIKE 'id/%#alpha'",
            "identity of alpha|seal|state key id/.*#alpha",
        ),
        ("DELETE FROM state WHERE key LIKE 'id/%#alpha'", "alpha has no key on the ledger"),
        (
            "DELETE FROM state WHERE key LIKE 'role/source/%#alpha'",
            "state key role/source/.*#alpha: a transaction wrote it",
        ),
        ("DELETE FROM state WHERE key LIKE 'cp/%625'", "checkpoint of size 625: it is marked as anchored, but"),
        (f"UPDATE state SET {flip('value', 60)} WHERE key LIKE 'cp/%301'", "state key cp/|root that the ledger"),
        ("UPDATE ledger_head SET note = replace(note, '\n8\n', '\n9\n')", "ledger checkpoint: "),
        ("DELETE FROM ledger_head", "ledger"),
        ("INSERT INTO log_tile SELECT 7, hashes FROM log_tail WHERE first = 0", "log_tile: it holds more or less"),
        ("INSERT INTO log_bundle SELECT 7, entries FROM log_tail WHERE first = 0", "log_bundle: it holds more or less"),
        (
            "UPDATE log_tail SET first = first + 100 WHERE first = (SELECT MAX(first) FROM log_tail)",
            "log_tail: the row",
        ),
    ],
)
def test_damage_in_the_ledger_is_found_and_named(copy: Folder, statement: str, place: str) -> None:
    _sql(copy.ledger / FILE, (statement,))
    with pytest.raises(FsckError, match=place):
        fsck(copy)


@pytest.mark.parametrize("swapped", [("id/{0}#alpha", "id/{0}#beta"), ("cp/{0}/{1:020}", "cp/{0}/{2:020}")])
def test_swapped_state_of_the_ledger_is_found(copy: Folder, swapped: tuple[str, str]) -> None:
    a, b = (key.format(copy.origin, 301, 502) for key in swapped)
    move = "UPDATE state SET key = '{}' WHERE key = '{}'"
    _sql(copy.ledger / FILE, (move.format("~", a), move.format(a, b), move.format(b, "~")))
    with pytest.raises(FsckError, match=r"seal at entry|state key|root that the ledger"):
        fsck(copy)


# -- the operator's attack: a new history, rehashed and signed anew with the site's own keys


def _rewrite(folder: Folder, change: Callable[[list[bytes]], list[bytes]], *, keep_checkpoints: bool) -> None:
    db = Database(folder.database, SCHEMA)
    with closing(db), db.transaction() as tx:
        entries = change(list(LogReader(db).entries(0, LogReader(db).size())))
        for table in ("log_tile", "log_bundle", "log_tail", *(() if keep_checkpoints else ("log_checkpoint",))):
            tx.execute(f"DELETE FROM {table}")
        tx.execute("UPDATE log_meta SET size = 0, stamp = x'00'")
        log = Log(db)
        log.append(tx, entries)
        if not keep_checkpoints:
            head = Checkpoint(folder.origin, log.size, log.root())
            note = sign_checkpoint(head, folder.log_signers(), 1_800_000_000).marshal()
            tx.execute(
                "INSERT INTO log_checkpoint VALUES (?, ?, ?, 1800000000000000, 1, NULL)", (log.size, head.root, note)
            )


def _another_time(entries: list[bytes]) -> list[bytes]:
    record = Record.decode(entries[7])
    forged = Record(
        record.kind, record.source, record.boot, record.seq, record.sensed_us + 1, record.received_us,
        record.logged_us, record.authentication, record.flags, record.content_hash, record.commitment,
    )  # fmt: skip
    return [*entries[:7], forged.encode(), *entries[8:]]


@pytest.mark.parametrize(
    ("keep", "place"),
    [(True, "not have the root that was signed for size 301"), (False, "root that the ledger anchored")],
)
def test_a_rewritten_and_newly_signed_history_is_found(copy: Folder, keep: bool, place: str) -> None:
    """Old checkpoints contradict it; where they were removed as well, the ledger's anchors do."""
    _rewrite(copy, _another_time, keep_checkpoints=keep)
    with pytest.raises(FsckError, match=place):
        fsck(copy)


def test_a_cut_off_end_is_found_by_the_ledgers_anchor(copy: Folder) -> None:
    _rewrite(copy, lambda entries: entries[:600], keep_checkpoints=False)
    with pytest.raises(FsckError, match="the ledger's anchor is of 625 entries, only 600 are stored"):
        fsck(copy)


def test_a_seal_record_that_says_otherwise_than_its_seal_is_found(
    original: tuple[Path, Source], tmp_path: Path
) -> None:
    """The gateway logs a true seal of the source under a range of its own invention."""
    root = Path(shutil.copytree(original[0], tmp_path / "site"))
    alpha = Source("alpha", original[1].key, boot=2)
    with Site(root) as site:
        raw, honest = alpha.batch(2), Record.encode

        def lie(record: Record) -> bytes:
            return honest(record).replace(b"\x0d\x02", b"\x0d\x03") if record.count == 2 else honest(record)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Record, "encode", lie)
            alpha.previous = original[1].previous
            _send(site, alpha, message(raw, alpha.seal()))
        site.drain()
        with pytest.raises(FsckError, match="seal at entry 627: the record that logs the seal of alpha says otherwise"):
            fsck(site.folder)


def test_a_seal_that_starts_its_chain_again_is_found(copy: Folder) -> None:
    """Whoever writes the database cannot pretend that the seals before one never were."""
    with closing(sqlite3.connect(copy.database)) as db:
        rows = db.execute("SELECT seal FROM seal WHERE source = 'alpha' ORDER BY leaf").fetchall()
    assert [Seal.decode(row[0]).previous == FIRST_PREVIOUS for row in rows] == [True, False]
    sql(copy, "DELETE FROM seal WHERE leaf = 300")
    with pytest.raises(FsckError, match="does not follow the seal of alpha before it"):
        fsck(copy)
    assert seal_hash(rows[0][0]) == Seal.decode(rows[1][0]).previous


def test_fsck_works_beside_a_running_gateway(original: tuple[Path, Source], tmp_path: Path) -> None:
    """It looks at one snapshot while events, seals, enrolments and anchors go on."""
    root = Path(shutil.copytree(original[0], tmp_path / "site"))
    done, failures = threading.Event(), list[Exception]()

    def check() -> None:
        while not done.is_set():
            try:
                fsck(Folder(root))
            except Exception as e:  # shown by the assertion below
                failures.append(e)
                return

    fast = {"checkpoint_interval_s": 0.05, "anchor_interval_s": 0.05}
    with Site(root, log=fast) as site:
        checker = threading.Thread(target=check)
        checker.start()
        for i in range(40):
            source = site.enrol(f"new-{i}")
            _send(site, source, message(source.batch(3), source.seal()))
            site.drain()
        done.set()
        checker.join()
    assert failures == []


# -- what somebody kept elsewhere


def _kept(folder: Folder, size: int) -> bytes:
    with closing(sqlite3.connect(folder.database)) as db:
        note: str = db.execute("SELECT note FROM log_checkpoint WHERE size = ?", (size,)).fetchone()[0]
    return note.encode()


def _older(original: Path, newer: Path) -> bytes:
    """A newer state of the same site, of which only the checkpoint is kept."""
    with Site(Path(shutil.copytree(original, newer))) as site:
        site.plain("second-meter")
        assert site.send("second-meter", b'[{"n":"t","v":1}]', plain="reading") is Verdict.STORED
        site.drain()
    return _kept(Folder(newer), EVENTS + SEALS + 1)


def test_only_a_kept_checkpoint_tells_a_folder_that_was_put_back_as_a_whole(
    original: tuple[Path, Source], copy: Folder, tmp_path: Path
) -> None:
    kept = _older(original[0], tmp_path / "newer")
    assert fsck(copy).entries == EVENTS + SEALS  # log and ledger agree with each other
    with pytest.raises(FsckError, match="the kept checkpoint is of 626 entries, only 625 are stored: this is an older"):
        fsck(copy, kept=[kept])
    assert fsck(Folder(tmp_path / "newer"), kept=[kept, _kept(copy, 301)]).entries == 626


def test_a_kept_checkpoint_of_another_history_is_told_from_this_one(copy: Folder) -> None:
    other = Checkpoint(copy.origin, 300, b"\x01" * 32)
    note = sign_checkpoint(other, copy.log_signers(), 1_800_000_000).marshal().encode()
    with pytest.raises(FsckError, match="log: its first 300 entries do not have the root of the kept checkpoint"):
        fsck(copy, kept=[note])
    with pytest.raises(FsckError, match="the kept checkpoint is not one of this log"):
        fsck(copy, kept=[note.replace(b"\n300\n", b"\n301\n")])


# -- files that are not what they should be


def test_a_folder_without_a_site_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a Sealtrail data directory"):
        Folder.existing(tmp_path)


@pytest.mark.parametrize("where", ["site.db", "ledger/ledger.db"])
def test_files_that_are_no_databases_are_found(copy: Folder, where: str) -> None:
    path = copy.root / where
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises((FsckError, StoreError)):
        fsck(copy)


def test_other_keys_do_not_vouch_for_this_log(copy: Folder, tmp_path: Path) -> None:
    Folder.create(tmp_path / "other", copy.origin).log_signers(create=True)
    for key in (tmp_path / "other" / "keys").iterdir():
        shutil.copy(key, copy.keys / key.name)
    with pytest.raises(FsckError, match="checkpoint of size 301: "):
        fsck(copy)


def test_a_forged_seal_is_found_where_the_log_was_made_to_name_it(
    original: tuple[Path, Source], tmp_path: Path
) -> None:
    """Even the log's own keeper cannot put a seal into it that the source did not sign."""
    root = Path(shutil.copytree(original[0], tmp_path / "site"))
    thief = Source("alpha", boot=3)
    with Site(root) as site:
        known = site.gateway.book.get("alpha")
        assert known is not None
        forged = replace(known.keys[0], key=thief.key.public)
        site.gateway.book._sources["alpha"] = replace(known, keys=(forged,))
        _send(site, thief, message(thief.batch(2), sign_seal(thief.draft(), thief.key)))
        site.drain()
    with pytest.raises(FsckError, match="seal at entry 627: "):
        fsck(Folder(root))
