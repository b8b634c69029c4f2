"""Identities: sources, gateways, partners and auditors with their keys, and where in the log each key counts.

A key is believed to be its identity's only with proof of possession; a new key only when the old one and
the new one both sign the change. A key's range can be shortened, never lengthened.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Doubt, Identity, KeyRecord, Role
from chaincode.managing import (
    MAX_KEYS,
    MAX_ROTATED_BYTES,
    known,
    managed,
    open_key,
    require_management,
    require_unused,
    require_within,
    save,
)
from chaincode.state import PRESENT, identity_key, kid_key, organisation_key, role_key
from chaincode.transaction import Transaction
from crypto import cbor, labels
from crypto.errors import FormatError
from crypto.keys import PublicKey
from crypto.keystore.statements import rotation_message

MAX_LISTED = 1000


def enrolment(name: str, origin: str, key: PublicKey) -> bytes:
    """The message that an enrolling key signs under labels.ENROL."""
    return cbor.encode([name, origin, str(key.algorithm), key.raw])


def rotation(name: str, old: PublicKey, new: PublicKey, from_index: int) -> bytes:
    """The message that the old and the new key both sign under labels.KEY_ROTATION."""
    return rotation_message(name, old, new, from_index)


async def bootstrap(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """bootstrap(name, algorithm, public key, origin, possession): an organisation's first gateway enrols
    itself, once. On an embedded ledger of one site, which has one organisation, that is once at all."""
    name, key = arguments.name(args[0], "name"), arguments.public_key(args[1], args[2])
    # Keys of the state hold the organisation's name, and it is asked for by an argument.
    arguments.name(tx.caller.organisation.encode(), "organisation")
    if await tx.get(organisation_key(tx.caller.organisation)) is not None:
        raise ContractError(Code.BOOTSTRAPPED, f"{tx.caller.organisation} has its first gateway; let it enrol others")
    if key.kid != tx.caller.kid:
        raise ContractError(Code.FORBIDDEN, "the first gateway enrols itself: sign the transaction with its own key")
    origin = arguments.name(args[3], "origin")
    record = Identity(name, Role.GATEWAY, tx.caller.organisation, origin, (KeyRecord(key, 0),))
    await tx.put(organisation_key(tx.caller.organisation), name.encode())
    return await _add(tx, record, args[4])


async def enrol(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """enrol(name, role, algorithm, public key, origin, from_index, possession): returns the Identity record."""
    gateway = await require_gateway(tx)
    name, role = arguments.name(args[0], "name"), arguments.choice(Role, args[1], "role")
    key, origin = arguments.public_key(args[2], args[3]), arguments.name(args[4], "origin")
    first = KeyRecord(key, arguments.index(args[5], "from_index"))
    record = Identity(name, role, gateway.organisation, origin, (first,))
    require_management(gateway, record)
    return await _add(tx, record, args[6])


async def _add(tx: Transaction, record: Identity, possession: bytes) -> bytes:
    key = record.keys[0].key
    if await tx.get(identity_key(record.handle)) is not None:
        raise ContractError(Code.IDENTITY_EXISTS, f"{record.name} is enrolled; choose another name or rotate its key")
    await require_unused(tx, key)
    key.verify(possession, enrolment(record.name, record.origin, key), labels.ENROL)
    encoded = record.encode()
    await tx.put(identity_key(record.handle), encoded)
    await tx.put(kid_key(key.kid), record.handle.encode())
    await tx.put(role_key(record.role, record.handle), PRESENT)
    tx.set_event("identities.enrolled", cbor.encode([record.name, record.origin, str(record.role), key.kid]))
    return encoded


async def rotate(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """rotate(handle, algorithm, public key, from_index, old signature, new signature): the old key counts below
    from_index, the new one from there on. Calls to the ledger take the new key at once."""
    # 1. Who calls, for whom, with which keys.
    record = await managed(tx, arguments.handle(args[0], "name"))
    old, new = open_key(record), arguments.public_key(args[1], args[2])
    from_index = arguments.index(args[3], "from_index")
    # 2. The ranges do not overlap, the record stays small, and nobody else has the new key.
    require_within(old, from_index)
    if len(record.keys) >= MAX_KEYS:
        raise ContractError(Code.TOO_MANY_KEYS, f"{record.name} has had {MAX_KEYS} keys; enrol it under a new name")
    await require_unused(tx, new)
    # 3. The old key hands over, and the new key takes over.
    message = rotation(record.name, old.key, new, from_index)
    old.key.verify(args[4], message, labels.KEY_ROTATION)
    new.verify(args[5], message, labels.KEY_ROTATION)
    await tx.put(kid_key(new.kid), record.handle.encode())
    tx.set_event("identities.rotated", cbor.encode([record.name, record.origin, old.key.kid, new.kid, from_index]))
    keys = (*record.keys[:-1], replace(old, until=from_index), KeyRecord(new, from_index))
    rotated = replace(record, keys=keys)
    if len(rotated.encode()) > MAX_ROTATED_BYTES:
        raise ContractError(Code.TOO_MANY_KEYS, f"the record of {record.name} is full; enrol it under a new name")
    return await save(tx, rotated)


async def revoke(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """revoke(handle, kid, at_index, reason, [compromised_from]): the key counts below at_index only. May shorten a
    range further, and may reach back, since a theft is noticed late; the transaction shows when it was declared.
    What the key signed from index compromised_from on counts, but is in doubt."""
    record = await managed(tx, arguments.handle(args[0], "name"))
    at_index, reason = arguments.index(args[2], "at_index"), arguments.reason(args[3])
    place = next((i for i, held in enumerate(record.keys) if held.key.kid == args[1]), None)
    if place is None:
        raise ContractError(Code.UNKNOWN_KEY, f"{record.name} never had the key {args[1].hex()[:16]}…")
    if args[1] == tx.caller.kid:
        raise ContractError(Code.SELF_REVOCATION, "a gateway cannot revoke the key it acts with; another one must")
    require_within(record.keys[place], at_index)
    ended = replace(record.keys[place], until=at_index, reason=reason)
    if len(args) > 4:
        compromised_from = arguments.index(args[4], "compromised_from")
        if not ended.from_index <= compromised_from <= at_index:
            raise ContractError(Code.BAD_RANGE, f"the key is in doubt from an index of its range on, up to {at_index}")
        ended = ended.doubted(Doubt(compromised_from, tx.id))
    tx.set_event("identities.revoked", cbor.encode([record.name, record.origin, args[1], at_index, reason]))
    return await save(tx, replace(record, keys=(*record.keys[:place], ended, *record.keys[place + 1 :])))


async def get(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """get(handle): the Identity record."""
    return (await known(tx, arguments.handle(args[0], "name"))).encode()


async def listing(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """list(role, [after]): CBOR list of the handles with that role that sort after `after`, at most 1,000."""
    role = arguments.choice(Role, args[0], "role")
    prefix = role_key(role, "")
    start = prefix + arguments.handle(args[1], "after") + "\x00" if len(args) > 1 else prefix
    names: list[cbor.CborValue] = []
    async for key, _ in tx.range(start, prefix + "\x7f"):
        names.append(key[len(prefix) :])
        if len(names) == MAX_LISTED:
            break
    return cbor.encode(names)


async def history(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """history(handle, [before]): CBOR list of [transaction id, time, SHA-256 of the Identity record], one for each
    change, newest first, at most 1,000; with `before` those older than the change by that transaction."""
    name = (await known(tx, arguments.handle(args[0], "name"))).handle
    before = arguments.text(args[1], "before") if len(args) > 1 else None
    found: list[cbor.CborValue] = []
    async for version in tx.history(identity_key(name)):
        if before is None:
            found.append([version.tx_id, version.timestamp_us, version.value_hash])
        elif version.tx_id == before:
            before = None
        if len(found) == MAX_LISTED:
            break
    if before is not None:
        raise FormatError(f"before must be the id of a transaction that changed {name}, got {before[:64]!r}")
    return cbor.encode(found)
