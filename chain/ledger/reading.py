"""What a site has of its ledger on disk: values of the state, and their proofs for receipts, without any private key.

Opens files read-only; what it returns is believed by nobody before it was verified.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from chain.ledger.check import check_file
from chain.ledger.evidence import EmbeddedEvidence
from chain.ledger.store import FILE, head_note
from chain.log.proofs import inclusion_proof
from chain.log.reader import LogReader
from chain.policy import ChannelLine, LedgerLine
from chain.receipt import LedgerPart
from chain.site import Folder
from chain.store.database import Database
from crypto.checkpoint import open_checkpoint
from crypto.errors import SealtrailError
from crypto.note import NoteSigner, VerifierKey


class LedgerReader(Protocol):
    """A site's own view of its ledger, whichever it is. Keys are those of chaincode.state. `complete`: every value
    of the ledger is here, not only what the site kept of it."""

    @property
    def complete(self) -> bool: ...

    def evidence_for(self, key: str) -> LedgerPart | None:
        """The proof of the transaction that last wrote a key; None where there is none."""

    def value(self, key: str) -> bytes | None:
        """What that transaction wrote."""

    def values(self, start: str, end: str) -> list[tuple[str, bytes]]:
        """Pairs with start ≤ key < end, in the order of keys."""

    def lines(self) -> tuple[tuple[LedgerLine, ...], tuple[ChannelLine, ...]]:
        """What a policy says to trust this ledger."""

    def check(self) -> int:
        """Number of transactions that were checked, all of them true; FsckError names the first false place."""

    def snapshot(self) -> AbstractContextManager[object]:
        """Several reads of one state."""

    def close(self) -> None: ...


def open_reader(folder: Folder) -> LedgerReader:
    """The reader of whichever ledger the site has."""
    if (folder.ledger / FILE).exists():
        signers = ledger_signers(folder) if folder.keys.exists() else ()  # a recipient's copy has no keys of the site
        vkeys = tuple(signer.vkey for signer in signers)
        return EmbeddedLedgerReader(folder.ledger, folder.ledger_name, vkeys)
    from chain.ledger.fabric.kept import KeptProofs

    return KeptProofs(folder.ledger, readonly=True)


def ledger_signers(folder: Folder) -> tuple[NoteSigner, ...]:
    """Those that signed the embedded ledger's newest checkpoint: the present ones, or, in the midst of a change of
    keys, the next ones."""
    following = None if folder.shared_ledger else folder.key_folder.next
    if following is not None and (folder.ledger / FILE).exists():
        with closing(Database(folder.ledger / FILE, readonly=True)) as db, suppress(SealtrailError):
            signers = following.ledger_signers()
            open_checkpoint(head_note(db), [signer.vkey for signer in signers])
            return signers
    return folder.ledger_signers()


class EmbeddedLedgerReader:
    """LedgerReader over one read-only connection to an embedded ledger, beside its writer. `name` and `keys` are
    needed for `check` and `lines` only."""

    complete = True

    def __init__(self, folder: Path, name: str = "", keys: tuple[VerifierKey, ...] = ()) -> None:
        self._path, self._name, self._keys = folder / FILE, name, keys
        self._db = Database(self._path, readonly=True)
        self._log = LogReader(self._db)

    def evidence_for(self, key: str) -> LedgerPart | None:
        with self._db.snapshot() as connection:
            row = connection.execute("SELECT leaf FROM state WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            size, index = self._log.size(), row[0]
            proof = tuple(inclusion_proof(self._log, index, size))
            evidence = EmbeddedEvidence(self._log.entry(index), index, proof, head_note(self._db))
        return LedgerPart("embedded", evidence.encode())

    def value(self, key: str) -> bytes | None:
        row = self._db.connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def values(self, start: str, end: str) -> list[tuple[str, bytes]]:
        query = "SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key"
        return self._db.connection.execute(query, (start, end)).fetchall()

    def lines(self) -> tuple[tuple[LedgerLine, ...], tuple[ChannelLine, ...]]:
        return tuple(LedgerLine("embedded", key) for key in self._keys), ()

    def check(self) -> int:
        return check_file(self._path, self._name, self._keys)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._db.snapshot():
            yield

    def close(self) -> None:
        self._db.close()
