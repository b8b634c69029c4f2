"""The serials that this station accepted, on disk: a pack whose serial was accepted before is a copy.

Bounded: the oldest are forgotten beyond the bound. Holds 16 bytes of a hash for each pack, no serial in the clear.
"""

from hashlib import sha256
from pathlib import Path
from typing import Final

from chain.store.database import Database

SEEN_FILE: Final = "serials.db"
MAX_SERIALS: Final = 5_000_000
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS serial (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE)",
)


def pack_id(gtin: str, serial: str) -> bytes:
    """Names a pack: 16 bytes of SHA-256 over GTIN and serial."""
    return sha256(f"{gtin.zfill(14)}/{serial}".encode()).digest()[:16]


class Seen:
    """One station's book of accepted packs."""

    def __init__(self, folder: Path, most: int = MAX_SERIALS) -> None:
        self._db, self._most = Database(folder / SEEN_FILE, _SCHEMA), most

    def __contains__(self, pack: bytes) -> bool:
        found = self._db.connection.execute("SELECT EXISTS (SELECT 1 FROM serial WHERE id = ?)", (pack,)).fetchone()
        return bool(found[0])

    def add(self, pack: bytes) -> None:
        """Durable on return; adding again changes nothing."""
        with self._db.transaction() as tx:
            tx.execute("INSERT OR IGNORE INTO serial (id) VALUES (?)", (pack,))
            tx.execute("DELETE FROM serial WHERE number <= (SELECT MAX(number) FROM serial) - ?", (self._most,))

    def close(self) -> None:
        self._db.close()
