"""Errors of the chain room: the store, the log, the ledgers, receipts and fsck."""

from crypto.errors import DecryptionError, SealtrailError


class StoreError(SealtrailError):
    """The data directory or a database in it cannot be used as it is."""


class DiskFullError(StoreError):
    """The site's disk bound is reached, or the disk itself is full: new events are refused, none overwritten."""


class LogError(SealtrailError):
    """The log cannot do what was asked: an index or size it does not have, an entry it must refuse."""


class ForkError(LogError):
    """The log's own history contradicts its anchor, a witness, or itself. Both notes are in the message."""


class WitnessError(SealtrailError):
    """The witness quorum was not reached, so the checkpoint is not published (fail closed)."""


class LedgerError(SealtrailError):
    """The ledger could not be read or written."""


class UnsureError(LedgerError):
    """Whether the ledger took the call is not known: it may still do so."""


class EvidenceError(LedgerError):
    """No proof can be made of a transaction: what the ledger tells of it does not hold, or is too large."""


class AnchorRefusedError(LedgerError):
    """The contract refused a checkpoint, with its reason."""


class UntrustedError(SealtrailError):
    """The policy holds no key for this log or ledger, so nothing can be said of it."""


class PolicyError(SealtrailError):
    """A trust policy is malformed."""


class ReceiptError(SealtrailError):
    """A receipt cannot be built, or its file cannot be read."""


class SealedError(DecryptionError):
    """A payload is sealed to recipients, and none of their private keys is here. `kids` names their keys."""

    def __init__(self, text: str, kids: tuple[bytes, ...]) -> None:
        super().__init__(text)
        self.kids = kids


class ErasureError(SealtrailError):
    """An erasure cannot be done, or a statement of one does not fit the log."""


class FsckError(SealtrailError):
    """Stored evidence is not whole; the message names the first false place."""
