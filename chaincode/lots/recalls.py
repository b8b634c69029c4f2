"""Recalls: the maker stops a lot everywhere with one write. Who has it answers off the ledger, tier by tier.

From the recall on the lot goes into no other lot and no new unit beside others, to no patient, and no further: only
back. The ledger keeps commitments to answers, so that one that was given in time can be proved later.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.errors import Code, ContractError
from chaincode.lots.acting import Acting, acting
from chaincode.lots.holdings import known_lot
from chaincode.lots.keys import lot_key, recall_answer_key, recall_key
from chaincode.lots.recall_records import GRAVEST, MILDEST, Lifted, RecallAnswer, RecallRecord
from chaincode.lots.records import LotRecord, Recalled
from chaincode.state import read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError


async def recall(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """recall(lot id, class, deadline, reason, evidence): the maker recalls a lot, or says that a recall is graver than
    it was said to be. Returns the RecallRecord; the same again changes nothing."""
    here = await acting(tx, args[4])
    lot = await _own_lot(tx, args[0], here)
    grade, deadline = arguments.index(args[1], "class"), arguments.index(args[2], "deadline")
    if not GRAVEST <= grade <= MILDEST:
        raise FormatError(f"a recall's class is from {GRAVEST} to {MILDEST}, got {grade}")
    before = await known_recall(tx, lot.recalled.recall_id) if lot.recalled else None
    if before is not None and (before.evidence, before.grade) == (here.evidence, grade):
        return before.encode()
    if before is not None and grade >= before.grade:
        raise ContractError(Code.RECALLED, f"the lot is recalled already, with class {before.grade}")
    record = RecallRecord(
        tx.id, lot.lot_id, lot.maker, grade, deadline, arguments.reason(args[3]), here.evidence, tx.timestamp_us,
        before.recall_id if before else None,
    )  # fmt: skip
    await tx.put(recall_key(record.recall_id), record.encode())
    await _write(tx, replace(lot, recalled=Recalled(tx.id, grade, tx.timestamp_us)))
    tx.set_event("lots.recalled", cbor.encode([lot.lot_id, record.recall_id, grade, deadline]))
    return record.encode()


async def lift(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """lift(recall id, reason, evidence): the maker ends a recall that was false. Returns the RecallRecord; the same
    again changes nothing."""
    here, record = await acting(tx, args[2]), await known_recall(tx, _recall_id(args[0]))
    lot, reason = await _own_lot(tx, record.lot_id, here), arguments.reason(args[1])
    if record.lifted is not None and (record.lifted.reason, record.lifted.evidence) == (reason, here.evidence):
        return record.encode()
    if lot.recalled is None or lot.recalled.recall_id != record.recall_id:
        raise ContractError(Code.NOT_RECALLED, "this recall was lifted, or a graver one took its place")
    ended = replace(record, lifted=Lifted(reason, here.evidence, tx.timestamp_us, tx.id))
    await tx.put(recall_key(record.recall_id), ended.encode())
    await _write(tx, replace(lot, recalled=None))
    tx.set_event("lots.lifted", cbor.encode([lot.lot_id, record.recall_id, reason]))
    return ended.encode()


async def answer(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """recalls.answer(recall id, commitment, evidence): an answer exists by now, of which this is a commitment with a
    secret salt. Returns the RecallAnswer; the same again changes nothing."""
    here, record = await acting(tx, args[2]), await known_recall(tx, _recall_id(args[0]))
    key = recall_answer_key(record.recall_id, arguments.digest(args[1], "commitment"))
    known = await read(tx, key, RecallAnswer)
    if known is not None:
        return known.encode()
    said = RecallAnswer(record.recall_id, args[1], here.evidence.leaf_hash, tx.timestamp_us, tx.id).encode()
    await tx.put(key, said)
    tx.set_event("recalls.answered", cbor.encode([record.recall_id, args[1]]))
    return said


async def known_recall(tx: Transaction, recall_id: str) -> RecallRecord:
    found = await read(tx, recall_key(recall_id), RecallRecord)
    if found is None:
        raise ContractError(Code.UNKNOWN_RECALL, f"no recall {recall_id[:16]}… was begun")
    return found


async def get(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """recalls.get(recall id): the RecallRecord."""
    return (await known_recall(tx, _recall_id(args[0]))).encode()


async def answered(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """recalls.answered(recall id, commitment): the RecallAnswer, or CBOR null."""
    record = await known_recall(tx, _recall_id(args[0]))
    found = await read(tx, recall_answer_key(record.recall_id, arguments.digest(args[1], "commitment")), RecallAnswer)
    return found.encode() if found else cbor.encode(None)


def _recall_id(argument: bytes) -> str:
    """The id of the transaction that began it."""
    return arguments.name(argument, "recall id")


async def _own_lot(tx: Transaction, lot_id: bytes, here: Acting) -> LotRecord:
    lot = await known_lot(tx, arguments.digest(lot_id, "lot id"))
    if lot.maker != here.organisation:
        raise ContractError(Code.NOT_MAKER, f"the lot {lot.lot_id.hex()[:16]}… was made by {lot.maker}")
    return lot


async def _write(tx: Transaction, lot: LotRecord) -> None:
    await tx.put(lot_key(lot.lot_id), lot.encode())
