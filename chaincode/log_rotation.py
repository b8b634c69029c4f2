"""The change of a log's keys: the old ones and the new ones sign it, and the new ones sign the head anew.

From then on every checkpoint must be signed by the new keys. Since the head's root is that of a tree which contains,
by the contract's own consistency checks, all that was anchored before, one note under the new keys covers it all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.log_records import AnchoredCheckpoint, FormerKeys, LogRecord
from chaincode.logs import log_head, log_keys, own_log
from chaincode.state import head_key, log_key
from chaincode.transaction import Transaction
from crypto import cbor, labels
from crypto.checkpoint import Checkpoint, open_checkpoint
from crypto.errors import FormatError
from crypto.merkle import HASH_BYTES, MAX_TREE_SIZE
from crypto.note import VerifierKey, parse_note

MAX_ROTATIONS = 64
MAX_BYTES = 32 * 1024
MAX_LEDGER_KEYS = 4


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What the keys sign: the vkeys before and after, the head at which they change, and, for those who follow from
    old keys to new ones, the vkeys that the site's embedded ledger takes at the same time (as text; none elsewhere)."""

    origin: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    size: int
    root: bytes
    ledger: tuple[str, ...] = ()

    def encode(self) -> bytes:
        return cbor.encode([1, self.origin, list(self.old), list(self.new), self.size, self.root, list(self.ledger)])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """FormatError or LimitError where `data` is no such statement."""
        item: Any = cbor.decode(data, MAX_BYTES, number_keys=False)
        if type(item) is not list or [type(part) for part in item] != [int, str, list, list, int, bytes, list]:
            raise FormatError("a change of keys is a list: version, origin, old, new, size, root, ledger's keys")
        version, origin, old, new, size, root, ledger = item
        if version != 1 or not 0 <= size <= MAX_TREE_SIZE or len(root) != HASH_BYTES or len(ledger) > MAX_LEDGER_KEYS:
            raise FormatError("a change of a log's keys has version 1, a size below 2^63, and a root of 32 bytes")
        if not all(type(vkey) is str for vkey in (*old, *new, *ledger)):
            raise FormatError("vkeys in a change of a log's keys are text")
        return cls(origin, tuple(old), tuple(new), size, root, tuple(ledger))


async def rotate(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """rotate(change, note, signature…): the log's keys change at its present head. `note` is the head's checkpoint
    signed by all new keys; the signatures over `change` are those of the old keys, then of the new ones, in order."""
    # 1. The caller owns the log.
    gateway, change = await require_gateway(tx), KeyChange.decode(args[0])
    log = await own_log(tx, gateway, change.origin)
    # 2. The statement is of the keys and of the head that the log has now: it works once.
    head = await log_head(tx, log.origin)
    if change.old != tuple(map(str, log.vkeys)) or (change.size, change.root) != (head.size, head.root):
        raise ContractError(Code.STALE_CHANGE, f"the change is of other keys or another head than {log.origin} has now")
    new = await log_keys(tx, log.origin, [vkey.encode() for vkey in change.new])
    _require_fresh(log, new)
    for vkey in change.ledger:
        VerifierKey.parse(arguments.text(vkey.encode(), "vkey"))
    # 3. All old keys hand over, and all new ones take over.
    signers, signatures = (*log.vkeys, *new), args[2:]
    if len(signatures) != len(signers):
        raise ContractError(Code.BAD_SIGNATURE, f"{len(signers)} keys sign the change, got {len(signatures)}")
    for signer, signature in zip(signers, signatures, strict=True):
        signer.key.verify(signature, args[0], labels.LOG_KEY_ROTATION)
    # 4. The new keys sign the head: what was anchored before is under them now.
    signed = open_checkpoint(parse_note(args[1]), new)
    if signed.checkpoint != Checkpoint(log.origin, head.size, head.root):
        raise ContractError(Code.STALE_CHANGE, "the note is not of the log's present head")
    if head.size:
        note = signed.note.marshal()
        renewed = AnchoredCheckpoint(log.origin, head.size, head.root, note, tx.timestamp_us, tx.id)
        await tx.put(head_key(log.origin), renewed.encode())
    former = FormerKeys(head.size, tuple(vkey.key.kid for vkey in log.vkeys))
    record = replace(log, vkeys=new, former=(*log.former, former)).encode()
    await tx.put(log_key(log.origin), record)
    tx.set_event("logs.rotated", cbor.encode([log.origin, head.size, head.root]))
    return record


def _require_fresh(log: LogRecord, new: tuple[VerifierKey, ...]) -> None:
    """A key that is or was the log's never comes again: what it may leak afterwards would count."""
    used = [vkey.key.kid for vkey in log.vkeys] + [kid for before in log.former for kid in before.kids]
    if not new or any(vkey.key.kid in used for vkey in new):
        raise ContractError(Code.KEY_IN_USE, "a log's new keys are new: none of them may have signed it before")
    if len(log.former) >= MAX_ROTATIONS:
        raise ContractError(Code.TOO_MANY_KEYS, f"{log.origin} changed its keys {MAX_ROTATIONS} times; begin a new log")
