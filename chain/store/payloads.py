"""Payloads at rest: encrypted segments, one for each subject and batch, beside the leaves they belong to.

A segment holds the exact event bytes, the normalised fields and the secret seed of their salts, so that
destroying a subject's key makes payload and salts unreadable at once while every leaf and proof still holds. Of an
erased subject a tag is left in place of its name, by which what comes later is known and not stored.
Trusted: the site key. Not trusted: the rows; a row that was altered or moved does not open.
"""

import hmac
import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec import Struct

from chain.erasure import ERASED, Run, joined
from chain.errors import StoreError
from chain.store.database import Database
from chain.store.epochs import MARK, Epochs, is_lock, new_lock
from chain.store.recent import RecentSegments
from chain.store.segment import Segment, decode_segment, encode_segment
from crypto import cbor, labels
from crypto.at_rest import AtRestKey, new_key, nonces
from crypto.errors import DecryptionError

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS subject (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, wrapped_key BLOB)",
    "CREATE TABLE IF NOT EXISTS segment (first_leaf INTEGER PRIMARY KEY, count INTEGER NOT NULL,"
    " subject INTEGER NOT NULL REFERENCES subject(id), body BLOB NOT NULL)",
)
_CACHED_KEYS = 4096


class _Subject(Struct):
    """A subject's row, and its key. Of one that is sealed to recipients its lock; of one that was erased neither."""

    id: int
    key: AtRestKey | None
    lock: bytes | None = None


class _Open(Struct):
    """A segment that is not sealed yet."""

    first_leaf: int
    count: int
    subject_id: int
    key: AtRestKey
    subject: str
    plain: bytes

    def row(self, nonce: bytes) -> tuple[int, int, int, bytes]:
        body = self.key.seal(self.plain, _place(self.first_leaf, self.count, self.subject), nonce)
        return self.first_leaf, self.count, self.subject_id, body


class Payloads:
    """Writes and reads segments over one database connection."""

    def __init__(self, db: Database, site_key: bytes, epochs: Epochs | None = None) -> None:
        self._db = db
        self._epochs = epochs or Epochs(db)
        self._site = AtRestKey(site_key)
        self._tag_key = hmac.digest(site_key, labels.SUBJECT_TAG, "sha256")
        self._subject = lru_cache(maxsize=_CACHED_KEYS)(self._load_subject)
        self._segments = RecentSegments(self._load_segment)
        self._open: list[_Open] = []  # of the open transaction

    def put(self, tx: sqlite3.Connection, first_leaf: int, subject: str, seed: bytes,
            count: int, events: Iterable[bytes]) -> bool:  # fmt: skip
        """Take `count` encoded events (chain.store.segment), those of the leaves first_leaf …, for `flush`, which
        seals and stores all in the same transaction. False where the subject was erased: then nothing is taken."""
        name = subject + MARK if self.one_way else subject
        known = self._subject(name) or self._new_subject(tx, name)
        if known.lock is not None:
            key = self._epochs.key_for(tx, known.id, name, known.lock, first_leaf)
        elif known.key is None:
            return False
        else:
            key = known.key
        self._open.append(_Open(first_leaf, count, known.id, key, name, encode_segment(seed, count, events)))
        return True

    @property
    def one_way(self) -> bool:
        """Whether all that is written is sealed to recipients."""
        return self._epochs.sealing is not None

    def flush(self, tx: sqlite3.Connection) -> None:
        """Seal and store what was put in this transaction; between batches only look whether an epoch is over."""
        self._epochs.end_if_over()
        drawn = nonces(len(self._open))
        rows = [segment.row(nonce) for segment, nonce in zip(self._open, drawn, strict=True)]
        tx.executemany("INSERT INTO segment VALUES (?, ?, ?, ?)", rows)
        self._open.clear()

    def require_writable(self, subject: str) -> None:
        """DecryptionError where nothing can be stored for this subject: its key is damaged."""
        self._subject(subject + MARK if self.one_way else subject)

    def segment_of(self, leaf: int) -> Segment | None:
        """The opened segment that holds this leaf; None where the leaf has no payload (a seal record)."""
        run = self.run_of(leaf)
        return self._segments.get(run[0]) if run else None

    def run_of(self, leaf: int) -> Run | None:
        """The first leaf and the count of the segment that holds this leaf, whether or not it opens."""
        query = "SELECT first_leaf, count FROM segment WHERE first_leaf <= ? ORDER BY first_leaf DESC LIMIT 1"
        row = self._db.connection.execute(query, (leaf,)).fetchone()
        return (row[0], row[1]) if row and leaf < row[0] + row[1] else None

    def is_sealed(self, first_leaf: int) -> bool:
        """Whether the segment that begins there is sealed to recipients."""
        query = "SELECT name FROM segment JOIN subject ON subject.id = segment.subject WHERE first_leaf = ?"
        row = self._db.connection.execute(query, (first_leaf,)).fetchone()
        return row is not None and str(row[0]).endswith(MARK)

    def next_run(self, leaf: int) -> Run | None:
        """The first leaf and the count of the next segment at or after a leaf."""
        query = "SELECT first_leaf, count FROM segment WHERE first_leaf >= ? ORDER BY first_leaf LIMIT 1"
        row = self._db.connection.execute(query, (leaf,)).fetchone()
        return (row[0], row[1]) if row else None

    def segments(self, from_leaf: int, limit: int) -> list[Segment]:
        """The next segments at or after a leaf, in order, for followers and fsck."""
        query = "SELECT first_leaf FROM segment WHERE first_leaf >= ? ORDER BY first_leaf LIMIT ?"
        rows = self._db.connection.execute(query, (from_leaf, limit)).fetchall()
        return [self._load_segment(row[0]) for row in rows]

    def forget_cached(self) -> None:
        """Needed after a rolled-back transaction, which may have made a subject, and after an erasure."""
        self._subject.cache_clear()
        self._segments.forget()
        self._epochs.forget()
        self._open.clear()

    # -- erasing

    def tag_of(self, subject: str) -> bytes:
        """What stands for a subject once it is erased, 32 bytes. Without the site key nobody can confirm a guess."""
        if subject.startswith(ERASED):
            return bytes.fromhex(subject.removeprefix(ERASED))
        return hmac.digest(self._tag_key, subject.removesuffix(MARK).encode(), "sha256")

    def named(self, tag: bytes) -> tuple[list[int], str]:
        """Ids of the subject's rows, and its name; empty where it has no row with a name any more."""
        rows = self._db.connection.execute("SELECT id, name FROM subject").fetchall()
        found = [(number, name) for number, name in rows if self.tag_of(name) == tag and not name.startswith(ERASED)]
        return [number for number, _ in found], found[0][1].removesuffix(MARK) if found else ""

    def leaves_of(self, ids: Iterable[int], start: int = 0) -> list[Run]:
        """The leaves from `start` on whose payloads are stored under these rows, as runs in order."""
        return list(joined(self.segments_of(ids, start)))

    def segments_of(self, ids: Iterable[int], start: int = 0) -> Iterator[Run]:
        """The segments of these rows from leaf `start` on, in order. Looks at every segment there."""
        wanted = frozenset(ids)
        query = "SELECT first_leaf, count, subject FROM segment WHERE first_leaf >= ? ORDER BY first_leaf"
        rows = self._db.connection.execute(query, (start,))
        return ((first, count) for first, count, subject in rows if subject in wanted)

    def was_erased(self, subject: str) -> bool:
        query = "SELECT 1 FROM subject WHERE name = ?"
        return self._db.connection.execute(query, (ERASED + self.tag_of(subject).hex(),)).fetchone() is not None

    def destroy(self, tx: sqlite3.Connection, tag: bytes) -> None:
        """Remove a subject's segments and its key; where its name stood, its tag stays. Every row of the table is
        written anew, because SQLite may keep a key in a page that it once split. Wanted: secure_delete."""
        ids, _ = self.named(tag)
        for table in ("segment", "sealed_key"):
            tx.executemany(f"DELETE FROM {table} WHERE subject = ?", [(number,) for number in ids])
        kept = tx.execute("SELECT id, name, wrapped_key FROM subject").fetchall()
        tx.execute("DELETE FROM subject")
        tx.executemany("INSERT INTO subject VALUES (?, ?, ?)", [row for row in kept if row[0] not in ids])
        tx.execute("INSERT OR IGNORE INTO subject (name, wrapped_key) VALUES (?, NULL)", (ERASED + tag.hex(),))
        self.forget_cached()

    def _new_subject(self, tx: sqlite3.Connection, name: str) -> _Subject:
        if name.endswith(MARK):
            lock = new_lock()
            cursor = tx.execute("INSERT INTO subject (name, wrapped_key) VALUES (?, ?)", (name, lock))
            self._subject.cache_clear()
            return _Subject(int(cursor.lastrowid or 0), None, lock)
        key = new_key()
        wrapped = self._site.seal(key, labels.SUBJECT_KEY + b"\x00" + name.encode())
        cursor = tx.execute("INSERT INTO subject (name, wrapped_key) VALUES (?, ?)", (name, wrapped))
        self._subject.cache_clear()  # a cached "unknown" must not outlive the insert
        return _Subject(int(cursor.lastrowid or 0), AtRestKey(key))

    def _load_subject(self, name: str) -> _Subject | None:
        query = "SELECT id, wrapped_key, name FROM subject WHERE name IN (?, ?) ORDER BY name = ?"
        erased = ERASED + self.tag_of(name).hex()
        row = self._db.connection.execute(query, (name, erased, name)).fetchone()
        if row is None:
            return None
        if row[2] == erased:
            return _Subject(row[0], None)
        if row[1] is None:
            raise DecryptionError(
                f"the key of subject {name!r} is gone, and no entry of the log says that it was erased"
            )
        if is_lock(row[1]):
            return _Subject(row[0], None, row[1])
        key = self._site.open(row[1], labels.SUBJECT_KEY + b"\x00" + name.encode())
        return _Subject(row[0], AtRestKey(key))

    def _load_segment(self, first_leaf: int) -> Segment:
        query = (
            "SELECT count, name, body FROM segment JOIN subject ON subject.id = segment.subject WHERE first_leaf = ?"
        )
        row = self._db.connection.execute(query, (first_leaf,)).fetchone()
        found = self._subject(row[1]) if row else None
        if row is None or found is None:
            raise StoreError(f"segment of leaf {first_leaf} or its subject is not in the store")
        if found.lock is not None:
            key = self._epochs.opened(found.id, row[1], found.lock, first_leaf)
        elif found.key is None:
            raise DecryptionError(f"subject {row[1]!r} was erased; what is left of it cannot be read")
        else:
            key = found.key
        plain = key.open(row[2], _place(first_leaf, row[0], row[1]))
        return decode_segment(first_leaf, row[1], plain)


def _place(first_leaf: int, count: int, subject: str) -> bytes:
    return labels.SEGMENT + b"\x00" + cbor.encode([first_leaf, count, subject])
