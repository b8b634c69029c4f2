"""The JSON about sealed objects and partners; conventions as in gateway.api.models."""

from typing import Annotated

from pydantic import Field, StringConstraints

from chaincode.arguments import MAX_REASON
from chaincode.exchange_records import DeliveryRecord, DeliveryStatement
from crypto.kem import KemSuite
from gateway.api.bodies import AlgorithmName, Base64In, In
from gateway.api.models import Base64, Hex, Out
from gateway.objects.catalogue import StoredObject
from gateway.objects.exchange import Granted
from gateway.objects.partners import PartnerKeys

_SEGMENT = "[A-Za-z0-9._~:@-]+"
HANDLE_PATTERN = f"^[A-Za-z0-9][A-Za-z0-9._~:@-]*(/{_SEGMENT})*(#[A-Za-z0-9][A-Za-z0-9._~:@-]*(/{_SEGMENT})*)?$"
Handle = Annotated[str, StringConstraints(min_length=1, max_length=257, pattern=HANDLE_PATTERN)]
PartnerName = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=f"^[A-Za-z0-9][A-Za-z0-9._~:@-]*(/{_SEGMENT})*$")
]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON, pattern=r"^[\x20-\x7e]+$")]
MAX_AT_ONCE = 32


class ObjectOut(Out):
    """A sealed object that is kept here."""

    id: Hex = Field(description="object id, from its header")
    digest: Hex = Field(description="SHA-256 of the ciphertext, what sha256sum prints")
    size: int
    recipients: list[Hex] = Field(description="kids of the KEM keys in its header")
    stored_us: int
    record: str | None = Field(description="index of the record in the log that names it; null until it is logged")

    @classmethod
    def of(cls, stored: StoredObject) -> "ObjectOut":
        record = None if stored.leaf is None else str(stored.leaf)
        return cls(
            id=stored.object_id, digest=stored.digest, size=stored.size, recipients=list(stored.kids),
            stored_us=stored.stored_us, record=record,
        )  # fmt: skip


class ObjectsOut(Out):
    """Objects by id. Ask again with `after` for those behind them; null at the end."""

    objects: list[ObjectOut]
    after: Hex | None


class DeliveryOut(Out):
    """What a recipient signed."""

    verdict: str = Field(examples=["opened"])
    reason: str
    said_us: int = Field(description="the recipient's clock")
    received_us: int = Field(description="time of the ledger's transaction")
    kid: Hex = Field(description="of the key that signed")
    statement: Base64
    signature: Base64
    transaction: str


class RevokedOut(Out):
    """When and why a grant was revoked. What was opened before cannot be taken back."""

    revoked_us: int
    reason: str
    transaction: str


class GrantOut(Out):
    """One grant by the ledger."""

    recipient: str
    kid: Hex
    by: str = Field(description="who granted it: a gateway, or a holder who passed it on")
    granted_us: int
    transaction: str
    grant_digest: Hex | None = Field(description="SHA-256 of the grant file; null: it stands in the object's header")
    grant: Base64 | None = Field(description="the grant file, where it is kept here")
    revoked: RevokedOut | None
    deliveries: list[DeliveryOut]

    @classmethod
    def of(cls, found: Granted) -> "GrantOut":
        record, ended = found.record, found.record.revoked
        revoked = (
            RevokedOut(revoked_us=ended.revoked_us, reason=ended.reason, transaction=ended.tx_id) if ended else None
        )
        return cls(
            recipient=record.recipient, kid=record.kid, by=record.by, granted_us=record.granted_us,
            transaction=record.tx_id, grant_digest=record.grant_digest, grant=found.file, revoked=revoked,
            deliveries=[_delivery(record) for record in found.deliveries],
        )  # fmt: skip


def _delivery(record: DeliveryRecord) -> DeliveryOut:
    said = DeliveryStatement.decode(record.statement)
    return DeliveryOut(
        verdict=str(said.verdict), reason=said.reason, said_us=said.said_us, received_us=record.received_us,
        kid=record.kid, statement=record.statement, signature=record.signature, transaction=record.tx_id,
    )  # fmt: skip


class GrantsOut(Out):
    """An object and its grants by recipient, as the ledger has them. Ask again with `after` for those behind them; null
    at the end."""

    id: Hex
    digest: Hex = Field(description="SHA-256 of the ciphertext")
    size: int
    origin: str = Field(description="log whose record names the object")
    record: str = Field(description="index of that record")
    grants: list[GrantOut]
    after: str | None


class GrantIn(In):
    """Who may have an object. Without `grant` every recipient stands in the object's own header. With it there is one
    recipient, for whom the file was made; with `holder` and `signature` the holder itself passes it on."""

    recipients: Annotated[list[Handle], Field(min_length=1, max_length=MAX_AT_ONCE)]
    grant: Base64In | None = Field(None, description="a grant file")
    holder: Handle | None = Field(None, description="who passes it on")
    signature: Base64In | None = Field(None, description="the holder's, over CBOR as in docs/formats/exchange.md")


class ReceiptIn(In):
    """A recipient's signed delivery receipt."""

    statement: Base64In
    signature: Base64In


class PartnerIn(In):
    """A partner and its signature key. `possession` signs CBOR [name, origin, algorithm, key] under the enrolment
    label."""

    name: PartnerName
    algorithm: AlgorithmName
    public_key: Base64In
    possession: Base64In


class KemKeyIn(In):
    """An identity's next KEM key; its signature key stands behind it."""

    suite: KemSuite = Field(strict=False)
    public_key: Base64In
    signature: Base64In


class WithdrawIn(In):
    """The end of an identity's present KEM key, by its own word."""

    reason: Reason
    signature: Base64In


class KemKeyOut(Out):
    """A KEM key by the ledger. `until_us` is null for the present one; `reason` is set where it was withdrawn."""

    suite: str
    kid: Hex
    public_key: Base64
    since_us: int
    until_us: int | None
    reason: str


class SigningKeyOut(Out):
    """The key by which an identity signs now."""

    algorithm: str
    kid: Hex
    public_key: Base64


class PartnerKeysOut(Out):
    """Whom to seal to, by the ledger. Compare kids with what the partner itself says: a ledger that one gateway keeps
    alone is that gateway's word."""

    handle: str
    signing: SigningKeyOut | None = Field(description="null where it is revoked")
    current: KemKeyOut | None = Field(description="the key to seal to; null where it is withdrawn")
    kem_keys: list[KemKeyOut]

    @classmethod
    def of(cls, found: PartnerKeys) -> "PartnerKeysOut":
        keys = [
            KemKeyOut(
                suite=str(k.key.suite), kid=k.key.kid, public_key=k.key.raw, since_us=k.since_us, until_us=k.until_us,
                reason=k.reason,
            )
            for k in found.kem.keys
        ]  # fmt: skip
        own = found.signing
        signing = SigningKeyOut(algorithm=str(own.algorithm), kid=own.kid, public_key=own.raw) if own else None
        present = keys[-1] if found.kem.current else None
        return cls(handle=found.handle, signing=signing, current=present, kem_keys=keys)
