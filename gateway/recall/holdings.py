"""Who has the packs of a lot now, as this gateway's own events tell: what is here, what ended, who got the rest.

What a partner handed over tells of packs that never came here too; those are left out. Packs that came from different
suppliers are told apart by the parties of the events that brought them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.events.schema import Role
from gateway.events.view import EventsView
from gateway.query.errors import NotFoundError
from gateway.recall.statements import Counts
from gateway.trace.latest import Latest
from gateway.trace.model import Direction, Relation, Row, Walk
from gateway.trace.spans import common
from gateway.trace.store import EventStore
from gateway.trace.tracing import Question, walked

PAGE = 20_000  # packs at once
FOREIGN = "partner."  # how sources are named under which events of partners stand in the log
_SOLD = frozenset({"dispensing", "retail_selling"})
_DESTROYED = frozenset({"destroying", "decommissioning", "consuming"})
_SENT = frozenset({"shipping", "departing", "transporting", "loading"})
OrganisationAt = Callable[[str], str | None]  # whose a place or party is, of the partners


@dataclass(slots=True)
class Holdings:
    """Packs that came from one supplier (or were made here): what did not go further, and how many each direct
    customer was sent."""

    own: Counts = field(default_factory=Counts)
    customers: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def received(self) -> int:
        return self.own.total + sum(self.customers.values())


def holdings(
    view: EventsView, lot: str, organisation_at: OrganisationAt, suppliers: Iterable[str] = ()
) -> Mapping[str, Holdings]:
    """By supplier; where there is one at most, or none is known of a pack, under the first of `suppliers` or "". Packs
    that went back to a supplier count as returned. Blocks.

    Raises:
        BusyError: it took longer than the view's bound.
    """
    known = list(suppliers)
    found: dict[str, Holdings] = {name: Holdings() for name in known or [""]}
    after = ""
    with view.events.snapshot():
        store = EventStore(view.events)
        while True:
            try:
                [walk] = walked(store, Question(lot, Direction.DOWN, PAGE, after))
            except NotFoundError:
                return found
            _Page(store, walk, organisation_at, known, found).count()
            cut = next((cut for cut in walk.cuts if cut.thing == walk.root and cut.relation is Relation.LOT), None)
            if cut is None or not cut.last:
                return found
            after = store.uris([cut.last])[cut.last]


class _Page:
    """Some packs of the lot."""

    def __init__(
        self, store: EventStore, walk: Walk, organisation_at: OrganisationAt, suppliers: list[str],
        found: dict[str, Holdings],
    ) -> None:  # fmt: skip
        self._walk, self._suppliers, self._found = walk, suppliers, found
        rows = [row for rows in walk.rows.values() for row in rows]
        self._words = store.words({word for row in rows for word in (row.step, row.disposition, row.source) if word})
        self._from = self._parties(store, rows, Role.SOURCE, organisation_at)
        self._to = self._parties(store, rows, Role.DESTINATION, organisation_at)
        self._in: dict[int, list[tuple[int, tuple[int, int]]]] = defaultdict(list)
        for link in walk.links:
            if link.relation is Relation.CONTAINED and link.span:
                self._in[link.source].append((link.target, link.span))

    def _parties(self, store: EventStore, rows: list[Row], role: Role, at: OrganisationAt) -> dict[int, str]:
        """Which partner is named as source or destination of each event."""
        members = store.members({row.leaf for row in rows}, role, len(rows) * 4 + 1)
        uris = store.uris({member.thing for member in members})
        found = ((member.leaf, at(uris[member.thing])) for member in members)
        return {leaf: name for leaf, name in found if name}

    def count(self) -> None:
        own = Latest(self._walk, lambda row: not self._foreign(row))
        others = Latest(self._walk, self._foreign)
        packs = {link.target: None for link in self._walk.links if link.relation is Relation.LOT}
        for pack in packs:  # each once, however many events say of which lot it is
            if row := own.of(pack):
                self._one(pack, row)
            elif (row := others.of(pack)) and self._sent(row):
                held = self._found[self._supplier(pack)]
                held.own = replace(held.own, in_transit=held.own.in_transit + 1)  # to us; else it never came here

    def _foreign(self, row: Row) -> bool:
        return self._words[row.source].startswith(FOREIGN)

    def _sent(self, row: Row) -> bool:
        return self._words.get(row.step or 0) in _SENT or self._words.get(row.disposition or 0) == "in_transit"

    def _one(self, pack: int, row: Row) -> None:
        step = self._words.get(row.step or 0, "")
        sent = self._sent(row)
        held = self._found[self._supplier(pack)]
        customer = self._to.get(row.leaf)
        if sent and customer in self._suppliers:
            held.own = replace(held.own, returned=held.own.returned + 1)
        elif sent and customer:
            held.customers[customer] += 1
        elif sent:
            held.own = replace(held.own, in_transit=held.own.in_transit + 1)
        elif step in _SOLD:
            held.own = replace(held.own, sold=held.own.sold + 1)
        elif step in _DESTROYED:
            held.own = replace(held.own, destroyed=held.own.destroyed + 1)
        else:
            held.own = replace(held.own, quarantined=held.own.quarantined + 1)

    def _supplier(self, pack: int) -> str:
        if len(self._suppliers) < 2:
            return self._suppliers[0] if self._suppliers else ""
        names = (self._from.get(leaf) for leaf in self._leaves(pack))
        return next((name for name in names if name in self._found), self._suppliers[0])

    def _leaves(self, pack: int) -> list[int]:
        """Events of a pack and of what it was in at the time, newest first."""
        rows = list(self._walk.rows.get(pack, ()))
        waiting, seen = [(thing, span) for thing, span in self._in[pack]], {pack}
        while waiting:
            thing, span = waiting.pop()
            if thing in seen:
                continue
            seen.add(thing)
            rows += [row for row in self._walk.rows.get(thing, ()) if span[0] <= row.time_us <= span[1]]
            for outer, other in self._in[thing]:
                if shared := common(span, other):
                    waiting.append((outer, shared))
        return [row.leaf for row in sorted(rows, key=lambda row: (-row.time_us, -row.leaf))]
