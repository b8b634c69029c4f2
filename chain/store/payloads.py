"""Payloads at rest: encrypted segments, one for each subject and batch, beside the leaves they belong to.

A segment holds the exact event bytes, the normalised fields and the secret seed of their salts, so that
destroying a subject's key makes payload and salts unreadable at once while every leaf and proof still holds.
Trusted: the site key. Not trusted: the rows; a row that was altered or moved does not open.
"""

import sqlite3
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from chain.errors import StoreError
from chain.store.database import Database
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
_CACHED_SEGMENTS = 64


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

    def __init__(self, db: Database, site_key: bytes) -> None:
        self._db = db
        self._site = AtRestKey(site_key)
        self._subject = lru_cache(maxsize=_CACHED_KEYS)(self._load_subject)
        self._segment = lru_cache(maxsize=_CACHED_SEGMENTS)(self._load_segment)
        self._open: list[_Open] = []  # of the open transaction

    def put(self, tx: sqlite3.Connection, first_leaf: int, subject: str, seed: bytes,
            count: int, events: Iterable[bytes]) -> None:  # fmt: skip
        """Take `count` encoded events (chain.store.segment), those of the leaves first_leaf …, for `flush`, which
        seals and stores all in the same transaction."""
        subject_id, key = self._subject(subject) or self._new_subject(tx, subject)
        self._open.append(_Open(first_leaf, count, subject_id, key, subject, encode_segment(seed, count, events)))

    def flush(self, tx: sqlite3.Connection) -> None:
        """Seal and store what was put in this transaction."""
        drawn = nonces(len(self._open))
        rows = [segment.row(nonce) for segment, nonce in zip(self._open, drawn, strict=True)]
        tx.executemany("INSERT INTO segment VALUES (?, ?, ?, ?)", rows)
        self._open.clear()

    def require_writable(self, subject: str) -> None:
        """DecryptionError where nothing can be stored for this subject: its key was erased or is damaged."""
        self._subject(subject)

    def segment_of(self, leaf: int) -> Segment | None:
        """The opened segment that holds this leaf; None where the leaf has no payload (a seal record)."""
        query = "SELECT first_leaf, count FROM segment WHERE first_leaf <= ? ORDER BY first_leaf DESC LIMIT 1"
        row = self._db.connection.execute(query, (leaf,)).fetchone()
        return self._segment(row[0]) if row and leaf < row[0] + row[1] else None

    def segments(self, from_leaf: int, limit: int) -> list[Segment]:
        """The next segments at or after a leaf, in order, for followers and fsck."""
        query = "SELECT first_leaf FROM segment WHERE first_leaf >= ? ORDER BY first_leaf LIMIT ?"
        rows = self._db.connection.execute(query, (from_leaf, limit)).fetchall()
        return [self._load_segment(row[0]) for row in rows]

    def forget_cached(self) -> None:
        """Needed after a rolled-back transaction, which may have made a subject."""
        self._subject.cache_clear()
        self._open.clear()

    def _new_subject(self, tx: sqlite3.Connection, name: str) -> tuple[int, AtRestKey]:
        key = new_key()
        wrapped = self._site.seal(key, labels.SUBJECT_KEY + b"\x00" + name.encode())
        cursor = tx.execute("INSERT INTO subject (name, wrapped_key) VALUES (?, ?)", (name, wrapped))
        self._subject.cache_clear()  # a cached "unknown" must not outlive the insert
        return int(cursor.lastrowid or 0), AtRestKey(key)

    def _load_subject(self, name: str) -> tuple[int, AtRestKey] | None:
        query = "SELECT id, wrapped_key FROM subject WHERE name = ?"
        row = self._db.connection.execute(query, (name,)).fetchone()
        if row is None:
            return None
        if row[1] is None:
            raise DecryptionError(f"the key of subject {name!r} was erased; nothing can be written or read under it")
        key = self._site.open(row[1], labels.SUBJECT_KEY + b"\x00" + name.encode())
        return row[0], AtRestKey(key)

    def _load_segment(self, first_leaf: int) -> Segment:
        query = (
            "SELECT count, name, body FROM segment JOIN subject ON subject.id = segment.subject WHERE first_leaf = ?"
        )
        row = self._db.connection.execute(query, (first_leaf,)).fetchone()
        found = self._subject(row[1]) if row else None
        if row is None or found is None:
            raise StoreError(f"segment of leaf {first_leaf} or its subject is not in the store")
        plain = found[1].open(row[2], _place(first_leaf, row[0], row[1]))
        return decode_segment(first_leaf, row[1], plain)


def _place(first_leaf: int, count: int, subject: str) -> bytes:
    return labels.SEGMENT + b"\x00" + cbor.encode([first_leaf, count, subject])
