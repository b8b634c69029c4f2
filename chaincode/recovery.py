"""Recovery: an offline key may replace an identity's newest key when that was lost or stolen, and nothing else may.

The recovery key is registered by the signature of the identity's present key and its own; from then on only it can
name another one. Whoever holds the online key alone can neither remove nor use it. It acts in no other way.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Doubt, Identity, KeyRecord
from chaincode.managing import MAX_KEYS, known, managed, open_key, require_unused, require_within, save
from chaincode.state import kid_key
from chaincode.transaction import Transaction
from crypto import cbor, labels
from crypto.keys import PublicKey

MOST_KEYS = 2 * MAX_KEYS  # a thief who rotates until no key is left to have shall not lock out the recovery
REASON = "recovered"


def registration(record: Identity, signer: PublicKey, recovery: PublicKey) -> bytes:
    """The message by which `signer` and the recovery key itself agree, under labels.RECOVERY_KEY."""
    return cbor.encode([record.name, record.origin, signer.kid, str(recovery.algorithm), recovery.raw])


def recovering(record: Identity, new: PublicKey, from_index: int, compromised_from: int | None) -> bytes:
    """The message that the recovery key and the new key sign under labels.KEY_RECOVERY. It names the newest key, so
    it works once."""
    newest = record.keys[-1].key.kid
    return cbor.encode([record.name, record.origin, newest, str(new.algorithm), new.raw, from_index, compromised_from])


async def set_key(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """recovery(handle, algorithm, recovery key, signature, possession): register the identity's offline key. The
    signature is the present key's, or the former recovery key's where there is one."""
    record = await managed(tx, arguments.handle(args[0], "name"))
    recovery = arguments.public_key(args[1], args[2])
    await require_unused(tx, recovery)
    signer = record.recovery or open_key(record).key
    message = registration(record, signer, recovery)
    signer.verify(args[3], message, labels.RECOVERY_KEY)
    recovery.verify(args[4], message, labels.RECOVERY_KEY)
    await tx.put(kid_key(recovery.kid), record.handle.encode())
    tx.set_event("identities.recovery-key", cbor.encode([record.name, record.origin, recovery.kid]))
    return await save(tx, replace(record, recovery=recovery))


async def recover(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """recover(handle, algorithm, new key, from_index, recovery signature, new signature, [compromised_from]): the new
    key counts from from_index on, the newest one no longer. What any key signed from compromised_from on is in doubt.

    Anybody of the organisation may bring it: a gateway whose key is lost has nobody else, and the signatures decide.
    """
    # 1. For whom, with which key; the ledger vouches for the caller's organisation.
    record = await known(tx, arguments.handle(args[0], "name"))
    if record.organisation != tx.caller.organisation:
        raise ContractError(Code.NOT_OWNER, f"{record.name} is of {record.organisation}, not {tx.caller.organisation}")
    if record.recovery is None:
        raise ContractError(Code.NO_RECOVERY_KEY, f"{record.name} has no recovery key; enrol it under a new name")
    new, from_index = arguments.public_key(args[1], args[2]), arguments.index(args[3], "from_index")
    since = arguments.index(args[6], "compromised_from") if len(args) > 6 else None
    # 2. The ranges do not overlap, and nobody else has the new key.
    newest = record.keys[-1]
    start = newest.from_index if newest.until is None else newest.until
    if from_index < start or (since is not None and since > from_index):
        raise ContractError(Code.BAD_RANGE, f"the new key may count from {start} on, and doubt begins before it counts")
    if len(record.keys) >= MOST_KEYS:
        raise ContractError(Code.TOO_MANY_KEYS, f"{record.name} has had {MOST_KEYS} keys; enrol it under a new name")
    await require_unused(tx, new)
    # 3. The offline key says so, and the new key takes over.
    message = recovering(record, new, from_index, since)
    record.recovery.verify(args[4], message, labels.KEY_RECOVERY)
    new.verify(args[5], message, labels.KEY_RECOVERY)
    await tx.put(kid_key(new.kid), record.handle.encode())
    tx.set_event("identities.recovered", cbor.encode([record.name, record.origin, newest.key.kid, new.kid, from_index]))
    return await save(tx, replace(record, keys=(*_ended(record, from_index, since, tx.id), KeyRecord(new, from_index))))


def _ended(record: Identity, at: int, since: int | None, tx_id: str) -> tuple[KeyRecord, ...]:
    """The keys until now: the newest is closed, and all are in doubt from `since` on."""
    newest = record.keys[-1]
    if newest.until is None:
        require_within(newest, at)
        newest = replace(newest, until=at, reason=REASON)
    keys = (*record.keys[:-1], newest)
    if since is None:
        return keys
    return tuple(_doubted(key, since, tx_id) for key in keys)


def _doubted(key: KeyRecord, since: int, tx_id: str) -> KeyRecord:
    ended_before = key.until is not None and key.until <= since
    return key if ended_before else key.doubted(Doubt(max(since, key.from_index), tx_id))
