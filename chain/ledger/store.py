"""The embedded ledger on disk: state, transaction leaves and signed checkpoint, in one durable commit each time.

Blocking, and used from one thread at a time. The file is trusted to be ours; at start its checkpoint must carry
our own signatures and match the log, and `check.py` verifies all the rest.
"""

import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from chain.errors import LedgerError, LogError, StoreError
from chain.ledger import state
from chain.ledger.evidence import EmbeddedEvidence
from chain.ledger.interface import LedgerEvent, Submitted
from chain.ledger.state import StateTransaction, run_to_end
from chain.ledger.transaction_leaf import Request, TransactionLeaf, open_leaf
from chain.log import tree
from chain.log.proofs import inclusion_proof
from chain.log.reader import LogReader
from chain.store.database import Database
from chaincode.transaction import Caller, Transaction
from crypto.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from crypto.errors import SealtrailError
from crypto.keys import PrivateKey
from crypto.note import NoteSigner, VerifierKey

FILE = "ledger.db"
EVENTS_READ = 256  # leaves looked through at once
SCHEMA = (
    *state.SCHEMA,
    *tree.SCHEMA,
    "CREATE TABLE IF NOT EXISTS ledger_head (id INTEGER PRIMARY KEY CHECK (id = 0), note TEXT NOT NULL)",
)
Contract = Callable[[Transaction, str, Sequence[bytes]], Coroutine[Any, Any, bytes]]


class LedgerStore:
    """One ledger file. Several processes may open it: each commit reads the log's edge anew if it moved."""

    def __init__(self, folder: Path, name: str, signers: Sequence[NoteSigner], contract: Contract) -> None:
        if not signers or any(signer.name != name for signer in signers):
            raise LedgerError(f"the ledger {name} is signed by keys of its own name, got {[s.name for s in signers]}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise StoreError(f"cannot make {folder}: {e.strerror}; is its disk full or read-only?") from e
        self.name = name
        self._signers = tuple(signers)
        self._contract = contract
        self.db = Database(folder / FILE, SCHEMA)
        try:
            self._log, self._reader = tree.Log(self.db), LogReader(self.db)
            self._require_own_head()
        except sqlite3.Error as e:
            self.db.close()
            raise LedgerError(f"{FILE} cannot be read: {e}") from e
        except SealtrailError:
            self.db.close()
            raise

    def _require_own_head(self) -> None:
        with self.db.snapshot():
            size, root, note = self._log.size, self._log.root(), head_note(self.db)
        if not size and not note:
            return
        try:
            head = open_checkpoint(note, self.vkeys).checkpoint
        except SealtrailError as e:
            raise LedgerError(f"{FILE}: its checkpoint is not signed with the keys of {self.name}: {e}") from e
        if (head.size, head.root) != (size, root):
            raise LedgerError(f"{FILE}: its checkpoint is of {head.size} transactions, its log has {size}; run fsck")

    def submit(self, request: Request, key: PrivateKey) -> Submitted:
        """Run the contract; commit its writes, the leaf and a new signed checkpoint, or nothing at all."""
        with self.db.transaction() as connection:
            tx = self._transaction(request)
            result = run_to_end(self._contract(tx, request.function, request.args))
            leaf = TransactionLeaf(request, request.sign(key), tx.writes(), tx.event, result)
            try:
                index = self._log.append(connection, [leaf.encode()])
            except LogError as e:
                raise LedgerError(f"the transaction is too large for the ledger: {e}") from e
            tx.apply(index)
            self._sign_head(request.time_us)
        return Submitted(request.tx_id, result, index)

    def _transaction(self, request: Request) -> StateTransaction:
        caller = Caller(request.caller.kid, request.organisation or self.name)
        return StateTransaction(self.db.connection, self._reader.entry, request.tx_id, caller, request.time_us)

    def _sign_head(self, time_us: int) -> None:
        checkpoint = Checkpoint(self.name, self._log.size, self._log.root())
        note = sign_checkpoint(checkpoint, self._signers, time_us // 1_000_000).marshal()
        self.db.connection.execute("INSERT OR REPLACE INTO ledger_head (id, note) VALUES (0, ?)", (note,))

    @property
    def vkeys(self) -> tuple[VerifierKey, ...]:
        """All of these sign every checkpoint."""
        return tuple(signer.vkey for signer in self._signers)

    def change_signers(self, signers: Sequence[NoteSigner], time_us: int) -> None:
        """Sign with these from now on, and the newest checkpoint anew: every transaction is under it."""
        before, self._signers = self._signers, tuple(signers)
        try:
            with self.db.transaction():
                if self._log.size:
                    self._sign_head(time_us)
        except BaseException:
            self._signers = before
            raise

    def evaluate(self, request: Request) -> bytes:
        """Run the contract on one snapshot of the state; its writes are thrown away."""
        with self.db.snapshot():
            return run_to_end(self._contract(self._transaction(request), request.function, request.args))

    def evidence(self, index: int) -> bytes:
        """EmbeddedEvidence of the transaction at `index` under the newest checkpoint, encoded."""
        with self.db.snapshot():
            leaf, size = self._reader.entry(index), self._reader.size()
            proof = tuple(inclusion_proof(self._reader, index, size))
            return EmbeddedEvidence(leaf, index, proof, head_note(self.db)).encode()

    def events_after(self, after: int) -> tuple[list[LedgerEvent], int]:
        """Events of at most 256 transactions behind `after`, and the index of the last one looked at."""
        size, start = self._reader.size(), after + 1
        if not 0 <= start <= size:
            raise LedgerError(f"events after {after} were asked for, but the ledger has {size} transactions")
        stop = min(size, start + EVENTS_READ)
        leaves = enumerate(map(open_leaf, self._reader.entries(start, stop)), start)
        events = [
            LedgerEvent(index, leaf.request.tx_id, *leaf.event) for index, leaf in leaves if leaf.event is not None
        ]
        return events, stop - 1

    def close(self) -> None:
        self.db.close()


def head_note(db: Database) -> str:
    """The ledger's newest signed checkpoint, empty before the first transaction."""
    row = db.connection.execute("SELECT note FROM ledger_head").fetchone()
    return str(row[0]) if row else ""
