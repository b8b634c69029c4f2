"""Records of the exchange: which sealed object is known, to whom it was granted, and what each recipient said of it.

They name a ciphertext by its digest and reveal nothing of what is in it, but for its length and who gets it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from chaincode.state import MAX_NUMBER, digest, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError

_OBJECT = frozenset(range(1, 10))
_GRANT = frozenset(range(1, 10))
_STATEMENT = frozenset(range(1, 8))
_DELIVERY = frozenset(range(1, 7))


class Verdict(StrEnum):
    """What a recipient says of an object that it was granted."""

    OPENED = "opened"
    REFUSED = "refused"


_VERDICTS = frozenset(Verdict)


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """A sealed object: SHA-256 and length of the ciphertext, and the record `index` of the log `origin` that names
    it, which the checkpoint of `anchored_size` entries covers."""

    object_id: bytes
    digest: bytes
    size: int
    origin: str
    index: int
    anchored_size: int
    granted_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(
            self.object_id, self.digest, self.size, self.origin, self.index, self.anchored_size, self.granted_us,
            self.tx_id,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _OBJECT, "object record")
        return cls(
            digest(item, 2, "object id"), digest(item, 3, "digest"), number(item, 4, "size"),
            cbor.field(item, 5, str, "origin"), number(item, 6, "index"), number(item, 7, "anchored size"),
            number(item, 8, "time"), cbor.field(item, 9, str, "transaction id"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Revocation:
    """When, by which transaction and why a grant was revoked."""

    revoked_us: int
    tx_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """That `recipient` may have an object, under its KEM key `kid`. `by` is who granted it: a gateway, or a holder who
    passed it on. `grant_digest` is SHA-256 of the grant's file, None for a recipient in the object's own header."""

    object_id: bytes
    recipient: str
    kid: bytes
    by: str
    grant_digest: bytes | None
    granted_us: int
    tx_id: str
    revoked: Revocation | None = None

    def encode(self) -> bytes:
        revoked = [self.revoked.revoked_us, self.revoked.tx_id, self.revoked.reason] if self.revoked else None
        return encoded(
            self.object_id, self.recipient, self.kid, self.by, self.grant_digest, self.granted_us, self.tx_id, revoked
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _GRANT, "grant record")
        grant_digest = None if item[6] is None else digest(item, 6, "grant digest")
        return cls(
            digest(item, 2, "object id"), cbor.field(item, 3, str, "recipient"), digest(item, 4, "kid"),
            cbor.field(item, 5, str, "granter"), grant_digest, number(item, 7, "time"),
            cbor.field(item, 8, str, "transaction id"), _revocation(item[9]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeliveryStatement:
    """What a recipient signs: that it opened or refused exactly this ciphertext. `said_us` is its own clock. `reason`
    is empty where it was opened."""

    object_id: bytes
    digest: bytes
    recipient: str
    verdict: Verdict
    reason: str
    said_us: int

    def encode(self) -> bytes:
        return encoded(self.object_id, self.digest, self.recipient, str(self.verdict), self.reason, self.said_us)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _STATEMENT, "delivery statement")
        verdict = cbor.field(item, 5, str, "verdict")
        if verdict not in _VERDICTS:
            raise FormatError(f"a verdict must be one of {', '.join(Verdict)}, got {verdict[:20]!r}")
        return cls(
            digest(item, 2, "object id"), digest(item, 3, "digest"), cbor.field(item, 4, str, "recipient"),
            Verdict(verdict), cbor.field(item, 6, str, "reason"), number(item, 7, "time"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A recipient's signed statement as it came, the kid of the key that signed it, and when the ledger took it."""

    statement: bytes
    kid: bytes
    signature: bytes
    received_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(self.statement, self.kid, self.signature, self.received_us, self.tx_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _DELIVERY, "delivery record")
        statement = cbor.field(item, 2, bytes, "statement")
        DeliveryStatement.decode(statement)
        return cls(
            statement, digest(item, 3, "kid"), cbor.field(item, 4, bytes, "signature"), number(item, 5, "time"),
            cbor.field(item, 6, str, "transaction id"),
        )  # fmt: skip


def _revocation(items: Any) -> Revocation | None:
    if items is None:
        return None
    if type(items) is not list or [type(x) for x in items] != [int, str, str] or not 0 <= items[0] <= MAX_NUMBER:
        raise FormatError("a revocation is null or a list of time, transaction id and reason")
    return Revocation(*items)
