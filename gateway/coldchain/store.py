"""coldchain.db: the shipments that concern this gateway, and how far it has followed the ledger. Mode 0600.

Nothing here is evidence; without it all is read from the ledger again. Safe to call from several threads.
"""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from chain.store.database import Database
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Shipment

NAME = "coldchain.db"
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS tracked (id BLOB PRIMARY KEY, shipment BLOB NOT NULL, policy BLOB NOT NULL,"
    " first INTEGER, leaf INTEGER, done INTEGER NOT NULL DEFAULT 0, opener TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS tracked_under_way ON tracked (opener) WHERE NOT done",
    "CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 0), after INTEGER NOT NULL)",
)
MAX_TRACKED = 100_000  # of which those that are done go first


@dataclass(frozen=True, slots=True)
class Tracked:
    """A shipment that concerns us, with its policy. Of one that we report: the first entry of our log that counts, and
    the record that says that we watch it. `done`: nothing more is to be done about it."""

    shipment: Shipment
    policy: Policy
    first: int | None = None
    leaf: int | None = None
    done: bool = False

    @property
    def id(self) -> bytes:
        return self.shipment.shipment_id


class ShipmentStore:
    """Calls block for moments."""

    def __init__(self, folder: Path) -> None:
        self._db, self._lock = Database(folder / NAME, SCHEMA, private=True), Lock()

    def after(self) -> int:
        """The index of the last ledger transaction that was heeded; -1 before the first."""
        with self._lock:
            row = self._db.connection.execute("SELECT after FROM position").fetchone()
        return -1 if row is None else int(row[0])

    def heeded(self, index: int) -> None:
        with self._lock, self._db.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO position VALUES (0, ?)", (index,))

    def put(self, one: Tracked) -> None:
        row = (one.id, one.shipment.encode(), one.policy.encode(), one.first, one.leaf, one.done, one.shipment.opener)
        with self._lock, self._db.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO tracked VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            count = tx.execute("SELECT COUNT(*) FROM tracked").fetchone()[0]
            if count > MAX_TRACKED:
                tx.execute("DELETE FROM tracked WHERE id IN (SELECT id FROM tracked WHERE done LIMIT 1000)")

    def get(self, shipment_id: bytes) -> Tracked | None:
        with self._lock:
            row = self._db.connection.execute("SELECT * FROM tracked WHERE id = ?", (shipment_id,)).fetchone()
        return None if row is None else _tracked(row)

    def any(self) -> bool:
        """Whether a shipment ever concerned us."""
        with self._lock:
            return self._db.connection.execute("SELECT 1 FROM tracked LIMIT 1").fetchone() is not None

    def count(self, opener: str) -> int:
        """How many that this organisation opened are under way."""
        query = "SELECT COUNT(*) FROM tracked WHERE opener = ? AND NOT done"
        with self._lock:
            return int(self._db.connection.execute(query, (opener,)).fetchone()[0])

    def under_way(self) -> list[Tracked]:
        with self._lock:
            rows = self._db.connection.execute("SELECT * FROM tracked WHERE NOT done ORDER BY id").fetchall()
        return [_tracked(row) for row in rows]

    def close(self) -> None:
        with self._lock:  # a thread whose task was cancelled may still be at it
            self._db.close()


def _tracked(row: tuple[bytes, bytes, bytes, int | None, int | None, int, str]) -> Tracked:
    _, shipment, policy, first, leaf, done, _ = row
    return Tracked(Shipment.decode(shipment), Policy.decode(policy), first, leaf, bool(done))
