"""Reads an embedded ledger beside its writer: proofs for receipts, without any private key.

Opens the file read-only; what it returns is believed by nobody before chain.ledger.evidence has verified it.
"""

from pathlib import Path

from chain.ledger.evidence import EmbeddedEvidence
from chain.ledger.store import FILE, head_note
from chain.log.proofs import inclusion_proof
from chain.log.reader import LogReader
from chain.receipt import LedgerPart
from chain.store.database import Database


class EmbeddedLedgerReader:
    """Implements chain.receipts.LedgerReader over one read-only connection."""

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder / FILE, readonly=True)
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

    def close(self) -> None:
        self._db.close()
