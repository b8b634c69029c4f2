"""Helpers of the log's tests: a log with a given number of entries, and its keys."""

from dataclasses import dataclass
from pathlib import Path

from chain.log import checkpoints, tree
from chain.log.checkpoints import Checkpoints
from chain.log.reader import LogReader
from chain.log.tree import Log
from chain.store.database import Database
from crypto.keys import Algorithm, PrivateKey
from crypto.note import NoteSigner, SignatureType

ALGORITHMS = {
    SignatureType.ED25519: Algorithm.ED25519,
    SignatureType.ED25519_COSIGNATURE: Algorithm.ED25519,
    SignatureType.ML_DSA_44_COSIGNATURE: Algorithm.ML_DSA_44,
}


def signer(name: str, kind: SignatureType) -> NoteSigner:
    """A new key of a note type."""
    return NoteSigner(name, kind, PrivateKey.generate(ALGORITHMS[kind]))


def log_signers(origin: str) -> list[NoteSigner]:
    """The two keys every log of ours has."""
    return [signer(origin, SignatureType.ED25519), signer(origin, SignatureType.ML_DSA_44_COSIGNATURE)]


@dataclass(frozen=True)
class OpenLog:
    """A log, its reader and its checkpoints on one database."""

    db: Database
    log: Log
    reader: LogReader
    checkpoints: Checkpoints

    def grow(self, count: int, text: str = "entry") -> None:
        with self.db.transaction() as tx:
            start = self.log.size
            self.log.append(tx, [f"{text} {number}".encode() for number in range(start, start + count)])


def open_log(path: Path) -> OpenLog:
    db = Database(path, (*tree.SCHEMA, *checkpoints.SCHEMA))
    return OpenLog(db, Log(db), LogReader(db), Checkpoints(db))
