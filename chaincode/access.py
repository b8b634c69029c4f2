"""Who may call: the caller's key is looked up in the ledger's own records, not believed from the message."""

from chaincode.errors import Code, ContractError, StateError
from chaincode.identity_records import Identity, Role
from chaincode.state import identity_key, kid_key, read
from chaincode.transaction import Transaction


async def require_gateway(tx: Transaction) -> Identity:
    """The caller's identity, which must be a gateway acting with its current key; ContractError if not."""
    # 1. The key is enrolled, 2. and still the open one of its identity.
    identity = await _identity_of(tx, tx.caller.kid)
    current = identity.current
    if current is None or current.key.kid != tx.caller.kid:
        raise ContractError(Code.KEY_CLOSED, f"this key of {identity.name} was rotated or revoked; use its current key")
    # 3. The ledger vouches for the organisation that the identity belongs to.
    if identity.organisation != tx.caller.organisation:
        raise ContractError(
            Code.FORBIDDEN, f"{identity.name} is of {identity.organisation}, the caller of {tx.caller.organisation}"
        )
    # 4. The role.
    if identity.role is not Role.GATEWAY:
        raise ContractError(Code.FORBIDDEN, f"{identity.name} is a {identity.role}; only a gateway may do this")
    return identity


async def _identity_of(tx: Transaction, kid: bytes) -> Identity:
    owner = await tx.get(kid_key(kid))
    if owner is None:
        raise ContractError(Code.NOT_ENROLLED, f"no identity holds the caller's key {kid.hex()[:16]}…; enrol it first")
    identity = await read(tx, identity_key(owner.decode()), Identity)
    if identity is None:
        raise StateError(f"key {kid.hex()[:16]}… belongs to {owner.decode()}, which has no record; run fsck")
    return identity
