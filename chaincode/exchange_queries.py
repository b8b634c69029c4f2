"""What the exchange holds, looked up: an object's facts, its grants with what recipients signed, their history.

Callers' arguments are untrusted; what the state says is as true as chaincode.exchange let it become. Nothing here
changes anything.
"""

from collections.abc import Sequence
from enum import StrEnum

from chaincode import arguments
from chaincode.errors import Code, ContractError
from chaincode.exchange_records import GrantRecord, ObjectRecord, Verdict
from chaincode.state import delivery_key, grant_key, listing_key, object_key, read
from chaincode.transaction import Transaction
from crypto import cbor

MAX_LISTED = 256
MAX_PAGE = 64
MAX_HISTORY = 1000


class Side(StrEnum):
    """Whose objects are listed: a recipient's, or those of a log."""

    RECIPIENT = "recipient"
    ORIGIN = "origin"


async def get(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """get(object id): the ObjectRecord."""
    return (await known_object(tx, arguments.digest(args[0], "object id"))).encode()


async def granted(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """granted(object id, recipient): CBOR list of the GrantRecord and its DeliveryRecords, each as bytes."""
    record = await grant_of(tx, arguments.digest(args[0], "object id"), arguments.handle(args[1], "recipient"))
    return cbor.encode([record.encode(), await _deliveries(tx, record.object_id, record.recipient)])


async def grants(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """grants(object id, [after]): CBOR list of [GrantRecord, [DeliveryRecord…]], each record as bytes, by recipient,
    at most 64; with `after` those whose handle sorts after it."""
    found = await known_object(tx, arguments.digest(args[0], "object id"))
    prefix = grant_key(found.object_id, "")
    start = prefix + arguments.handle(args[1], "after") + "\x00" if len(args) > 1 else prefix
    listed: list[cbor.CborValue] = []
    async for key, value in tx.range(start, prefix + "\x7f"):
        listed.append([value, await _deliveries(tx, found.object_id, key[len(prefix) :])])
        if len(listed) == MAX_PAGE:
            break
    return cbor.encode(listed)


async def _deliveries(tx: Transaction, object_id: bytes, recipient: str) -> list[cbor.CborValue]:
    said = [await tx.get(delivery_key(object_id, recipient, verdict)) for verdict in Verdict]
    return [record for record in said if record is not None]


async def listing(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """list(side, name, [after]): CBOR list of the ids of objects that were granted to this recipient, or by this log,
    ascending, at most 256; with `after` those behind that id."""
    side, name = arguments.choice(Side, args[0], "side"), arguments.handle(args[1], "name")
    prefix = listing_key(side, name, b"")
    start = prefix + arguments.digest(args[2], "after").hex() + "\x00" if len(args) > 2 else prefix
    ids: list[cbor.CborValue] = []
    async for key, _ in tx.range(start, prefix + "\x7f"):
        ids.append(bytes.fromhex(key[len(prefix) :]))
        if len(ids) == MAX_LISTED:
            break
    return cbor.encode(ids)


async def history(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """history(object id, recipient): CBOR list of [transaction id, time, SHA-256 of the GrantRecord], one for each
    change of a grant, newest first, at most 1,000."""
    record = await grant_of(tx, arguments.digest(args[0], "object id"), arguments.handle(args[1], "recipient"))
    found: list[cbor.CborValue] = []
    async for version in tx.history(grant_key(record.object_id, record.recipient)):
        found.append([version.tx_id, version.timestamp_us, version.value_hash])
        if len(found) == MAX_HISTORY:
            break
    return cbor.encode(found)


async def known_object(tx: Transaction, object_id: bytes) -> ObjectRecord:
    found = await read(tx, object_key(object_id), ObjectRecord)
    if found is None:
        raise ContractError(Code.UNKNOWN_OBJECT, f"no object {object_id.hex()[:16]}… was granted to anybody")
    return found


async def grant_of(tx: Transaction, object_id: bytes, recipient: str) -> GrantRecord:
    found = await read(tx, grant_key(object_id, recipient), GrantRecord)
    if found is None:
        raise ContractError(Code.NOT_GRANTED, f"the object {object_id.hex()[:16]}… was not granted to {recipient}")
    return found


async def live_grant(tx: Transaction, object_id: bytes, recipient: str) -> GrantRecord:
    found = await grant_of(tx, object_id, recipient)
    if found.revoked is not None:
        raise ContractError(Code.NOT_GRANTED, f"the grant of {object_id.hex()[:16]}… to {recipient} was revoked")
    return found
