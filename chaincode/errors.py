"""What the contract answers instead of a result: a refusal with a stable code, or damaged state.

Codes are part of the interface (docs/contract.md): clients decide by them, never by the text beside them.
"""

from enum import StrEnum

from crypto.errors import SealtrailError


class Code(StrEnum):
    """Why a call was refused. A refused call changes nothing."""

    UNKNOWN_FUNCTION = "unknown-function"
    ARGUMENT_COUNT = "argument-count"
    ARGUMENT_SIZE = "argument-size"
    MALFORMED = "malformed"
    NOT_ENROLLED = "not-enrolled"
    KEY_CLOSED = "key-closed"
    FORBIDDEN = "forbidden"
    NOT_OWNER = "not-owner"
    UNKNOWN_LOG = "unknown-log"
    LOG_EXISTS = "log-exists"
    UNKNOWN_CHECKPOINT = "unknown-checkpoint"
    BAD_SIGNATURE = "bad-signature"
    BAD_PROOF = "bad-proof"
    SMALLER_SIZE = "smaller-size"
    BOOTSTRAPPED = "bootstrapped"
    UNKNOWN_IDENTITY = "unknown-identity"
    IDENTITY_EXISTS = "identity-exists"
    UNKNOWN_KEY = "unknown-key"
    KEY_IN_USE = "key-in-use"
    TOO_MANY_KEYS = "too-many-keys"
    BAD_RANGE = "bad-range"
    SELF_REVOCATION = "self-revocation"
    NO_KEM_KEY = "no-kem-key"
    NOT_ANCHORED = "not-anchored"
    UNKNOWN_OBJECT = "unknown-object"
    OBJECT_EXISTS = "object-exists"
    OTHER_OBJECT = "other-object"
    NOT_GRANTED = "not-granted"
    GRANT_EXISTS = "grant-exists"
    RECEIPT_EXISTS = "receipt-exists"
    NO_RECOVERY_KEY = "no-recovery-key"
    STALE_CHANGE = "stale-change"
    UNKNOWN_ORGANISATION = "unknown-organisation"
    UNKNOWN_LOT = "unknown-lot"
    LOT_EXISTS = "lot-exists"
    NOT_MAKER = "not-maker"
    NOT_HELD = "not-held"
    UNKNOWN_UNIT = "unknown-unit"
    UNIT_EXISTS = "unit-exists"
    UNIT_INSIDE = "unit-inside"
    UNIT_ENDED = "unit-ended"
    NOT_CUSTODIAN = "not-custodian"
    IN_TRANSIT = "in-transit"
    NOT_IN_TRANSIT = "not-in-transit"
    NOT_RECIPIENT = "not-recipient"
    EXPIRED = "expired"
    RECALLED = "recalled"
    NOT_RECALLED = "not-recalled"
    UNKNOWN_RECALL = "unknown-recall"
    UNKNOWN_EXCEPTION = "unknown-exception"
    EXCEPTION_OPEN = "exception-open"
    EXCEPTION_CLOSED = "exception-closed"
    QUARANTINED = "quarantined"
    UNKNOWN_POLICY = "unknown-policy"
    UNKNOWN_SHIPMENT = "unknown-shipment"
    SHIPMENT_EXISTS = "shipment-exists"
    SHIPMENT_CLOSED = "shipment-closed"
    UNIT_UNDER_WAY = "unit-under-way"
    STALE_REPORT = "stale-report"
    BAD_REPORT = "bad-report"
    SHRINKING_REPORT = "shrinking-report"
    UNKNOWN_REPORT = "unknown-report"
    UNKNOWN_ALARM = "unknown-alarm"
    NOT_OVERDUE = "not-overdue"
    NOT_QUARANTINED = "not-quarantined"
    UNEXPLAINED = "unexplained"
    EXPLANATION_EXISTS = "explanation-exists"
    DISPUTE_EXISTS = "dispute-exists"


class ContractError(SealtrailError):
    """The contract refused a call; `code` says why. Its text is `code: message`, also where only text travels."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class StateError(SealtrailError):
    """A record in the ledger's own state cannot be read, being damaged or of a newer version, or is none to be kept."""
