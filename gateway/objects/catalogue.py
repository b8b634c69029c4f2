"""What is kept here: of each object its id, digest, length, recipients' kids and place in the log; and grant files.

A table of the gateway's own, which proves nothing: the record in the log and the ledger do. Bounded in rows and bytes.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from chain.store.database import Database
from gateway.objects.errors import ObjectError, ObjectRoomError, UnknownObjectError

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS object (id BLOB PRIMARY KEY, digest BLOB NOT NULL, size INTEGER NOT NULL,"
    " kids BLOB NOT NULL, stored_us INTEGER NOT NULL, leaf INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS grant_file (object BLOB NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (object, digest)) WITHOUT ROWID",
)
KID_BYTES = 32
MAX_OBJECTS = 1_000_000
MAX_GRANT_FILES = 1024  # of one object


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is kept. `leaf` is the log index of the record that names it, None until it is logged."""

    object_id: bytes
    digest: bytes
    size: int
    kids: tuple[bytes, ...]  # of the recipients in its header
    stored_us: int
    leaf: int | None


class Catalogue:
    """Safe to call from several threads; calls block for moments."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._db, self._lock, self._most_bytes = Database(path, SCHEMA), Lock(), most_bytes
        _, self.used_bytes = _held(self._db.connection)  # of all ciphertexts

    def add(self, new: StoredObject) -> StoredObject:
        """Note an object; the one that is known already where it is the same. ObjectError where other bytes have its
        id, ObjectRoomError where the store's bound is reached."""
        with self._lock, self._db.transaction() as tx:
            row = tx.execute(f"SELECT {_COLUMNS} FROM object WHERE id = ?", (new.object_id,)).fetchone()
            if row is not None:
                known = _stored(row)
                if known.digest != new.digest:
                    raise ObjectError(f"other bytes are kept under the id {new.object_id.hex()[:16]}…; seal it anew")
                return known
            count, used = _held(tx)
            if count >= MAX_OBJECTS or used + new.size > self._most_bytes:
                raise ObjectRoomError(
                    f"the object store holds {used:,} bytes of at most {self._most_bytes:,}; see objects.max_bytes"
                )
            values = (new.object_id, new.digest, new.size, b"".join(new.kids), new.stored_us, new.leaf)
            tx.execute(f"INSERT INTO object ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", values)
            self.used_bytes = used + new.size
        return new

    def logged(self, object_id: bytes, leaf: int) -> None:
        with self._lock, self._db.transaction() as tx:
            tx.execute("UPDATE object SET leaf = ? WHERE id = ?", (leaf, object_id))

    def forget(self, object_id: bytes) -> None:
        """Its bytes could not be kept."""
        with self._lock, self._db.transaction() as tx:
            tx.execute("DELETE FROM object WHERE id = ? AND leaf IS NULL", (object_id,))
            _, self.used_bytes = _held(tx)

    def get(self, object_id: bytes) -> StoredObject:
        with self._lock:
            query = f"SELECT {_COLUMNS} FROM object WHERE id = ?"
            row = self._db.connection.execute(query, (object_id,)).fetchone()
        if row is None:
            raise UnknownObjectError(f"no object {object_id.hex()[:16]}… is kept here")
        return _stored(row)

    def page(self, after: bytes, limit: int) -> list[StoredObject]:
        """Objects in the order of their ids, behind `after`."""
        query = f"SELECT {_COLUMNS} FROM object WHERE id > ? ORDER BY id LIMIT ?"
        with self._lock:
            return [_stored(row) for row in self._db.connection.execute(query, (after, limit)).fetchall()]

    def add_grant(self, object_id: bytes, digest: bytes, body: bytes) -> None:
        with self._lock, self._db.transaction() as tx:
            query = "SELECT COUNT(*) FROM grant_file WHERE object = ?"
            if tx.execute(query, (object_id,)).fetchone()[0] >= MAX_GRANT_FILES:
                raise ObjectRoomError(f"an object has at most {MAX_GRANT_FILES} grant files; seal it anew")
            tx.execute("INSERT OR IGNORE INTO grant_file VALUES (?, ?, ?)", (object_id, digest, body))

    def grant_file(self, object_id: bytes, digest: bytes) -> bytes | None:
        query = "SELECT body FROM grant_file WHERE object = ? AND digest = ?"
        with self._lock:
            row = self._db.connection.execute(query, (object_id, digest)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        self._db.close()


_COLUMNS = "id, digest, size, kids, stored_us, leaf"


def _held(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many objects, and their bytes."""
    count, used = connection.execute("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM object").fetchone()
    return int(count), int(used)


def _stored(row: tuple[bytes, bytes, int, bytes, int, int | None]) -> StoredObject:
    object_id, digest, size, joined, stored_us, leaf = row
    kids = tuple(joined[at : at + KID_BYTES] for at in range(0, len(joined), KID_BYTES))
    return StoredObject(object_id, digest, size, kids, stored_us, leaf)
