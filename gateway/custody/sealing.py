"""Units as the ledger is told of them: sealed when they move, opened when something is taken out of them.

The contract takes up to 128 units into one, and either packs and amounts or units. What does not fit in that is put
into slices: units of the gateway's own between a unit and what is in it.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from chaincode.lots.unit_records import MAX_LOTS
from crypto import cbor
from gateway.custody.amounts import bounded
from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError
from gateway.custody.lots import Lots
from gateway.custody.schema import UnitKind, UnitState
from gateway.custody.tasks import Tasks
from gateway.custody.trees import Trees
from gateway.custody.units import Unit, Units

PACK, UNPACK = "pack", "unpack"
MAX_CHILDREN = 128


class Sealing:
    """Makes tasks of what units become. Call it inside the transaction of the event."""

    def __init__(
        self, store: Store, units: Units, containers: Containers, lots: Lots, trees: Trees, tasks: Tasks
    ) -> None:
        self._store, self._units, self._containers = store, units, containers
        self._lots, self._trees, self._tasks = lots, trees, tasks

    def seal(self, unit: Unit) -> None:
        """Tell the ledger of a unit, and before it of those that are in it, unless it was told.

        Raises:
            CustodyError: there is nothing in it.
        """
        if unit.state != UnitState.OPEN:
            return
        loose = self._has_loose(unit)
        if loose and self._containers.children(unit):
            self._slice_of_loose(unit)
            loose = False
        if loose:
            self._seal_packs(unit)
        else:
            self._seal_units(unit)
        self._units.set_state(unit, UnitState.SEALED)

    def loosen(self, thing: str, leaf: int) -> None:
        """Something happens to a thing alone: all units around it are opened, the outermost first. One that the ledger
        was not told of just does not have it any more."""
        for parent in reversed(self._containers.above(thing)):
            if parent.state == UnitState.OPEN:
                continue
            self.open(parent, leaf)
        self._containers.take_out(thing)

    def open(self, unit: Unit, leaf: int, rest: Unit | None = None) -> None:
        """A sealed unit is opened. What was in it is in `rest`, or in nothing."""
        self._tasks.add(leaf, UNPACK, [unit.uri, *self.concerned(unit)], [unit.number])
        self._units.set_state(unit, UnitState.OPENED)
        self._containers.empty(unit, rest)

    def received(self, unit: Unit, leaf: int) -> None:
        """It is ours. A consignment is no thing that stays: what was in it is loose."""
        if unit.state != UnitState.COMING:
            return
        for inside in self._containers.inside(unit):
            if inside.state == UnitState.COMING:
                self._units.set_state(inside, UnitState.SEALED)
        if unit.kind is UnitKind.CONSIGNMENT:
            self.open(unit, leaf)

    def concerned(self, unit: Unit) -> list[str]:
        """URIs of what the ledger changes with a unit that is opened: units and lots that are directly in it."""
        lots = [lot.uri for lot, _ in self._containers.lots(unit)]
        amounts = [amount.lot.uri for amount in self._containers.amounts(unit)]
        return [child.uri for child in self._containers.children(unit)] + lots + amounts

    def _seal_packs(self, unit: Unit) -> None:
        lots, amounts = self._containers.lots(unit), self._containers.amounts(unit)
        if not lots and not amounts:
            raise CustodyError(f"nothing is known to be in {unit.uri}; capture the event that packed it")
        counts = {lot.number: count for lot, count in lots}
        for amount in amounts:
            counts[amount.lot.number] = bounded(counts.get(amount.lot.number, 0) + amount.count)
        if len(counts) > MAX_LOTS:
            raise CustodyError(f"{unit.uri} has goods of {len(counts)} lots in it, and the ledger takes {MAX_LOTS}")
        mixed = any(self._units.has_packs(amount.lot) for amount in amounts)  # packs that no event lists
        self._trees.build(unit.number, () if mixed else sorted(self._ids(unit)))
        inside = [lot for lot, _ in lots] + [amount.lot for amount in amounts]
        contents: cbor.CborValue = [[number, count] for number, count in counts.items()]
        waits = self._lots.waits(inside)
        reason = f"{waits} is not closed yet" if waits else ""
        about = [unit.uri, *(lot.uri for lot in inside)]
        self._tasks.add(unit.leaf or 0, PACK, about, [unit.number, contents], waits=waits, reason=reason)

    def _ids(self, unit: Unit) -> Iterator[bytes]:
        lots: dict[int, Unit] = {}
        for pack, number in self._containers.packs(unit):
            lot = lots.get(number) or lots.setdefault(number, self._units.numbered(number))
            yield lot.id_of(pack)

    def _seal_units(self, unit: Unit) -> None:
        children = self._containers.children(unit)
        if not children:
            raise CustodyError(f"nothing is known to be in {unit.uri}; capture the event that packed it")
        for child in children:
            self.seal(child)
        level = 0
        while len(children) > MAX_CHILDREN:
            level += 1
            children = list(self._sliced(unit, children, level))
        self._pack_units(unit, children)

    def _sliced(self, unit: Unit, children: Sequence[Unit], level: int) -> Iterator[Unit]:
        """Units in between, each with so many children as the contract takes."""
        rest = iter(children)
        for n in range(-(-len(children) // MAX_CHILDREN)):
            made = self._units.new(f"{unit.uri}#{level}.{n}", UnitKind.SLICE, unit.leaf)
            part = list(islice(rest, MAX_CHILDREN))
            self._move(part, made)
            self._move([made], unit)
            self._pack_units(made, part)
            self._units.set_state(made, UnitState.SEALED)
            yield made

    def _pack_units(self, unit: Unit, children: Sequence[Unit]) -> None:
        self._trees.build(unit.number, sorted(child.id for child in children))
        about = [unit.uri, *(child.uri for child in children)]
        self._tasks.add(unit.leaf or 0, PACK, about, [unit.number, None])

    def _slice_of_loose(self, unit: Unit) -> None:
        """What lies loose beside units in a unit comes into a slice of its own."""
        made = self._units.new(f"{unit.uri}#loose", UnitKind.SLICE, unit.leaf)
        with self._store.transaction() as tx:
            tx.execute("UPDATE pack SET parent = ? WHERE parent = ?", (made.number, unit.number))
            tx.execute("UPDATE amount SET parent = ? WHERE parent = ?", (made.number, unit.number))
        self._move([made], unit)

    def _move(self, units: Sequence[Unit], parent: Unit) -> None:
        with self._store.transaction() as tx:
            rows = [(parent.number, one.number) for one in units]
            tx.executemany("UPDATE unit SET parent = ? WHERE id = ?", rows)

    def _has_loose(self, unit: Unit) -> bool:
        return bool(self._containers.lots(unit) or self._containers.amounts(unit))
