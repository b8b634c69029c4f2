"""A task as a call of the contract: its arguments from what is known here, and what the answer means.

Trust boundary: what the contract answers is believed. A refusal is an answer: it ends the task with its code.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from chain.ledger.interface import Ledger, Submitted
from chaincode.errors import Code, ContractError
from chaincode.lots.items import Quantity
from chaincode.lots.pack_records import EndAnswer, EndStatus
from chaincode.lots.unit_records import UnitRecord, UnitState
from crypto.merkle import EMPTY_ROOT
from gateway.custody.containers import Containers
from gateway.custody.errors import CustodyError
from gateway.custody.lots import COMMISSION, Lots
from gateway.custody.places import Places
from gateway.custody.sealing import PACK, UNPACK
from gateway.custody.tasks import Task
from gateway.custody.transitions import DECOMMISSION, DESTROY, DISCARD, DISPENSE, RECEIVE, SHIP
from gateway.custody.trees import Trees
from gateway.custody.units import Unit, Units

Call = tuple[str, tuple[bytes, ...]]


class Arguments:
    """Makes the call of a task. Blocks: for a large lot for seconds, while its tree is built."""

    def __init__(self, units: Units, containers: Containers, lots: Lots, trees: Trees, places: Places) -> None:
        self._units, self._containers, self._lots = units, containers, lots
        self._trees, self._places = trees, places
        self.others: dict[str, Callable[[Task, bytes], Call]] = {}  # of tasks that others made, by name

    def of(self, tasks: Sequence[Task], evidence: bytes) -> Call:
        """The function and its arguments. Several tasks are those of one event that one call can do.

        Raises:
            CustodyError: something that it needs is not known here.
        """
        task = tasks[0]
        if task.name in self.others:
            return self.others[task.name](task, evidence)
        if task.name == RECEIVE:
            return "lots.receive", (*(self._units.numbered(number).id for number in units_of(tasks)), evidence)
        return {
            COMMISSION: self._commission, PACK: self._pack, UNPACK: self._unpack, SHIP: self._ship,
            DISPENSE: self._dispense, DECOMMISSION: self._decommission, DESTROY: self._destroy, DISCARD: self._discard,
        }[task.name](task, evidence)  # fmt: skip

    def _commission(self, task: Task, evidence: bytes) -> Call:
        lot = self._units.numbered(task.detail[0])
        facts = self._lots.facts(lot)
        tree = self._trees.build(lot.number, self._units.sorted_ids(lot))
        count = tree.size or facts.declared or 0
        inputs = sorted(
            (Quantity(self._units.of(uri).id, count) for uri, count in facts.inputs), key=lambda one: one.lot_id
        )
        day = b"" if facts.expiry_day is None else _number(facts.expiry_day)
        root = tree.root if tree.size else EMPTY_ROOT
        return "lots.commission", (lot.id, root, _number(count), day, evidence, *(one.encode() for one in inputs))

    def _pack(self, task: Task, evidence: bytes) -> Call:
        number, contents = task.detail
        unit = self._units.numbered(number)
        tree = self._trees.get(number)
        if tree is None:
            raise CustodyError(f"the tree of {unit.uri} is gone from custody.db; restore it")
        if contents is None:
            content = tuple(self._trees.ids(tree))
        else:
            found = [Quantity(self._units.numbered(lot).id, count) for lot, count in contents]
            content = tuple(one.encode() for one in sorted(found, key=lambda one: one.lot_id))
        return "lots.pack", (unit.id, tree.root, _number(tree.size), *content, evidence)

    def _unpack(self, task: Task, evidence: bytes) -> Call:
        return "lots.unpack", (self._units.numbered(task.detail[0]).id, evidence)

    def _ship(self, task: Task, evidence: bytes) -> Call:
        numbers, organisation = task.detail
        ids = [self._units.numbered(number).id for number in numbers]
        return "lots.ship", (*ids, organisation.encode(), evidence)

    def _dispense(self, task: Task, evidence: bytes) -> Call:
        return "lots.dispense", (*self._proved(task.things[0]), evidence)

    def _decommission(self, task: Task, evidence: bytes) -> Call:
        return "lots.decommission", (*self._proved(task.things[0]), task.detail.encode(), evidence)

    def _destroy(self, task: Task, evidence: bytes) -> Call:
        number, fate = task.detail
        return "lots.destroy", (self._units.numbered(number).id, fate.encode(), evidence)

    def _discard(self, task: Task, evidence: bytes) -> Call:
        count, why = task.detail
        return "lots.write-off", (self._units.of(task.things[0]).id, _number(count), why.encode(), evidence)

    def _proved(self, pack: str) -> tuple[bytes, ...]:
        """A pack with its positions: in its lot, and in the unit that was opened around it."""
        lot = self._units.lot_of(pack)
        one = lot.id_of(pack)
        in_lot = self._places.in_lot(pack, lot)
        unit = self._containers.out_of(pack)
        tree = self._trees.get(unit.number) if unit else None
        if unit is None or tree is None or not self._trees.contains(tree, one):
            return lot.id, one, in_lot.encode(), b"", b""
        return lot.id, one, in_lot.encode(), unit.id, self._trees.prove(tree, one).encode()


def units_of(tasks: Sequence[Task]) -> list[int]:
    """Numbers of the units that these receipts are about, each once."""
    return list(dict.fromkeys(int(task.detail[2]) for task in tasks))


class Refusal(NamedTuple):
    """The contract took a call for the record, and refused what it asks for. `exception_id`: of what it keeps of that,
    empty where nothing."""

    code: str
    words: str
    exception_id: bytes


def refusal_in(task: Task, answer: Submitted) -> Refusal | None:
    """What the contract refused by an answer that is on the ledger."""
    if task.name not in (DISPENSE, DECOMMISSION):
        return None
    said = EndAnswer.decode(answer.result)
    words = {
        EndStatus.DUPLICATE: "a pack of this serial ended before; the ledger keeps both sides",
        EndStatus.RECALLED: "the lot of this pack is recalled; it goes to nobody",
        EndStatus.QUARANTINED: "this pack came out of a shipment that is in quarantine; it goes to nobody",
    }
    if said.status not in words:
        return None
    exception = f" (exception {said.exception_id.hex()})" if said.exception_id else ""
    return Refusal(str(said.status), words[said.status] + exception, said.exception_id or b"")


async def was_taken(ledger: Ledger, units: Sequence[Unit], organisation: str) -> bool:
    """Whether a shipment whose answer was lost is on the ledger already, and went on since: the units are on their way
    to, or with, this recipient."""
    for unit in units:
        try:
            record = UnitRecord.decode(await ledger.evaluate("lots.unit", unit.id))
        except ContractError as e:
            if e.code is Code.UNKNOWN_UNIT:
                return False
            raise
        there = record.recipient if record.state is UnitState.IN_TRANSIT else record.custodian
        if there != organisation:
            return False
    return True


def _number(value: int) -> bytes:
    return str(value).encode()
