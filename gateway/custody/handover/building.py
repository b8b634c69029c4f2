"""Makes the parts of a hand-over, one in memory at a time: what was shipped, what is in it, and its history.

Only what goes along is told: of a lot the packs that are in the shipment, with proofs that name no other pack, unless
most of the lot goes; of events those that made, packed, moved and received what is in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from chain.log.proofs import ProofBuilder
from chain.site import Folder, SiteReader
from crypto import cbor
from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.handover import format as form
from gateway.custody.handover.book import Book, Handover
from gateway.custody.handover.format import Heading, Part, SharedEvent
from gateway.custody.names import is_lot, pack_name
from gateway.custody.places import Places
from gateway.custody.trees import Tree, Trees
from gateway.custody.units import Unit, Units
from gateway.epcis.event import Event

NAMES_AT_ONCE = 2000
IDS_AT_ONCE = 8192
MAX_OUT_OF = 16
WHOLE_TREE = 20  # a proof is up to 20 hashes: from a 20th of the packs on the whole tree is shorter


class Builder:
    """Reads what this company knows. Blocks; use it in a thread."""

    def __init__(
        self, folder: Folder, store: Store, units: Units, containers: Containers, trees: Trees, places: Places,
        book: Book,
    ) -> None:  # fmt: skip
        self._folder, self._store, self._units, self._containers = folder, store, units, containers
        self._trees, self._places, self._book = trees, places, book

    def parts(self, handover: Handover, anchored: int) -> Iterator[Part]:
        """All parts in order. Events are proved in the checkpoint of `anchored` entries, which the ledger holds."""
        heading = Heading(self._folder.origin, handover.organisation, handover.id)
        shipped = [self._units.of(uri) for uri in handover.units]
        number, items, size = 0, list[Any](), 0
        for item in self._items(shipped, anchored):
            items.append(item)
            size += _size(item)
            if size >= form.PART_BYTES:
                yield Part(heading, number, False, tuple(items))
                number, items, size = number + 1, [], 0
        yield Part(heading, number, True, tuple(items))

    def _items(self, shipped: Sequence[Unit], anchored: int) -> Iterator[list[Any]]:
        lots: dict[int, Unit] = {}
        counts: dict[int, int] = {}
        for top in shipped:
            for unit in self._containers.inside(top):
                yield [form.UNIT, unit.uri, int(unit.kind), unit.secret]
                for lot, count in self._containers.lots(unit):
                    if lot.number not in lots:
                        yield [form.UNIT, lot.uri, int(lot.kind), lot.secret]
                    lots[lot.number] = lot
                    counts[lot.number] = counts.get(lot.number, 0) + count
                for amount in self._containers.amounts(unit):
                    if amount.lot.number not in lots:
                        yield [form.UNIT, amount.lot.uri, int(amount.lot.kind), amount.lot.secret]
                    lots[amount.lot.number] = amount.lot
                    yield [form.AMOUNT, unit.uri, amount.lot.uri, amount.count]
                yield from self._contents(unit)
        for number, count in counts.items():
            yield from self._of_lot(shipped, lots[number], count)
        yield from self._events(shipped, list(lots.values()), anchored)

    def _contents(self, unit: Unit) -> Iterator[list[Any]]:
        children = [child.uri for child in self._containers.children(unit)]
        for chunk in _chunks(children, NAMES_AT_ONCE):
            yield [form.INSIDE, unit.uri, chunk]
        names: list[str] = []
        lot = -1
        for pack, number in self._containers.packs(unit):
            if names and (number != lot or len(names) == NAMES_AT_ONCE):
                yield [form.PACKS, unit.uri, self._units.numbered(lot).uri, names]
                names = []
            lot = number
            names.append(pack_name(pack))
        if names:
            yield [form.PACKS, unit.uri, self._units.numbered(lot).uri, names]

    def _of_lot(self, shipped: Sequence[Unit], lot: Unit, count: int) -> Iterator[list[Any]]:
        """The lot's whole tree, or where each of the packs stands in it."""
        tree = self._trees.get(lot.number)
        if tree is not None and count * WHOLE_TREE >= tree.size:
            yield from self._tree(lot, tree)
            return
        places = (
            [pack_name(pack), place.index, list(place.proof)]
            for top in shipped for unit in self._containers.inside(top)
            for pack, number in self._containers.packs(unit) if number == lot.number
            for place in [self._places.in_lot(pack, lot)]
        )  # fmt: skip
        for chunk in _chunks(places, 256):
            yield [form.PLACES, lot.uri, chunk]

    def _tree(self, lot: Unit, tree: Tree) -> Iterator[list[Any]]:
        first = 0
        for chunk in _chunks(self._trees.ids(tree), IDS_AT_ONCE):
            yield [form.TREE, lot.uri, first, b"".join(chunk)]
            first += len(chunk)

    # -- history

    def _events(self, shipped: Sequence[Unit], lots: Sequence[Unit], anchored: int) -> Iterator[list[Any]]:
        leaves = set[int]()
        for top in shipped:
            for unit in self._containers.inside(top):
                leaves.update(self._history(unit))
                leaves.update(self._of_packs(unit))
        for lot in lots:
            leaves.update(self._book.mentions(lot.uri))
        with closing(SiteReader.open(self._folder)) as reader:
            builder = ProofBuilder(reader.entries, anchored)
            for leaf in sorted(leaves):
                event = self._event(reader, builder, leaf, anchored)
                if event is not None:
                    yield event.items()

    def _history(self, unit: Unit) -> Iterator[int]:
        """Events of a unit and of those that it came out of."""
        yield from self._book.mentions(unit.uri)
        for _ in range(MAX_OUT_OF):
            if unit.out_of is None:
                return
            unit = self._units.numbered(unit.out_of)
            yield from self._book.mentions(unit.uri)

    def _of_packs(self, unit: Unit) -> Iterator[int]:
        """The commissioning of packs, and the events of units that they came out of."""
        with self._store.reading() as db:
            leaves = db.execute("SELECT DISTINCT leaf FROM pack WHERE parent = ?", (unit.number,)).fetchall()
            before = db.execute("SELECT DISTINCT out_of FROM pack WHERE parent = ?", (unit.number,)).fetchall()
        yield from (leaf for (leaf,) in leaves if leaf is not None)
        for (number,) in before:
            if number is not None:
                yield from self._history(self._units.numbered(number))

    def _event(self, reader: SiteReader, builder: ProofBuilder, leaf: int, size: int) -> SharedEvent | None:
        """An event with its proof; None for one whose payload was erased or does not open here."""
        if leaf >= size:
            return None
        stored = reader.stored(leaf)
        if stored is None:
            return None
        theirs = self._book.shared(leaf, cbor.unpack(stored.event)[9])
        if theirs is not None:
            return theirs
        entry = reader.entries.entry(leaf)
        return SharedEvent(self._folder.origin, leaf, size, entry, stored.event, tuple(builder.inclusion(leaf)))

    def is_about(self, event: Event, units: Sequence[str]) -> bool:
        """Whether an event names one of these units, or something that is in one."""
        named, lots = set(units), set[str]()
        for thing in event.things:
            if thing.uri in named or any(unit.uri in named for unit in self._containers.above(thing.uri)):
                return True
            lots |= {thing.uri} if is_lot(thing.uri) else set()
        inside = (one for uri in units for one in self._containers.inside(self._units.of(uri)) if lots)
        return any(amount.lot.uri in lots for unit in inside for amount in self._containers.amounts(unit))

    def one_event(self, leaf: int, anchored: int) -> SharedEvent | None:
        """A single event, for a notice."""
        with closing(SiteReader.open(self._folder)) as reader:
            return self._event(reader, ProofBuilder(reader.entries, anchored), leaf, anchored)


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _size(item: list[Any]) -> int:
    """About how many bytes it takes."""
    total = 0
    for one in item:
        if type(one) in (str, bytes):
            total += len(one) + 3
        elif type(one) is list:
            total += _size(one)
        else:
            total += 9
    return total
