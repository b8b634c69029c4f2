"""Proofs of transactions on a Fabric channel, kept on the site's disk: receipts are built while the channel is away.

What is kept was verified when it came; fsck, and whoever gets a receipt, verify it again. A proof and the place up to
which the channel was followed are one commit, so none is missed and none kept twice however the process ends. Bounded:
one proof for each identity, and the newest 64 checkpoints. Implements chain.ledger.reading.LedgerReader.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chain.errors import FsckError
from chain.ledger.proof import anchored_checkpoint, call_of, prove_fabric
from chain.policy import ChannelLine, LedgerLine, Policy
from chain.receipt import LedgerPart
from chain.store.database import Database
from chaincode.identity_records import Identity
from chaincode.log_records import AnchoredCheckpoint
from chaincode.state import checkpoint_key, identity_key
from crypto.errors import SealtrailError

if TYPE_CHECKING:
    from chain.ledger.fabric.evidence import Proved

FILE, KIND = "kept.db", "fabric"
KEPT_CHECKPOINTS = 64
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL, evidence BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS followed (id INTEGER PRIMARY KEY CHECK (id = 0), place INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pinned (channel TEXT, hash BLOB, PRIMARY KEY (channel, hash)) WITHOUT ROWID",
)
_CHECKPOINTS = "key >= 'cp/' AND key < 'cp0'"
_PRUNE = f"DELETE FROM kept WHERE {_CHECKPOINTS} AND key NOT IN " + (
    f"(SELECT key FROM kept WHERE {_CHECKPOINTS} ORDER BY key DESC LIMIT {KEPT_CHECKPOINTS})"
)


class KeptProofs:
    """The proofs of one site in `folder`; one process writes, others read."""

    complete = False

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        if not readonly:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = Database(folder / FILE, () if readonly else SCHEMA, readonly=readonly)

    @property
    def place(self) -> int:
        """Index of the last transaction that was dealt with; −1 at first."""
        row = self._db.connection.execute("SELECT place FROM followed").fetchone()
        return -1 if row is None else int(row[0])

    def keep(self, key: str, value: bytes, evidence: bytes, pin: ChannelLine, place: int) -> None:
        """Keep the proof that the transaction at `place` wrote `value` at a key of the ledger's state."""
        with self._db.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO kept (key, value, evidence) VALUES (?, ?, ?)", (key, value, evidence))
            tx.execute("INSERT OR IGNORE INTO pinned VALUES (?, ?)", (pin.channel, pin.config_hash))
            tx.execute(_PRUNE)
            _move(tx, place)

    def pass_by(self, place: int) -> None:
        """The transaction at `place` was dealt with; nothing of it is kept."""
        with self._db.transaction() as tx:
            _move(tx, place)

    def newest_size(self, origin: str) -> int:
        """Of the newest checkpoint whose proof is kept; 0 where there is none."""
        found = self.values(checkpoint_key(origin, 0), checkpoint_key(origin, 10**20 - 1))
        return AnchoredCheckpoint.decode(found[-1][1]).size if found else 0

    # -- chain.ledger.reading.LedgerReader

    def evidence_for(self, key: str) -> LedgerPart | None:
        row = self._db.connection.execute("SELECT evidence FROM kept WHERE key = ?", (key,)).fetchone()
        return None if row is None else LedgerPart(KIND, row[0])

    def value(self, key: str) -> bytes | None:
        row = self._db.connection.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def values(self, start: str, end: str) -> list[tuple[str, bytes]]:
        query = "SELECT key, value FROM kept WHERE key >= ? AND key < ? ORDER BY key"
        return self._db.connection.execute(query, (start, end)).fetchall()

    def lines(self) -> tuple[tuple[LedgerLine, ...], tuple[ChannelLine, ...]]:
        rows = self._db.connection.execute("SELECT channel, hash FROM pinned ORDER BY channel, hash").fetchall()
        return (), tuple(ChannelLine(channel, bytes(config_hash)) for channel, config_hash in rows)

    def check(self) -> int:
        """Every kept proof holds under the pinned configurations, and is of what is kept beside it."""
        policy, checked = Policy((), (), (), "none", *self.lines()), 0
        for key, value, evidence in self._db.connection.execute("SELECT key, value, evidence FROM kept ORDER BY key"):
            try:
                _require(key, value, *written(prove_fabric(evidence, policy)))
            except SealtrailError as e:
                raise FsckError(f"kept proof of {key}: {e}") from e
            checked += 1
        return checked

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._db.snapshot():
            yield

    def close(self) -> None:
        self._db.close()


def _move(tx: sqlite3.Connection, place: int) -> None:
    tx.execute("INSERT OR REPLACE INTO followed (id, place) VALUES (0, ?)", (place,))


def _require(key: str, value: bytes, proved_key: str, proved_value: bytes) -> None:
    """Byte for byte: the note of a checkpoint, its time and its transaction too."""
    if value != proved_value:
        raise FsckError("its transaction wrote another value")
    if key != proved_key:
        raise FsckError(f"it is of {proved_key}")


def written(proved: "Proved") -> tuple[str, bytes]:
    """The key of the state that a transaction is the proof of, and what it wrote there (chaincode/logs.py,
    chaincode/identities.py)."""
    call, transaction = call_of(proved), proved.transaction
    if call.function != "logs.anchor":
        return identity_key(Identity.decode(call.result).handle), call.result
    new, note = anchored_checkpoint(call), call.args[0].decode()
    record = AnchoredCheckpoint(new.origin, new.size, new.root, note, transaction.time_us, transaction.tx_id)
    return checkpoint_key(new.origin, new.size), record.encode()
