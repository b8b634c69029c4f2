"""Proofs of transactions on a Fabric channel, kept on the site's disk: receipts are built while the channel is away.

What is kept was verified when it came; fsck, and whoever gets a receipt, verify it again. A proof and the place up to
which the channel was followed are one commit, so none is missed and none kept twice however the process ends. Bounded:
one proof for each identity, the newest 64 checkpoints, and the newest 20,000 keys of shipments on which the site
reports. A cold chain policy needs no proof, since its key is its hash. Implements chain.ledger.reading.LedgerReader.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from chain.errors import EvidenceError, FsckError
from chain.ledger.proof import LedgerCall, anchored_checkpoint, call_of, prove_fabric
from chain.policy import ChannelLine, LedgerLine, Policy
from chain.receipt import LedgerPart
from chain.store.database import Database
from chaincode.coldchain.records import Progress, ReportRecord, Shipment
from chaincode.coldchain.report import Report
from chaincode.coldchain.state import policy_key, progress_key, report_key, shipment_key
from chaincode.evidence import Evidence
from chaincode.identity_records import Identity
from chaincode.log_records import AnchoredCheckpoint
from chaincode.state import checkpoint_key, identity_key
from crypto.errors import SealtrailError

if TYPE_CHECKING:
    from chain.ledger.fabric.evidence import Proved

FILE, KIND = "kept.db", "fabric"
KEPT_CHECKPOINTS = 64
KEPT_SHIPMENTS = 20_000  # keys: a shipment has two, and one for each report
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL, evidence BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS followed (id INTEGER PRIMARY KEY CHECK (id = 0), place INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pinned (channel TEXT, hash BLOB, PRIMARY KEY (channel, hash)) WITHOUT ROWID",
)
_CHECKPOINTS = "key >= 'cp/' AND key < 'cp0'"
_PRUNE = f"DELETE FROM kept WHERE {_CHECKPOINTS} AND key NOT IN " + (
    f"(SELECT key FROM kept WHERE {_CHECKPOINTS} ORDER BY key DESC LIMIT {KEPT_CHECKPOINTS})"
)
_SHIPMENTS = "key >= 'shipment' AND key < 'shipmenu'"
_PRUNE_SHIPMENTS = f"DELETE FROM kept WHERE {_SHIPMENTS} AND rowid <= " + (
    f"(SELECT rowid FROM kept WHERE {_SHIPMENTS} ORDER BY rowid DESC LIMIT 1 OFFSET {KEPT_SHIPMENTS})"
)
_POLICIES = policy_key(b"")


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
        self.keep_all([(key, value)], evidence, pin, place)

    def keep_all(
        self, pairs: Sequence[tuple[str, bytes]], evidence: bytes, pin: ChannelLine, place: int, policy: bytes = b""
    ) -> None:
        """The same of a transaction that wrote several; `policy` is a cold chain policy to keep beside them."""
        rows = [(key, value, evidence) for key, value in pairs]
        if policy:
            rows.append((policy_key(sha256(policy).digest()), policy, b""))
        with self._db.transaction() as tx:
            tx.executemany("INSERT OR REPLACE INTO kept (key, value, evidence) VALUES (?, ?, ?)", rows)
            tx.execute("INSERT OR IGNORE INTO pinned VALUES (?, ?)", (pin.channel, pin.config_hash))
            tx.execute(_PRUNE)
            tx.execute(_PRUNE_SHIPMENTS)
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
        return None if row is None or not row[0] else LedgerPart(KIND, row[0])

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
                _require(key, value, evidence, policy)
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


def _require(key: str, value: bytes, evidence: bytes, policy: Policy) -> None:
    """Byte for byte: the note of a checkpoint, its time and its transaction too."""
    if key.startswith(_POLICIES) and not evidence:
        if key != policy_key(sha256(value).digest()):
            raise FsckError("it is not the policy of this hash")
        return
    found = dict(written(prove_fabric(evidence, policy)))
    if key not in found:
        raise FsckError(f"it is of {', '.join(found)}")
    if value != found[key]:
        raise FsckError("its transaction wrote another value")


def written(proved: "Proved") -> tuple[tuple[str, bytes], ...]:
    """The keys of the state that a transaction is the proof of, and what it wrote there (chaincode/logs.py,
    chaincode/identities.py, chaincode/coldchain)."""
    call, transaction = call_of(proved), proved.transaction
    if call.function.startswith("coldchain."):
        return shipment_written(call, transaction.tx_id)
    if call.function != "logs.anchor":
        return ((identity_key(Identity.decode(call.result).handle), call.result),)
    new, note = anchored_checkpoint(call), call.args[0].decode()
    record = AnchoredCheckpoint(new.origin, new.size, new.root, note, transaction.time_us, transaction.tx_id)
    return ((checkpoint_key(new.origin, new.size), record.encode()),)


def shipment_written(call: LedgerCall, tx_id: str) -> tuple[tuple[str, bytes], ...]:
    """What a call of the cold chain wrote of its shipment: its progress, and what never changes again."""
    shipment_id = call.args[0]
    progress = progress_key(shipment_id)
    if call.function == "coldchain.open":
        begun = Progress(0, Shipment.decode(call.result).from_us)
        return (shipment_key(shipment_id), call.result), (progress, begun.encode())
    if call.function not in ("coldchain.report", "coldchain.overdue", "coldchain.release", "coldchain.close"):
        raise EvidenceError(f"{call.function} changes no shipment")
    Progress.decode(call.result)
    if call.function != "coldchain.report":
        return ((progress, call.result),)
    record = ReportRecord(call.args[1], Evidence.decode(call.args[2]).ref, call.time_us, tx_id)
    seq = Report.decode(call.args[1]).seq
    return (report_key(shipment_id, seq), record.encode()), (progress, call.result)
