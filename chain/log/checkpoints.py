"""The checkpoints that a log has signed, kept so that it can never sign two histories.

Notes stored here are the log's own. A note is stored, durably, before anyone sees it; `published` says whether
it may be served (a witness quorum can be demanded first). Bounded: the newest 1,000 and the newest anchored one.
"""

import sqlite3
from dataclasses import dataclass

from chain.errors import ForkError, LogError
from chain.store.database import Database
from crypto.checkpoint import Checkpoint
from crypto.note import Note, parse_note

KEPT = 1000  # fsck relies on it: raise it only for new logs
ANCHORED_EMBEDDED, ANCHORED_FABRIC = b"embedded", b"fabric"  # which ledger holds a checkpoint

SCHEMA: tuple[str, ...] = (
    # evidence: which ledger took this checkpoint, NULL until one did. created_us: when it was signed.
    "CREATE TABLE IF NOT EXISTS log_checkpoint (size INTEGER PRIMARY KEY, root BLOB NOT NULL, note TEXT NOT NULL, "
    "created_us INTEGER NOT NULL, published INTEGER NOT NULL, evidence BLOB)",
    "CREATE INDEX IF NOT EXISTS log_checkpoint_anchored ON log_checkpoint (size) WHERE evidence IS NOT NULL",
    # The size that each witness cosigned last, by its URL.
    "CREATE TABLE IF NOT EXISTS log_witness (url TEXT PRIMARY KEY, size INTEGER NOT NULL)",
)
_COLUMNS = "SELECT size, note, created_us, published, evidence FROM log_checkpoint"
_SAVE = """INSERT INTO log_checkpoint (size, root, note, created_us, published) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (size) DO UPDATE SET note = excluded.note, published = max(published, excluded.published)"""
_PRUNE = """DELETE FROM log_checkpoint
WHERE size <= (SELECT size FROM log_checkpoint ORDER BY size DESC LIMIT 1 OFFSET ?)
AND size IS NOT (SELECT max(size) FROM log_checkpoint WHERE evidence IS NOT NULL)"""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed note (its text as served), when it was made, and the ledger's evidence once it is anchored."""

    size: int
    note: str
    created_us: int
    published: bool
    evidence: bytes | None

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint.parse(parse_note(self.note).text)


class Checkpoints:
    """The table of one log's signed checkpoints. `db` was opened with this module's SCHEMA."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def save(
        self, tx: sqlite3.Connection, note: Note | str, size: int, created_us: int, *, published: bool = True
    ) -> None:
        """Keep a signed note. The same size again replaces the note (more cosignatures), never its root.

        Raises:
            ForkError: another root at this size, or a size below one that was signed before.
        """
        text = note if isinstance(note, str) else note.marshal()
        checkpoint = Checkpoint.parse(parse_note(text).text)
        if checkpoint.size != size:
            raise LogError(f"expected a checkpoint of size {size}, the note says {checkpoint.size}")
        known, newest = self.at(size), self.newest_signed()
        if known and known.checkpoint != checkpoint:
            raise ForkError(f"two roots for one size {size}:\n{known.note}\n{text}")
        if newest and size < newest.size and not known:
            raise ForkError(f"size {size} was never signed before the larger {newest.size}:\n{newest.note}\n{text}")
        tx.execute(_SAVE, (size, checkpoint.root, text, created_us, published))
        tx.execute(_PRUNE, (KEPT,))

    def renew(self, tx: sqlite3.Connection, note: Note, size: int, signed_us: int) -> None:
        """The same checkpoint under other keys of the log, signed now. LogError where it is not kept."""
        text = note.marshal()
        known = self.at(size)
        if known is None or known.checkpoint != Checkpoint.parse(note.text):
            raise LogError(f"no such checkpoint of size {size} is kept, so it cannot be signed anew")
        tx.execute("UPDATE log_checkpoint SET note = ?, created_us = ? WHERE size = ?", (text, signed_us, size))

    def latest(self) -> StoredCheckpoint | None:
        """The newest checkpoint that may be served."""
        return self._one("WHERE published ORDER BY size DESC LIMIT 1")

    def newest_signed(self) -> StoredCheckpoint | None:
        """The newest checkpoint, be it published or still waiting for its witnesses."""
        return self._one("ORDER BY size DESC LIMIT 1")

    def at(self, size: int) -> StoredCheckpoint | None:
        """The checkpoint of this size, where it is still kept."""
        return self._one("WHERE size = ?", size)

    def kept(self) -> list[StoredCheckpoint]:
        """All checkpoints that are still kept, smallest first."""
        rows = self.db.connection.execute(f"{_COLUMNS} ORDER BY size").fetchall()
        return [StoredCheckpoint(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]

    def mark_anchored(self, tx: sqlite3.Connection, size: int, evidence: bytes) -> None:
        """Note that the ledger has accepted the checkpoint of this size."""
        if tx.execute("UPDATE log_checkpoint SET evidence = ? WHERE size = ?", (evidence, size)).rowcount != 1:
            raise LogError(f"no checkpoint of size {size} is kept, so it cannot be marked as anchored")

    def latest_anchored(self) -> tuple[str, bytes] | None:
        """The newest anchored note and the ledger's evidence for it."""
        found = self._one("WHERE evidence IS NOT NULL ORDER BY size DESC LIMIT 1")
        return (found.note, found.evidence) if found and found.evidence is not None else None

    def witness_sizes(self) -> dict[str, int]:
        """For each witness URL the size it cosigned last, as far as is known here."""
        return dict(self.db.connection.execute("SELECT url, size FROM log_witness").fetchall())

    def save_witness_size(self, tx: sqlite3.Connection, url: str, size: int) -> None:
        """Remember the size that a witness cosigned."""
        tx.execute("INSERT OR REPLACE INTO log_witness (url, size) VALUES (?, ?)", (url, size))

    def _one(self, condition: str, *values: int) -> StoredCheckpoint | None:
        row = self.db.connection.execute(f"{_COLUMNS} {condition}", values).fetchone()
        return StoredCheckpoint(row[0], row[1], row[2], bool(row[3]), row[4]) if row else None
