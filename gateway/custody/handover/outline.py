"""What a hand-over says, as far as memory must have it: units and lots with their secrets, and what is in what.

Trust boundary: all of it is the sender's word. Here it is held against itself and against bounds; whether it is true,
gateway.custody.handover.checking asks the ledger.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from crypto import bulk
from crypto.merkle import HASH_BYTES
from crypto.units import unit_id, unit_ids
from gateway.custody.errors import HandoverError
from gateway.custody.handover import format as form
from gateway.custody.handover.format import Part
from gateway.custody.names import PRODUCT, gtin_of, is_lot, is_pack
from gateway.custody.schema import UnitKind

MAX_UNITS = 200_000  # with lots
MAX_SHIPPED = 1_000
MAX_THINGS = 2_000_000  # that are in units: packs, amounts and units, all together


@dataclass(slots=True)
class Contents:
    """What is said to be directly in one unit. `ids`: of packs by lot, 32 bytes each, one behind the other."""

    ids: dict[str, bytearray] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.children) + sum(len(one) // HASH_BYTES for one in self.ids.values())


@dataclass(slots=True)
class Outline:
    """`inside`: units that are in others. `trees`: lots whose whole tree comes, with the ids so far; `placed`: the ids
    of packs whose places come, by lot. `coming`: units that by the ledger are on their way to us from the sender."""

    units: dict[str, tuple[UnitKind, bytes]] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    contents: dict[str, Contents] = field(default_factory=dict)
    trees: dict[str, int] = field(default_factory=dict)
    placed: dict[str, bytearray] = field(default_factory=dict)
    coming: set[str] = field(default_factory=set)
    things: int = 0
    places: int = 0

    def id_of(self, uri: str) -> bytes:
        """HandoverError where no secret of it came."""
        if uri not in self.units:
            raise HandoverError(f"something of {uri[:120]} is handed over, but not its secret")
        return unit_id(self.units[uri][1], uri)

    @property
    def shipped(self) -> list[str]:
        """The outermost units."""
        return [uri for uri in self.logistic if uri not in self.inside]

    @property
    def logistic(self) -> list[str]:
        """All units that are no lots."""
        return [uri for uri, (kind, _) in self.units.items() if kind is not UnitKind.LOT]

    @property
    def lots(self) -> list[str]:
        return [uri for uri, (kind, _) in self.units.items() if kind is UnitKind.LOT]

    def ids_in(self, uri: str) -> list[bytes]:
        """The ids of what is directly in a unit, ascending."""
        said = self.contents.get(uri, Contents())
        packs = (bulk.split(bytes(ids)) for ids in said.ids.values())
        return sorted(chain(*packs, map(self.id_of, said.children)))

    def with_contents(self, uris: Iterable[str]) -> Iterator[str]:
        """These units and all that is in them, each once."""
        seen, left = set[str](), list(uris)
        while left:
            uri = left.pop()
            if uri not in seen:
                seen.add(uri)
                yield uri
                left += self.contents[uri].children if uri in self.contents else []

    def packs_by_lot(self) -> dict[str, list[bytearray]]:
        """The ids of each lot's packs, as they stand in units."""
        found: dict[str, list[bytearray]] = {}
        for said in self.contents.values():
            for lot, ids in said.ids.items():
                found.setdefault(lot, []).append(ids)
        return found

    # -- read

    def read(self, part: Part) -> None:
        """Take in one part; HandoverError where it goes beyond the bounds, or against what came before."""
        for item in part.items:
            if item[0] == form.UNIT:
                self._unit(item[1], UnitKind(item[2]), item[3])
            elif item[0] == form.INSIDE:
                self._inside(item[1], item[2])
            elif item[0] == form.PACKS:
                self._packs(item[1], item[2], item[3])
            elif item[0] == form.AMOUNT:
                self._amount(item[1], item[2], item[3])
            elif item[0] == form.TREE:
                self._tree(item[1], item[2], len(item[3]) // HASH_BYTES)
            elif item[0] == form.PLACES:
                self._places(item[1], [name for name, *_ in item[2]])

    def _unit(self, uri: str, kind: UnitKind, secret: bytes) -> None:
        if (kind is UnitKind.LOT) is not is_lot(uri):
            raise HandoverError(f"{uri[:120]} is handed over as a {kind.name.lower()}, which is not what it names")
        if self.units.setdefault(uri, (kind, secret)) != (kind, secret):
            raise HandoverError(f"{uri[:120]} has two secrets, or is of two kinds")
        if len(self.units) > MAX_UNITS:
            raise HandoverError(f"a hand-over has at most {MAX_UNITS:,} units and lots")

    def _inside(self, unit: str, children: Sequence[str]) -> None:
        self._count(len(children))
        said = self._of(unit)
        for child in children:
            if child in self.inside:
                raise HandoverError(f"{child[:120]} is handed over as in two units, or twice in one")
            self.inside.add(child)
        said.children += children

    def _packs(self, unit: str, lot: str, names: Sequence[str]) -> None:
        self._count(len(names))
        said, secret = self._of(unit), self._secret_of(lot)
        ids = said.ids.setdefault(lot, bytearray())
        ids += b"".join(unit_ids(secret, map(PRODUCT.__add__, _packs_of(lot, names))))

    def _amount(self, unit: str, lot: str, count: int) -> None:
        self._count(1)
        self._secret_of(lot)
        amounts = self._of(unit).amounts
        amounts[lot] = amounts.get(lot, 0) + count

    def _tree(self, lot: str, first: int, count: int) -> None:
        self._secret_of(lot)
        if self.trees.get(lot, 0) != first:
            raise HandoverError(f"the ids of {lot[:120]} do not come in order")
        self.trees[lot] = first + count

    def _places(self, lot: str, names: Sequence[str]) -> None:
        self.places += len(names)
        _require_few(self.places)
        ids = self.placed.setdefault(lot, bytearray())
        ids += b"".join(unit_ids(self._secret_of(lot), map(PRODUCT.__add__, _packs_of(lot, names))))

    def _of(self, unit: str) -> Contents:
        if self.units.get(unit, (UnitKind.LOT,))[0] is UnitKind.LOT:
            raise HandoverError(f"something is in {unit[:120]}, which came before as no unit with its secret")
        return self.contents.setdefault(unit, Contents())

    def _secret_of(self, lot: str) -> bytes:
        kind, secret = self.units.get(lot, (None, b""))
        if kind is not UnitKind.LOT:
            raise HandoverError(f"something of {lot[:120]} is handed over, which came before as no lot with its secret")
        return secret

    def _count(self, more: int) -> None:
        self.things += more
        _require_few(self.things)

    # -- held against itself

    def require_whole(self) -> None:
        """HandoverError unless there is something shipped, each lot is in some unit, and of its packs the places came,
        or all its ids."""
        if not 1 <= len(self.shipped) <= MAX_SHIPPED:
            raise HandoverError(
                f"a hand-over is about 1 to {MAX_SHIPPED:,} units, and this one names {len(self.shipped):,}"
            )
        packs = self.packs_by_lot()
        moved = packs.keys() | {lot for said in self.contents.values() for lot in said.amounts}
        for lot in self.lots:
            if lot not in moved:
                raise HandoverError(f"{lot[:120]} is handed over, and nothing of it is in any unit")
        if stray := self.trees.keys() - packs.keys():
            raise HandoverError(f"ids of {min(stray)[:120]} came, and no pack of it is in any unit")
        for lot in (packs.keys() - self.trees.keys()) | self.placed.keys():
            if _set_of(packs.get(lot, ())) != _set_of([self.placed.get(lot, bytearray())]):
                raise HandoverError(
                    f"the places that came for {lot[:120]} are not those of its packs, and not all its ids came"
                )


def _set_of(pieces: Iterable[bytearray]) -> set[bytes]:
    return set(chain.from_iterable(bulk.split(bytes(one)) for one in pieces))


def _require_few(count: int) -> None:
    """Before anything is made of them."""
    if count > MAX_THINGS:
        raise HandoverError(f"more than {MAX_THINGS:,} packs, amounts and units are in units; hand over less at once")


def _packs_of(lot: str, names: Sequence[str]) -> Sequence[str]:
    """The names, each of a pack of the lot's product; HandoverError else."""
    gtin = gtin_of(lot)
    for name in names:
        if not is_pack(PRODUCT + name) or gtin_of(PRODUCT + name) != gtin:
            raise HandoverError(f"{name[:120]} is no pack of {lot[:120]}: expected its GTIN and a serial")
    return names
