"""Logs: a gateway's checkpoints, accepted only where each provably extends the one before.

The refusals are those of a C2SP tlog-witness, with the contract's own state in the place of a witness's.
A note is believed only after every registered key of its origin has signed it.
"""

from collections.abc import Sequence

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, AnchorStatus, ForkRecord, LogRecord
from chaincode.state import checkpoint_key, fork_key, head_key, kid_key, log_key, read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from crypto.errors import FormatError
from crypto.merkle import EMPTY_ROOT, verify_consistency
from crypto.note import SignatureType, VerifierKey, parse_note

MAX_FORKS_LISTED = 16
MAX_LOG_KEYS = 4
_LOG_KEYS = (SignatureType.ED25519, SignatureType.ML_DSA_44_COSIGNATURE)


async def register(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """register(origin, vkey…): the caller's own log and the keys that must all sign its checkpoints."""
    gateway = await require_gateway(tx)
    origin = arguments.name(args[0], "origin")
    if gateway.origin != origin:
        raise ContractError(Code.NOT_OWNER, f"{gateway.name} is the gateway of {gateway.origin}, not of {origin}")
    vkeys = await log_keys(tx, origin, args[1:])
    if await tx.get(log_key(origin)) is not None:
        raise ContractError(Code.LOG_EXISTS, f"the log {origin} is registered; its keys change by logs.rotate")
    record = LogRecord(origin, gateway.name, vkeys).encode()
    head = AnchoredCheckpoint(origin, 0, EMPTY_ROOT, "", tx.timestamp_us, tx.id)
    await tx.put(log_key(origin), record)
    await tx.put(head_key(origin), head.encode())
    tx.set_event("logs.registered", cbor.encode([origin, gateway.name]))
    return record


async def log_keys(tx: Transaction, origin: str, given: Sequence[bytes]) -> tuple[VerifierKey, ...]:
    """The vkeys that are to sign the checkpoints of `origin`, checked."""
    vkeys = tuple(VerifierKey.parse(arguments.text(vkey, "vkey")) for vkey in given)
    if len(vkeys) > MAX_LOG_KEYS:
        raise FormatError(f"a log has at most {MAX_LOG_KEYS} keys, got {len(vkeys)}")
    for vkey in vkeys:
        if vkey.name != origin or vkey.type not in _LOG_KEYS:
            raise FormatError(f"a log's vkeys are named {origin} and of type 01 or 06, got {str(vkey)[:60]!r}")
        if await tx.get(kid_key(vkey.key.kid)) is not None:
            raise ContractError(Code.KEY_IN_USE, "an identity's key may not sign notes as well; make a new key")
    if len({}.fromkeys(vkey.key_id for vkey in vkeys)) != len(vkeys):
        raise FormatError("a log's vkeys must differ in their key ids")
    return vkeys


async def anchor(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """anchor(note, proof hash…): move the log's head to the note's checkpoint. Returns an AnchorAnswer.

    Two roots of one size leave the head as it is, keep both notes, and commit with the status "fork".
    """
    # 1. The caller is a gateway, the log is known, and it is the caller's.
    gateway = await require_gateway(tx)
    log = await own_log(tx, gateway, Checkpoint.parse(parse_note(args[0]).text).origin)
    # 2. Every registered key has signed the note.
    signed = open_checkpoint(args[0], log.vkeys)
    # 3. The log has not signed another root for this size.
    checkpoint = signed.checkpoint
    head = await log_head(tx, log.origin)
    earlier = head if checkpoint.size == head.size else await _checkpoint(tx, log.origin, checkpoint.size)
    if earlier is not None and earlier.note and earlier.root != checkpoint.root:
        await _keep_fork(tx, earlier, signed)
        return AnchorAnswer(AnchorStatus.FORK, head.size, head.root).encode()
    # 4. It does not go back.
    if checkpoint.size < head.size:
        raise ContractError(Code.SMALLER_SIZE, f"size {checkpoint.size} is below the anchored size {head.size}")
    # 5. It extends the head.
    verify_consistency(head.size, checkpoint.size, args[1:], head.root, checkpoint.root)
    if checkpoint.size == head.size:
        return AnchorAnswer(AnchorStatus.UNCHANGED, head.size, head.root).encode()
    await _move_head(tx, signed)
    return AnchorAnswer(AnchorStatus.ANCHORED, checkpoint.size, checkpoint.root).encode()


async def own_log(tx: Transaction, gateway: Identity, origin: str) -> LogRecord:
    """The log of this origin, which the gateway owns."""
    log = await read(tx, log_key(arguments.name(origin.encode(), "origin")), LogRecord)
    if log is None:
        raise ContractError(Code.UNKNOWN_LOG, f"no log {origin} is registered; its gateway must register it first")
    if log.owner != gateway.name:
        raise ContractError(Code.NOT_OWNER, f"the log {origin} is anchored by {log.owner}, not by {gateway.name}")
    return log


async def log_head(tx: Transaction, origin: str) -> AnchoredCheckpoint:
    """The newest checkpoint that was accepted of this log."""
    head = await read(tx, head_key(origin), AnchoredCheckpoint)
    if head is None:
        raise ContractError(Code.UNKNOWN_LOG, f"no log {origin} is registered")
    return head


async def _checkpoint(tx: Transaction, origin: str, size: int) -> AnchoredCheckpoint | None:
    return await read(tx, checkpoint_key(origin, size), AnchoredCheckpoint)


async def _move_head(tx: Transaction, signed: SignedCheckpoint) -> None:
    new = signed.checkpoint
    record = AnchoredCheckpoint(new.origin, new.size, new.root, signed.note.marshal(), tx.timestamp_us, tx.id).encode()
    await tx.put(checkpoint_key(new.origin, new.size), record)
    await tx.put(head_key(new.origin), record)
    tx.set_event("logs.anchored", cbor.encode([new.origin, new.size, new.root]))


async def _keep_fork(tx: Transaction, earlier: AnchoredCheckpoint, signed: SignedCheckpoint) -> None:
    refused, note = signed.checkpoint, signed.note.marshal()
    key = fork_key(refused.origin, refused.size)
    if await tx.get(key) is None:  # the first proof of a fork is proof enough; a flood of others adds nothing
        record = ForkRecord(refused.origin, refused.size, earlier.note, note, tx.timestamp_us, tx.id)
        await tx.put(key, record.encode())
    tx.set_event("logs.fork", cbor.encode([refused.origin, refused.size, earlier.root, refused.root]))


async def get(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """get(origin): the LogRecord."""
    origin = arguments.name(args[0], "origin")
    log = await read(tx, log_key(origin), LogRecord)
    if log is None:
        raise ContractError(Code.UNKNOWN_LOG, f"no log {origin} is registered")
    return log.encode()


async def head(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """head(origin): the AnchoredCheckpoint that is the log's head."""
    return (await log_head(tx, arguments.name(args[0], "origin"))).encode()


async def checkpoint(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """checkpoint(origin, size): the AnchoredCheckpoint of that size."""
    origin, size = arguments.name(args[0], "origin"), arguments.index(args[1], "size")
    found = await _checkpoint(tx, origin, size)
    if found is None:
        raise ContractError(Code.UNKNOWN_CHECKPOINT, f"no checkpoint of size {size} of {origin} was anchored")
    return found.encode()


async def forks(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """forks(origin): CBOR list of the log's ForkRecords, each as bytes, smallest size first, at most 16."""
    prefix = fork_key(arguments.name(args[0], "origin"), 0)[:-20]
    found: list[cbor.CborValue] = []
    async for key, value in tx.range(prefix, prefix + ":"):
        if len(key) == len(prefix) + 20:  # else it is of a log whose origin lies below this one
            found.append(value)
        if len(found) == MAX_FORKS_LISTED:
            break
    return cbor.encode(found)
