"""The exchange: which sealed object was granted to whom, what recipients signed for, what was revoked.

The contract sees no ciphertext and no content. The log's owner grants and revokes; whoever holds a live grant may pass
it on with a signature of its own; a receipt is believed by its recipient's signature, whoever carries it. A revocation
ends delivery; it takes back nothing that was opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.exchange_queries import Side, grant_of, known_object, live_grant
from chaincode.exchange_records import (
    DeliveryRecord,
    DeliveryStatement,
    GrantRecord,
    ObjectRecord,
    Revocation,
    Verdict,
)
from chaincode.kem_keys import kem_keys, signing_key
from chaincode.log_records import AnchoredCheckpoint
from chaincode.logs import own_log
from chaincode.state import (
    PRESENT,
    checkpoint_key,
    delivery_key,
    grant_key,
    listing_key,
    object_key,
    read,
)
from chaincode.transaction import Transaction
from crypto import cbor, labels
from crypto.errors import FormatError

MAX_GRANTED = 32  # recipients of one call: a transaction of the embedded ledger fits a log entry
MAX_TO_BYTES = 512
MAX_STATEMENT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class To:
    """One recipient of a call: its handle, its KEM key, and the digest of its grant file (None: it stands in the
    object's own header)."""

    handle: str
    kid: bytes
    grant_digest: bytes | None = None

    def encode(self) -> bytes:
        return cbor.encode([self.handle, self.kid, self.grant_digest])

    @classmethod
    def decode(cls, data: bytes) -> "To":
        items = cbor.decode(data, MAX_TO_BYTES)
        if type(items) is not list or len(items) != 3 or type(items[0]) is not str:
            raise FormatError("a recipient is a list of handle, kid, and a grant's digest or null")
        handle = arguments.handle(items[0].encode(), "recipient")
        return cls(
            handle,
            arguments.digest(items[1], "kid"),
            None if items[2] is None else arguments.digest(items[2], "grant digest"),
        )


def passing_on(object_id: bytes, digest: bytes, to: To, holder: str) -> bytes:
    """What a holder signs under labels.EXCHANGE_REGRANT to pass an object on."""
    return cbor.encode([object_id, digest, to.handle, to.kid, to.grant_digest, holder])


async def grant(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """grant(object id, digest, size, origin, anchored size, index, recipient…): the log's owner lets them have the
    object. Each recipient is an encoded To. Returns the ObjectRecord; to grant again changes nothing."""
    # 1. The caller owns the log, and a checkpoint that it anchored covers the record that names the object.
    gateway = await require_gateway(tx)
    wanted = ObjectRecord(
        arguments.digest(args[0], "object id"), arguments.digest(args[1], "digest"), arguments.index(args[2], "size"),
        arguments.name(args[3], "origin"), arguments.index(args[5], "index"),
        arguments.index(args[4], "anchored size"), tx.timestamp_us, tx.id,
    )  # fmt: skip
    await own_log(tx, gateway, wanted.origin)
    await _require_anchored(tx, wanted)
    # 2. One object for an id, for ever.
    known = await read(tx, object_key(wanted.object_id), ObjectRecord)
    found = known or wanted
    if _facts(found) != _facts(wanted):
        raise ContractError(Code.OBJECT_EXISTS, "another object was granted under this id; seal it anew")
    # 3. The recipients, each once.
    recipients = [To.decode(encoded) for encoded in args[6:]]
    if len({}.fromkeys(to.handle for to in recipients)) != len(recipients):
        raise FormatError("a recipient is named twice in one call")
    if known is None:
        await tx.put(object_key(found.object_id), found.encode())
        await tx.put(listing_key(Side.ORIGIN, found.origin, found.object_id), PRESENT)
    new: list[cbor.CborValue] = [to.handle for to in recipients if await _let_have(tx, found, to, gateway.handle)]
    if new:
        tx.set_event("exchange.granted", cbor.encode([found.object_id, found.origin, new]))
    return found.encode()


async def _let_have(tx: Transaction, found: ObjectRecord, to: To, by: str) -> bool:
    """Write a grant by the owner; False where it stands already."""
    before = await read(tx, grant_key(found.object_id, to.handle), GrantRecord)
    if before is not None and before.revoked is None:
        if (before.kid, before.grant_digest) != (to.kid, to.grant_digest):
            raise ContractError(Code.GRANT_EXISTS, f"{to.handle} has this object under another key; revoke that first")
        return False
    await _write_grant(tx, found, to, by)
    return True


async def _write_grant(tx: Transaction, found: ObjectRecord, to: To, by: str) -> bytes:
    """A grant to a recipient whose identity and KEM key count now."""
    await signing_key(tx, to.handle)
    current = (await kem_keys(tx, to.handle)).current
    if current is None or current.kid != to.kid:
        raise ContractError(Code.KEY_CLOSED, f"{to.kid.hex()[:16]}… is not the present KEM key of {to.handle}")
    record = GrantRecord(found.object_id, to.handle, to.kid, by, to.grant_digest, tx.timestamp_us, tx.id).encode()
    await tx.put(grant_key(found.object_id, to.handle), record)
    await tx.put(listing_key(Side.RECIPIENT, to.handle, found.object_id), PRESENT)
    return record


async def regrant(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """regrant(object id, recipient, holder, signature): a holder passes an object on; `recipient` is an encoded To with
    the digest of the grant file that it made. Any gateway carries it. Returns the GrantRecord."""
    await require_gateway(tx)
    found, to = await known_object(tx, arguments.digest(args[0], "object id")), To.decode(args[1])
    holder = arguments.handle(args[2], "holder")
    # 1. The holder has the object, and nobody took that away.
    await live_grant(tx, found.object_id, holder)
    # 2. The recipient never had it: only the owner can give again what was revoked.
    if await tx.get(grant_key(found.object_id, to.handle)) is not None:
        raise ContractError(Code.GRANT_EXISTS, f"{to.handle} has, or had, a grant of this object")
    if to.grant_digest is None:
        raise FormatError("an object is passed on by a grant file; name its digest")
    # 3. The holder says so itself.
    message = passing_on(found.object_id, found.digest, to, holder)
    (await signing_key(tx, holder)).verify(args[3], message, labels.EXCHANGE_REGRANT)
    tx.set_event("exchange.granted", cbor.encode([found.object_id, found.origin, [to.handle]]))
    return await _write_grant(tx, found, to, holder)


async def receive(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """receive(statement, signature): keep what a recipient signed, once for each verdict. Returns the DeliveryRecord;
    the same again changes nothing."""
    await require_gateway(tx)
    if len(args[0]) > MAX_STATEMENT_BYTES:
        raise FormatError(f"a delivery statement has at most {MAX_STATEMENT_BYTES} bytes, got {len(args[0])}")
    said = DeliveryStatement.decode(args[0])
    arguments.handle(said.recipient.encode(), "recipient")
    if (said.verdict is Verdict.REFUSED) != bool(said.reason):
        raise FormatError("a refusal has a reason, and an opened object has none")
    if said.reason:
        arguments.reason(said.reason.encode())
    # 1. It was granted, and these are the bytes that were.
    found = await known_object(tx, said.object_id)
    await grant_of(tx, said.object_id, said.recipient)
    if said.digest != found.digest:
        raise ContractError(Code.OTHER_OBJECT, "the receipt names other bytes than those that were granted")
    # 2. The same again is no news, whatever key is the recipient's by now; a second one is refused.
    key = delivery_key(said.object_id, said.recipient, said.verdict)
    before = await read(tx, key, DeliveryRecord)
    if before is not None:
        if (before.statement, before.signature) != (args[0], args[1]):
            raise ContractError(Code.RECEIPT_EXISTS, f"{said.recipient} has said already that it {said.verdict} it")
        return before.encode()
    # 3. The recipient signed it.
    signer = await signing_key(tx, said.recipient)
    signer.verify(args[1], args[0], labels.DELIVERY_RECEIPT)
    record = DeliveryRecord(args[0], signer.kid, args[1], tx.timestamp_us, tx.id).encode()
    await tx.put(key, record)
    tx.set_event(
        "exchange.received", cbor.encode([said.object_id, found.origin, said.recipient, str(said.verdict)])
    )  # fmt: skip
    return record


async def revoke(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """revoke(object id, recipient, reason): the log's owner ends a grant. What was opened stays open: it only is
    delivered no more. Returns the GrantRecord; revoking again changes nothing."""
    gateway = await require_gateway(tx)
    found, reason = await known_object(tx, arguments.digest(args[0], "object id")), arguments.reason(args[2])
    await own_log(tx, gateway, found.origin)
    record = await grant_of(tx, found.object_id, arguments.handle(args[1], "recipient"))
    if record.revoked is not None:
        return record.encode()
    ended = replace(record, revoked=Revocation(tx.timestamp_us, tx.id, reason)).encode()
    await tx.put(grant_key(found.object_id, record.recipient), ended)
    tx.set_event("exchange.revoked", cbor.encode([found.object_id, found.origin, record.recipient, reason]))
    return ended


async def _require_anchored(tx: Transaction, wanted: ObjectRecord) -> None:
    """Reads a checkpoint and not the head: what never changes conflicts with no anchor on its way."""
    if await read(tx, checkpoint_key(wanted.origin, wanted.anchored_size), AnchoredCheckpoint) is None:
        raise ContractError(
            Code.UNKNOWN_CHECKPOINT, f"no checkpoint of size {wanted.anchored_size} of {wanted.origin} was anchored"
        )
    if wanted.index >= wanted.anchored_size:
        raise ContractError(
            Code.NOT_ANCHORED, f"record {wanted.index} is not in the checkpoint of {wanted.anchored_size} entries"
        )


def _facts(record: ObjectRecord) -> tuple[bytes, int, str, int]:
    return record.digest, record.size, record.origin, record.index
