"""Walks from one thing over all that it was made of, lay in, or became: tier by tier, one question a tier and kind.

Up leads to materials: from a pack to its lot, from an output to the inputs of its transformation. Down leads to
products. Either way a thing is where its container is, while it is in there. What is declared erroneous leads nowhere.
Bounded in things, rows, tiers and time; what was left out is told with how much it is. The bound on things is one on
goods: what these lie in has room of its own, or a page full of packs would hide the cases that they went away in.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import attrgetter

from gateway.events.schema import Role, Type
from gateway.trace.containment import Inside, Said, containment
from gateway.trace.model import MAX_ROUNDS, MAX_ROWS, Cut, Direction, Known, Link, Mode, Relation, Row, Walk
from gateway.trace.spans import ALWAYS, Span, beyond, common, inside, joined
from gateway.trace.store import EventStore, Member

_IN_SPAN = (Role.EPC, Role.PARENT, Role.INPUT, Role.OUTPUT)
_PRODUCT_CHARS = len("https://id.gs1.org/01/") + 14
_IN_TIME = attrgetter("time_us", "leaf", "role")
_HOLDS = (Type.AGGREGATION, Type.ASSOCIATION)
_OTHERS, _LEAST = 4, 1_000  # carriers and origins for each of the goods that there is room for; so many in any case


class _Fan:
    """How many relatives of one kind each thing has, and how many of them were followed. They are gone through in the
    order of their numbers, so that the last one before the first that was left out is where to go on."""

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.totals: dict[int, int] = defaultdict(int)
        self._shown: dict[int, int] = defaultdict(int)
        self._last: dict[int, int] = {}
        self._missed: set[int] = set()

    def add(self, thing: int, relative: int, followed: bool) -> bool:
        self.totals[thing] += 1
        if not followed:
            self._missed.add(thing)
        elif thing not in self._missed:
            self._shown[thing] += 1
            self._last[thing] = relative
        return followed

    def whole(self, totals: Mapping[int, int]) -> None:
        """Not all relatives were added: so many there are."""
        self.totals |= totals
        self._missed |= {thing for thing, total in totals.items() if total > self._shown[thing]}

    def cuts(self) -> list[Cut]:
        return [
            Cut(thing, self.relation, self._shown[thing], self.totals[thing], self._last.get(thing, 0))
            for thing in sorted(self._missed)
        ]


class Walker:
    """One walk. `things` bounds how many goods it meets, `end` is when it stops (time.monotonic())."""

    def __init__(self, store: EventStore, root: int, direction: Direction, things: int, end: float, after: int = 0
                 ) -> None:  # fmt: skip
        self._store, self._end, self._after = store, end, after
        self.walk = Walk(direction, root)
        self._down = direction is Direction.DOWN
        self._next: list[tuple[int, Span]] = []
        self._taken = 0
        self._room = {Mode.GOODS: things, Mode.CARRIER: max(_OTHERS * things, _LEAST)}

    def run(self) -> Walk:
        walk = self.walk
        self._visit(walk.root, ALWAYS, 0, Mode.GOODS)
        for depth in range(1, MAX_ROUNDS + 1):
            tier, self._next = self._next, []
            if self._taken >= MAX_ROWS:  # the last tier may have been cut off, too
                walk.stopped = "events"
            elif tier and time.monotonic() > self._end:
                walk.stopped = "time"
            if not tier or walk.stopped in ("events", "time"):
                return walk
            self._tier(tier, depth)
        walk.stopped = walk.stopped or ("depth" if self._next else "")
        return walk

    def _visit(self, thing: int, span: Span, depth: int, mode: Mode) -> bool:
        """Follow a thing in a span from the next tier on, as far as it was not followed yet. False where there is no
        room for another thing."""
        known = self.walk.things.get(thing)
        if known is None:
            room = Mode.GOODS if mode is Mode.GOODS else Mode.CARRIER
            if not self._room[room]:
                return False
            self._room[room] -= 1
            self.walk.things[thing] = Known(depth, mode, [span])
            self._next.append((thing, span))
            return True
        if known.mode is not mode and mode is Mode.GOODS:  # met on the way before, and now for its own sake
            known.mode, known.spans = mode, []
        if span in known.spans:  # as for each of the packs in one case
            return True
        new = beyond(span, known.spans)
        known.spans = joined([*known.spans, *new])
        self._next += [(thing, part) for part in new]
        return True

    def _tier(self, tier: list[tuple[int, Span]], depth: int) -> None:
        rows = self._rows(tier)
        self._containers([row for row in rows if row.role == Role.CHILD], depth)
        carriers = {thing for thing, _ in tier if self._mode(thing) is Mode.CARRIER}
        goods = [row for row in rows if row.thing not in carriers and row.counts]
        self._contents([row for row in goods if row.role == Role.PARENT and row.type in _HOLDS], depth)
        if self._down:
            self._made([row for row in goods if row.role == Role.INPUT], Role.OUTPUT, depth)
            self._instances({thing for thing, _ in tier if self._mode(thing) is Mode.GOODS}, depth)
        else:
            made = [row for row in goods if row.role == Role.OUTPUT]
            named = [thing for thing, _ in tier if self._mode(thing) is not Mode.CARRIER]
            made += self._store.made_as(named, self._room_for_rows())
            self._made(made, Role.INPUT, depth)
            self._lots([row for row in goods if row.role in (Role.EPC, Role.OUTPUT) and row.quantity is None], depth)

    def _mode(self, thing: int) -> Mode:
        return self.walk.things[thing].mode

    def _room_for_rows(self) -> int:
        return max(MAX_ROWS - self._taken, 1)

    def _rows(self, tier: list[tuple[int, Span]]) -> list[Row]:
        """What is said of these things in their spans; and when they were in containers, at any time: what was packed
        before the span may still be packed in it."""
        packed = [thing for thing, span in tier if span == ALWAYS and self._mode(thing) is not Mode.ORIGIN]
        found = self._store.all_rows(packed, (*_IN_SPAN, Role.CHILD), self._room_for_rows())
        known = set(packed)
        others = [one for one in tier if one[0] not in known]
        if others:
            found += self._store.rows(others, _IN_SPAN, self._room_for_rows())
            packed = [thing for thing in dict.fromkeys(t for t, _ in others) if self._mode(thing) is not Mode.ORIGIN]
            found += self._store.all_rows(packed, (Role.CHILD,), self._room_for_rows())
        self._taken += len(found)
        for row in found:
            self.walk.rows.setdefault(row.thing, []).append(row)
        return found

    # -- what lies in what

    def _containers(self, rows: list[Row], depth: int) -> None:
        """Follow the containers of things, for as long as these are in them."""
        rows = [row for row in rows if row.counts and row.type in _HOLDS]
        parents = {m.leaf: m.thing for m in self._members({row.leaf for row in rows}, Role.PARENT)}
        said = [_said(row, row.thing, parents[row.leaf]) for row in rows if row.leaf in parents]
        for found in containment(said, self._store.emptied({one.container for one in said})):
            for span in self.walk.things[found.said.thing].spans:
                shared = common(found.span, span)
                if shared and self._visit(found.said.container, shared, depth, Mode.CARRIER):
                    self._contained(found)
                elif shared:
                    self.walk.stopped = "things"

    def _contents(self, rows: list[Row], depth: int) -> None:
        """Follow what was put into goods that are containers themselves: a case, a drum, a kit."""
        by_leaf = {row.leaf: row for row in rows}
        members = self._members(by_leaf, Role.CHILD)
        said = [_said(by_leaf[m.leaf], m.thing, by_leaf[m.leaf].thing, m) for m in members]
        fan = _Fan(Relation.CONTAINED)
        stays = containment(said, self._store.emptied({row.thing for row in rows}))
        for found in sorted(stays, key=lambda one: (one.said.thing, one.span)):
            container = found.said.container
            if self._passed(container, found.said.thing) or not self._overlaps(container, found.span):
                continue
            until = min(found.span[1], self.walk.things[container].spans[-1][1])
            span = (found.span[0], ALWAYS[1]) if self._down else (ALWAYS[0], until)
            if fan.add(container, found.said.thing, self._visit(found.said.thing, span, depth, Mode.GOODS)):
                self._contained(found)
        self.walk.cuts += fan.cuts()

    def _contained(self, found: Inside) -> None:
        said = found.said
        link = Link(Relation.CONTAINED, said.thing, said.container, said.leaf, found.span, said.quantity, said.uom)
        self.walk.links[link] = None

    def _overlaps(self, thing: int, span: Span) -> bool:
        return any(common(span, known) for known in self.walk.things[thing].spans)

    # -- what was made of what

    def _made(self, rows: list[Row], role: Role, depth: int) -> None:
        """Follow the other side of transformations: `role` is OUTPUT on the way down, INPUT on the way up."""
        ways = self._store.same_way({row.leaf for row in rows}, self._room_for_rows())
        events = {row.leaf: ways.get(row.leaf, {row.leaf}) for row in rows}
        others: dict[int, list[Member]] = defaultdict(list)
        for member in self._members({leaf for leaves in events.values() for leaf in leaves}, role):
            others[member.leaf].append(member)
        fan = _Fan(Relation.MADE_INTO)
        for row in rows:
            span = (row.time_us, ALWAYS[1]) if self._down else (ALWAYS[0], row.time_us)
            found = (m for leaf in events[row.leaf] for m in others[leaf] if not self._passed(row.thing, m.thing))
            for other in sorted(found, key=lambda m: m.thing):
                if row.thing != other.thing:
                    followed = self._visit(other.thing, span, depth, Mode.GOODS)
                    if fan.add(row.thing, other.thing, followed):
                        self._one_made(row, other)
        self.walk.cuts += fan.cuts()

    def _one_made(self, row: Row, other: Member) -> None:
        source, target = (row.thing, other.thing) if self._down else (other.thing, row.thing)
        quantity, uom = (row.quantity, row.uom) if self._down else (other.quantity, other.uom)
        self.walk.links[Link(Relation.MADE_INTO, source, target, other.leaf, None, quantity, uom)] = None

    # -- lots and their instances

    def _instances(self, lots: set[int], depth: int) -> None:
        """Follow the packs of lots."""
        most = self._room[Mode.GOODS] + 1000  # some may be known already
        after = self._after if lots == {self.walk.root} else 0
        found = self._store.instances(lots, most, after)
        fan = _Fan(Relation.LOT)
        for lot, leaf, thing in found:
            if fan.add(lot, thing, self._visit(thing, ALWAYS, depth, Mode.GOODS)):
                self.walk.links[Link(Relation.LOT, lot, thing, leaf)] = None
        if len(found) == most:
            fan.whole(self._store.count_instances(lots, after))
        self.walk.cuts += fan.cuts()

    def _lots(self, rows: list[Row], depth: int) -> None:
        """Follow the lots of instances."""
        by_leaf: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            by_leaf[row.leaf].append(row)
        members = self._members(by_leaf, Role.LOT)
        uris = self._store.uris({m.thing for m in members} | {row.thing for m in members for row in by_leaf[m.leaf]})
        for member in members:
            for row in by_leaf[member.leaf]:
                same = uris[member.thing][:_PRODUCT_CHARS] == uris[row.thing][:_PRODUCT_CHARS]
                if not same or member.thing == row.thing:
                    continue
                if self._visit(member.thing, ALWAYS, depth, Mode.ORIGIN):
                    self.walk.links[Link(Relation.LOT, member.thing, row.thing, member.leaf)] = None
                else:
                    self.walk.stopped = "things"

    # -- bounds

    def _members(self, leaves: Iterable[int], role: Role) -> list[Member]:
        found = self._store.members(leaves, role, self._room_for_rows())
        self._taken += len(found)
        return found

    def _passed(self, thing: int, relative: int) -> bool:
        """Whether a relative of the root was shown on a page before."""
        return thing == self.walk.root and relative <= self._after


def _said(row: Row, thing: int, container: int, member: Member | None = None) -> Said:
    quantity, uom = (row.quantity, row.uom) if member is None else (member.quantity, member.uom)
    return Said(row.time_us, row.leaf, row.action, thing, container, quantity, uom)


def in_time(walk: Walk) -> None:
    """Leave only what was said of each thing in the spans in which it counts, each once, in order of time."""
    for thing, rows in walk.rows.items():
        spans = walk.things[thing].spans
        if len(rows) > 1:
            rows = list({(row.leaf, row.role): row for row in rows}.values())
            rows.sort(key=_IN_TIME)
        if spans != [ALWAYS]:
            rows = [row for row in rows if inside(row.time_us, spans)]
        walk.rows[thing] = rows
