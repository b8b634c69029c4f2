"""KEM keys of identities: partners look up here to which key something is to be sealed.

The identity's own current signature key stands behind each change. Any gateway may carry it, and none can make one.
Order is the ledger's: the key of now is the newest one, unless that was withdrawn.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.kem_records import MAX_KEM_KEYS, KemKey, KemKeys
from chaincode.managing import known
from chaincode.state import kem_key, read
from chaincode.transaction import Transaction
from crypto import cbor, labels
from crypto.kem import KemPublicKey, kem_suite_named
from crypto.keys import PublicKey


def publication(handle: str, key: KemPublicKey, number: int) -> bytes:
    """What the identity signs under labels.KEM_KEY to publish a key: its `number`th, from 0."""
    return cbor.encode([handle, str(key.suite), key.raw, number])


def withdrawal(handle: str, kid: bytes, reason: str) -> bytes:
    """What the identity signs under labels.KEM_KEY to withdraw a key."""
    return cbor.encode([handle, kid, reason])


async def publish(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """publish(handle, suite, public key, signature): from now on this is the identity's KEM key. Returns KemKeys."""
    # 1. A gateway carries it, for an identity that counts, and the key is one of its suite.
    await require_gateway(tx)
    handle = arguments.handle(args[0], "handle")
    signer = await signing_key(tx, handle)
    key = KemPublicKey(kem_suite_named(arguments.text(args[1], "suite")[:40]), args[2])
    # 2. It is new to this identity, so that no statement of before can bring an old key back.
    before = await read(tx, kem_key(handle), KemKeys) or KemKeys(handle, ())
    if len(before.keys) >= MAX_KEM_KEYS:
        raise ContractError(Code.TOO_MANY_KEYS, f"{handle} has had {MAX_KEM_KEYS} KEM keys; enrol it under a new name")
    if any(known.key.kid == key.kid for known in before.keys):
        raise ContractError(Code.KEY_IN_USE, f"{key.kid.hex()[:16]}… is or was a KEM key of {handle}; make a new one")
    # 3. The identity says so itself.
    signer.verify(args[3], publication(handle, key, len(before.keys)), labels.KEM_KEY)
    tx.set_event("kem.published", cbor.encode([handle, str(key.suite), key.kid]))
    past = before.keys
    if past and past[-1].until_us is None:
        past = (*past[:-1], replace(past[-1], until_us=tx.timestamp_us))
    return await _save(tx, KemKeys(handle, (*past, KemKey(key, tx.timestamp_us))))


async def withdraw(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """withdraw(handle, kid, reason, signature): nobody is to seal to this key any more. Returns KemKeys."""
    await require_gateway(tx)
    handle = arguments.handle(args[0], "handle")
    signer, keys, reason = await signing_key(tx, handle), await kem_keys(tx, handle), arguments.reason(args[2])
    if keys.current is None or keys.current.kid != args[1]:
        raise ContractError(Code.UNKNOWN_KEY, f"{args[1].hex()[:16]}… is not the present KEM key of {handle}")
    signer.verify(args[3], withdrawal(handle, args[1], reason), labels.KEM_KEY)
    tx.set_event("kem.withdrawn", cbor.encode([handle, args[1], reason]))
    ended = replace(keys.keys[-1], until_us=tx.timestamp_us, reason=reason)
    return await _save(tx, replace(keys, keys=(*keys.keys[:-1], ended)))


async def get(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """get(handle): the identity's KemKeys."""
    return (await kem_keys(tx, arguments.handle(args[0], "handle"))).encode()


async def kem_keys(tx: Transaction, handle: str) -> KemKeys:
    found = await read(tx, kem_key(handle), KemKeys)
    if found is None:
        raise ContractError(Code.NO_KEM_KEY, f"{handle} has published no KEM key; it must do so first")
    return found


async def signing_key(tx: Transaction, handle: str) -> PublicKey:
    """The key by which this identity signs now; ContractError where it has none."""
    identity = await known(tx, handle)
    if identity.current_key is None:
        raise ContractError(Code.KEY_CLOSED, f"the key of {handle} is revoked; enrol it under a new name")
    return identity.current_key


async def _save(tx: Transaction, keys: KemKeys) -> bytes:
    encoded = keys.encode()
    await tx.put(kem_key(keys.handle), encoded)
    return encoded
