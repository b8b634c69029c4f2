"""Signed checkpoints: one root a size, never backwards, bounded, and the anchored one is never dropped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.errors import ForkError, LogError
from chain.log import checkpoints
from chain.log.checkpoints import Checkpoints
from chain.store.database import Database
from crypto.checkpoint import Checkpoint, sign_checkpoint
from crypto.note import Note, SignatureType
from tests.chain.log.logs import signer

KEY = signer("log.example/a", SignatureType.ED25519)


def note_of(size: int, root: int = 1) -> Note:
    return sign_checkpoint(Checkpoint(KEY.name, size, bytes([root]) * 32), [KEY], 1)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Checkpoints]:
    db = Database(tmp_path / "log.db", checkpoints.SCHEMA)
    yield Checkpoints(db)
    db.close()


def save(kept: Checkpoints, note: Note, size: int, *, published: bool = True) -> None:
    with kept.db.transaction() as tx:
        kept.save(tx, note, size, size * 10, published=published)


def test_empty(kept: Checkpoints) -> None:
    assert (kept.latest(), kept.newest_signed(), kept.at(0), kept.latest_anchored()) == (None, None, None, None)


def test_unpublished_notes_are_not_the_latest(kept: Checkpoints) -> None:
    save(kept, note_of(1), 1)
    save(kept, note_of(5), 5, published=False)
    latest, newest = kept.latest(), kept.newest_signed()
    assert latest
    assert newest
    assert (latest.size, latest.note, latest.created_us) == (1, note_of(1).marshal(), 10)
    assert (newest.size, newest.checkpoint.root) == (5, b"\x01" * 32)
    save(kept, note_of(5), 5)
    latest = kept.latest()
    assert latest
    assert latest.size == 5
    save(kept, note_of(5), 5, published=False)  # what was published stays so
    assert kept.latest() == latest


def test_two_roots_for_one_size(kept: Checkpoints) -> None:
    save(kept, note_of(5), 5)
    with pytest.raises(ForkError) as caught:
        save(kept, note_of(5, root=2), 5)
    assert note_of(5).marshal() in str(caught.value)
    assert note_of(5, root=2).marshal() in str(caught.value)
    assert kept.latest() == kept.at(5)


def test_a_size_below_one_that_was_signed(kept: Checkpoints) -> None:
    save(kept, note_of(5), 5)
    with pytest.raises(ForkError, match="larger 5"):
        save(kept, note_of(4), 4)


def test_the_size_must_be_the_notes(kept: Checkpoints) -> None:
    with pytest.raises(LogError, match="expected a checkpoint of size 6"):
        save(kept, note_of(5), 6)


def test_bounded_and_the_anchored_one_stays(kept: Checkpoints) -> None:
    with kept.db.transaction() as tx:
        for size in range(1, 1501):
            kept.save(tx, note_of(1).marshal().replace("\n1\n", f"\n{size}\n"), size, size)
            if size in (3, 7):
                kept.mark_anchored(tx, size, b"evidence %d" % size)
    (count,) = kept.db.connection.execute("SELECT count(*) FROM log_checkpoint").fetchone()
    assert count == 1001
    anchored = kept.latest_anchored()
    assert anchored
    assert anchored[1] == b"evidence 7"
    assert "\n7\n" in anchored[0]
    assert kept.at(3) is None
    assert kept.at(500) is None
    assert kept.at(501) is not None


def test_anchoring_what_is_not_there(kept: Checkpoints) -> None:
    with pytest.raises(LogError, match="no checkpoint of size 9"), kept.db.transaction() as tx:
        kept.mark_anchored(tx, 9, b"")
