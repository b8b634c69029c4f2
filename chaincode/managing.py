"""What all functions that change an identity share: who may, which key is open, and that no key is used twice."""

from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity, KeyRecord, Role
from chaincode.state import identity_key, kid_key, read
from chaincode.transaction import Transaction
from crypto.keys import PublicKey

MAX_KEYS = 32
MAX_ROTATED_BYTES = 40 * 1024  # of a record: a recovery adds to it, and must still fit a ledger's transaction


async def known(tx: Transaction, name: str) -> Identity:
    """The identity of this handle; ContractError where nobody has it."""
    record = await read(tx, identity_key(name), Identity)
    if record is None:
        raise ContractError(Code.UNKNOWN_IDENTITY, f"nobody is enrolled as {name}")
    return record


async def managed(tx: Transaction, name: str) -> Identity:
    """The identity of this handle, which the calling gateway manages."""
    gateway = await require_gateway(tx)
    record = await known(tx, name)
    require_management(gateway, record)
    return record


def require_management(gateway: Identity, subject: Identity) -> None:
    """A gateway manages its organisation's gateways, and the other identities of its own log."""
    if subject.organisation != gateway.organisation:
        raise ContractError(Code.NOT_OWNER, f"{subject.name} is of {subject.organisation}, not {gateway.organisation}")
    if subject.role is not Role.GATEWAY and subject.origin != gateway.origin:
        raise ContractError(
            Code.NOT_OWNER, f"{subject.name} belongs to the log {subject.origin}; {gateway.name} keeps {gateway.origin}"
        )


def open_key(record: Identity) -> KeyRecord:
    """The key by which the identity acts now."""
    if record.current is None:
        raise ContractError(Code.KEY_CLOSED, f"the key of {record.name} is revoked; enrol it anew or recover it")
    return record.current


async def require_unused(tx: Transaction, key: PublicKey) -> None:
    """A key is somebody's for ever."""
    if await tx.get(kid_key(key.kid)) is not None:
        raise ContractError(Code.KEY_IN_USE, f"key {key.kid.hex()[:16]}… is or was somebody's; make a new key")


def require_within(record: KeyRecord, index: int) -> None:
    """A range is shortened, never lengthened."""
    if index < record.from_index or (record.until is not None and index > record.until):
        raise ContractError(
            Code.BAD_RANGE, f"the key counts from {record.from_index} to {record.until}; {index} would not shorten that"
        )


async def save(tx: Transaction, record: Identity) -> bytes:
    """Write the record and return it."""
    encoded = record.encode()
    await tx.put(identity_key(record.handle), encoded)
    return encoded
