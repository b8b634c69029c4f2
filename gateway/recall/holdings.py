"""Who has the packs of a lot now, as this gateway's own events tell: what is here, what ended, who got the rest.

What a partner handed over tells of packs that never came here too; those are left out. Packs that came from different
suppliers are told apart by the parties of our own events that brought them: nobody else's word makes it a supplier.
All packs are counted, or none: a page of which the walk could not tell everything is cut smaller.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from chain.store.database import Database
from gateway.epcis.steps import DESTROYED, SENT, SOLD
from gateway.events.schema import PARTNER, Role
from gateway.query.errors import BusyError, NotFoundError
from gateway.recall.statements import Counts
from gateway.trace.latest import Latest
from gateway.trace.model import MAX_ROWS, Cut, Direction, Relation, Row, Walk
from gateway.trace.spans import common
from gateway.trace.store import EventStore
from gateway.trace.tracing import Question, walked

PAGE, SMALLER = 20_000, 4  # packs at once; by how much a page is cut that was too much
COUNT_S = 120.0  # how long counting the packs of a lot may take
_GRAVE = ("things", "events", "time")  # why a walk ended before it saw all; what is 64 tiers away holds no pack
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


@dataclass(slots=True)
class Found:
    """What was counted: holdings by supplier, and for each direct customer, present and past, the records of our
    events that sent it packs of the lot."""

    parts: dict[str, Holdings]
    shipments: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    @property
    def customers(self) -> dict[str, int]:
        """How many packs each direct customer was sent."""
        sent: dict[str, int] = defaultdict(int)
        for part in self.parts.values():
            for organisation, packs in part.customers.items():
                sent[organisation] += packs
        return dict(sent)


def holdings(
    events: Database, lot: str, organisation_at: OrganisationAt, suppliers: Iterable[str] = (), default: str = "",
    not_ours: Collection[tuple[int, str]] = (),
) -> Found:  # fmt: skip
    """By supplier; under `default` what our events tell no supplier of. Packs that went back to where they came from
    count as returned. `not_ours`: records and things that they say we sent, and that by the ledger another company
    had: where we had sent the packs to a customer before, they are there. Blocks.

    Raises:
        BusyError: it took longer than COUNT_S, or there is too much of a few packs to tell all of it.
    """
    known = list(suppliers)
    found = Found({name: Holdings() for name in dict.fromkeys([*known, default])})
    with events.snapshot():
        store = EventStore(events)
        refused = {(leaf, store.id_of(uri)) for leaf, uri in not_ours}
        for walk in _pages(store, lot):
            _Page(store, walk, organisation_at, known, default, found, refused).count()
    return found


def _pages(store: EventStore, lot: str) -> Iterable[Walk]:
    """Walks that together meet every pack of the lot once, each of them whole."""
    after, page, end = "", PAGE, time.monotonic() + COUNT_S
    while True:
        try:
            [walk] = walked(store, Question(lot, Direction.DOWN, page, after), end)
        except NotFoundError:
            return
        cut = next((cut for cut in walk.cuts if cut.thing == walk.root and cut.relation is Relation.LOT), None)
        if walk.stopped in _GRAVE or (cut and not cut.last):
            page = _smaller(page, walk)
            continue
        yield walk
        if cut is None:
            return
        after = _last(store, cut)


def _smaller(page: int, walk: Walk) -> int:
    if walk.stopped == "time" or page < 2 * SMALLER:
        raise BusyError(f"the packs of this lot cannot be counted now: too much of one ({walk.stopped or 'packs'})")
    return page // SMALLER


def _last(store: EventStore, cut: Cut) -> str:
    return store.uris([cut.last])[cut.last]


class _Page:
    """Some packs of the lot."""

    def __init__(
        self, store: EventStore, walk: Walk, organisation_at: OrganisationAt, suppliers: list[str], default: str,
        found: Found, not_ours: set[tuple[int, int | None]],
    ) -> None:  # fmt: skip
        self._not_ours = not_ours
        self._walk, self._suppliers, self._default, self._found = walk, suppliers, default, found
        self._one_only = len(found.parts) == 1
        rows = [row for rows in walk.rows.values() for row in rows]
        self._words = store.words({word for row in rows for word in (row.step, row.disposition, row.source) if word})
        self._foreign = {number for number, word in self._words.items() if word.startswith(PARTNER)}
        own = {row.leaf for row in rows if row.source not in self._foreign}
        self._from = {} if self._one_only else self._parties(store, own, Role.SOURCE, organisation_at)
        self._to = self._parties(store, own, Role.DESTINATION, organisation_at)
        self._in: dict[int, list[tuple[int, tuple[int, int]]]] = defaultdict(list)
        for link in walk.links:
            if link.relation is Relation.CONTAINED and link.span:
                self._in[link.source].append((link.target, link.span))
        for row in rows:
            if row.counts and row.leaf in self._to and self._sent(row):
                found.shipments[self._to[row.leaf]].add(row.leaf)

    def _parties(self, store: EventStore, leaves: set[int], role: Role, at: OrganisationAt) -> dict[int, str]:
        """Which partner is named as source or destination of each event."""
        members = store.members(leaves, role, MAX_ROWS)
        if len(members) == MAX_ROWS:
            raise BusyError("the packs of this lot cannot be counted now: too many parties in their events")
        uris = store.uris({member.thing for member in members})
        whose = {thing: at(uri) for thing, uri in uris.items()}
        return {member.leaf: name for member in members if (name := whose[member.thing])}

    def count(self) -> None:
        own = Latest(self._walk, lambda row: row.source not in self._foreign)
        true = self._without_refused() if self._not_ours else None
        others = Latest(self._walk, lambda row: row.source in self._foreign)
        packs = {link.target: None for link in self._walk.links if link.relation is Relation.LOT}
        counted = Counter[tuple[str, str]]()
        for pack in packs:  # each once, however many events say of which lot it is
            if row := own.of(pack):
                before = true.of(pack) if true else None
                self._one(pack, before if before and self._gone(before) else row, counted)
            elif (row := others.of(pack)) and self._sent(row):
                counted[self._supplier(pack), "in_transit"] += 1  # to us; else it never came here
        for (supplier, what), count in counted.items():
            held = self._found.parts[supplier]
            held.own += Counts(**{what: count})

    def _without_refused(self) -> Latest:
        return Latest(
            self._walk, lambda row: row.source not in self._foreign and (row.leaf, row.thing) not in self._not_ours
        )

    def _sent(self, row: Row) -> bool:
        return self._words.get(row.step or 0) in SENT or self._words.get(row.disposition or 0) == "in_transit"

    def _gone(self, row: Row) -> bool:
        return self._sent(row) and row.leaf in self._to

    def _one(self, pack: int, row: Row, counted: Counter[tuple[str, str]]) -> None:
        step, supplier = self._words.get(row.step or 0, ""), self._supplier(pack)
        customer = self._to.get(row.leaf)
        if self._sent(row):
            if customer and customer != supplier:
                self._found.parts[supplier].customers[customer] += 1
            else:
                counted[supplier, "returned" if customer else "in_transit"] += 1
        else:
            counted[supplier, "sold" if step in SOLD else "destroyed" if step in DESTROYED else "quarantined"] += 1

    def _supplier(self, pack: int) -> str:
        """The one of them that our newest event with one of them names."""
        if self._one_only:
            return self._default
        names = (self._from.get(leaf) for leaf in self._leaves(pack))
        return next((name for name in names if name in self._suppliers), self._default)

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
