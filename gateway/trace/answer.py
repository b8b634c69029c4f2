"""A trace as it is handed out: a graph of things, links and steps, and the lists that people ask for. JSON values only.

Format: docs/rest.md, "Trace". Times are microseconds since the Unix epoch.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from operator import attrgetter
from typing import Any

from gateway.epcis.steps import GONE, SENT
from gateway.events.schema import Action, Role, Type
from gateway.trace.identify import label
from gateway.trace.latest import Latest
from gateway.trace.model import MAX_STEPS, Cut, Direction, Link, Relation, Row, Walk
from gateway.trace.refusals import NONE, Refusal, Refusals
from gateway.trace.spans import ALWAYS
from gateway.trace.store import EventStore

MAX_NAMED = 20  # things that are named where many are counted
_IN_TIME = attrgetter("time_us", "leaf", "role", "thing")
_TYPES = {int(one): one.name.lower() for one in Type}
_ACTIONS = {int(one): one.name if one else None for one in Action}


class Answer:
    """Puts texts in place of the numbers of walks, which are in order of time. `refusals` tells of records what was
    refused."""

    def __init__(
        self, store: EventStore, walks: list[Walk], refusals: Callable[[Iterable[int]], Refusals] = lambda leaves: NONE
    ) -> None:
        self._store, self._walks = store, walks
        rows = [row for walk in walks for found in walk.rows.values() for row in found]
        if len(walks) > 1:  # both begin with the same thing
            rows = list(set(rows))
        self._by_leaf: dict[int, list[Row]] = defaultdict(list)
        for row in sorted(rows, key=_IN_TIME):
            self._by_leaf[row.leaf].append(row)
        self._refusals = refusals(self._by_leaf)
        self._parties = self._parties_of(self._by_leaf)
        self._names: Mapping[Any, str] = store.uris(self._things())
        self._words: Mapping[Any, str] = store.words(self._all_words())

    def json(self) -> dict[str, Any]:
        """Everything; who asked what is for the caller to add."""
        return {
            "things": self._nodes(), "links": self._links(), "steps": self._steps(), "materials": self._materials(),
            "products": self._products(), "places": self._places(), "holders": self._holders(),
            "truncated": [t for walk in self._walks for t in self._truncated(walk)],
        }  # fmt: skip

    def _things(self) -> set[int]:
        found = {thing for walk in self._walks for thing in walk.things}
        found |= {uri for links in self._parties.values() for _, uri, _ in links}
        found |= {cut.last for walk in self._walks for cut in walk.cuts if cut.last}
        first = [rows[0] for rows in self._by_leaf.values()]  # places are of the event, not of each row
        places = {row.read_point for row in first} | {row.location for row in first}
        return found | {place for place in places if place}

    def _all_words(self) -> set[int]:
        found = {row.uom for rows in self._by_leaf.values() for row in rows if row.uom}
        first = [rows[0] for rows in self._by_leaf.values()]
        words = {row.step for row in first} | {row.disposition for row in first}
        found |= {word for word in words if word}
        found |= {link.uom for walk in self._walks for link in walk.links if link.uom}
        return found | {word for links in self._parties.values() for *_, word in links if word}

    def _parties_of(self, leaves: Iterable[int]) -> Mapping[int, list[tuple[Role, int, int | None]]]:
        found: dict[int, list[tuple[Role, int, int | None]]] = defaultdict(list)
        for role in (Role.SOURCE, Role.DESTINATION):
            for member in self._store.members(leaves, role, MAX_STEPS):
                found[member.leaf].append((role, member.thing, member.uom))
        return found

    # -- the graph

    def _nodes(self) -> list[dict[str, Any]]:
        nodes = []
        for walk in self._walks:
            for thing, known in walk.things.items():
                if walk is self._walks[0] or thing not in self._walks[0].things:
                    uri = self._names[thing]
                    nodes.append({"id": uri, "label": label(uri), "depth": known.depth, "as": str(known.mode)})
        return nodes

    def _links(self) -> list[dict[str, Any]]:
        links = dict.fromkeys(link for walk in self._walks for link in walk.links)
        return [self._link(link) for link in links]

    def _link(self, link: Link) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "relation": str(link.relation), "source": self._names[link.source], "target": self._names[link.target],
            "record": str(link.leaf),
        }  # fmt: skip
        if link.span:
            shown["from_us"] = link.span[0]
            shown["until_us"] = link.span[1] if link.span[1] != ALWAYS[1] else None
        if link.quantity is not None:
            shown |= {"quantity": link.quantity, "uom": self._words.get(link.uom)}
        return shown

    def _steps(self) -> list[dict[str, Any]]:
        return [self._step(leaf, rows) for leaf, rows in islice(self._by_leaf.items(), MAX_STEPS)]

    def _step(self, leaf: int, rows: list[Row]) -> dict[str, Any]:
        row, names, words = rows[0], self._names, self._words
        things = list(dict.fromkeys([row.thing for row in rows])) if len(rows) > 1 else [row.thing]
        shown: dict[str, Any] = {
            "record": str(leaf), "time_us": row.time_us, "type": _TYPES[row.type],
            "action": _ACTIONS[row.action], "step": words.get(row.step), "disposition": words.get(row.disposition),
            "read_point": names.get(row.read_point), "location": names.get(row.location),
            "things": [names[thing] for thing in things[:MAX_NAMED]],
            "count": len(things), "void": bool(row.void), "declares_error": bool(row.declared),
        }  # fmt: skip
        if leaf in self._refusals:
            shown |= self._refused(leaf, things)
        for role, party, kind in self._parties.get(leaf, ()):
            name = "sources" if role is Role.SOURCE else "destinations"
            shown.setdefault(name, []).append({"type": self._words.get(kind), "id": self._names[party]})
        return shown

    def _refused(self, leaf: int, things: Iterable[int]) -> dict[str, Any]:
        """Why, and how many of the things."""
        found = [refusal for thing in things if (refusal := self._refusal(leaf, thing))]
        return {"refused": found[0].reason, "refused_count": len(found)} if found else {}

    def _refusal(self, leaf: int, thing: int) -> Refusal | None:
        known = self._refusals.get(leaf, ())
        return next((refusal for refusal in known if refusal.is_about(self._names[thing])), None)

    # -- the lists

    def _materials(self) -> list[dict[str, Any]]:
        """Inputs of everything on the way up. `end`: nothing here says what it was made of."""
        return [
            self._link(link) | {"end": link.source not in targets}
            for walk in self._walks
            if walk.direction is Direction.UP
            for targets in [{x.target for x in walk.links if x.relation is not Relation.CONTAINED}]
            for link in walk.links
            if link.relation is Relation.MADE_INTO
        ]

    def _products(self) -> list[dict[str, Any]]:
        """What came of it on the way down: each lot or instance by its product, counted."""
        found: dict[str, list[str]] = defaultdict(list)
        for walk in self._walks:
            if walk.direction is Direction.DOWN:
                made = (k.target for k in walk.links if k.relation is not Relation.CONTAINED)
                for uri in sorted({self._names[thing] for thing in made}):
                    found[_product_of(uri)].append(uri)
        return [
            {"product": product, "label": label(product), "count": len(uris), "things": uris[:MAX_NAMED]}
            for product, uris in found.items()
        ]

    def _places(self) -> list[dict[str, Any]]:
        """Every place, in the order in which it was first reached."""
        found: dict[int, dict[str, Any]] = {}
        for rows in self._by_leaf.values():
            row = rows[0]
            for place in {row.read_point, row.location} - {None} if row.counts else ():
                assert place is not None
                known = found.get(place)
                if known is None:
                    uri = self._names[place]
                    known = found[place] = {"id": uri, "label": label(uri), "first_us": row.time_us, "events": 0}
                known["last_us"], known["events"] = row.time_us, known["events"] + 1
        return list(found.values())

    def _holders(self) -> list[dict[str, Any]]:
        """Where all of it is now, by the newest event of each thing or of what it lies in."""
        held: dict[tuple[str | None, str, str | None, str | None], list[tuple[int, str]]] = defaultdict(list)
        where: dict[int, tuple[str | None, str, str | None]] = {}  # by event
        for walk in self._walks:
            if walk.direction is Direction.DOWN:
                latest = Latest(walk)
                for thing in latest.goods():
                    if row := latest.of(thing):
                        if row.leaf not in where:
                            where[row.leaf] = self._where(row)
                        refusal = self._refusal(row.leaf, row.thing)
                        key = *where[row.leaf], refusal.reason if refusal else None
                        held[key].append((row.time_us, self._names[thing]))
        rows = [
            {
                "place": place, "label": label(place) if place else None, "state": state, "step": step,
                "count": len(things), "things": [uri for _, uri in things[:MAX_NAMED]],
                "last_us": max(time_us for time_us, _ in things),
            }
            | ({} if refused is None else {"refused": refused})
            for (place, state, step, refused), things in held.items()
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (-int(row["count"]), str(row["place"])))

    def _where(self, row: Row) -> tuple[str | None, str, str | None]:
        """A place, how things stand there, and the step. What is on the way is told by where it goes, if that is
        known, else by where it left."""
        step, place = self._words.get(row.step), self._names.get(row.location) or self._names.get(row.read_point)
        if step in GONE:
            return place, "gone", step
        if step in SENT or self._words.get(row.disposition) == "in_transit":
            to = next((party for role, party, _ in self._parties.get(row.leaf, ()) if role is Role.DESTINATION), None)
            return self._names.get(to) or place, "in transit", step
        return place, "at", step

    def _truncated(self, walk: Walk) -> Iterable[dict[str, Any]]:
        for cut in walk.cuts:
            yield self._cut(walk, cut)
        if walk.stopped:
            yield {"direction": str(walk.direction), "stopped": walk.stopped, "how": _HOW[walk.stopped]}
        if len(self._by_leaf) > MAX_STEPS:
            yield {"steps": len(self._by_leaf), "shown": MAX_STEPS, "how": "trace what is in it one by one"}

    def _cut(self, walk: Walk, cut: Cut) -> dict[str, Any]:
        last = self._names[cut.last] if cut.last else None
        return {
            "direction": str(walk.direction), "thing": self._names[cut.thing], "relation": str(cut.relation),
            "shown": cut.shown, "total": cut.total, "after": last,
            "how": "trace this thing itself, with `after` as it stands here, or with a greater limit",
        }  # fmt: skip


_HOW = {
    "things": "too many containers; trace what is at the end of it by itself, or with a greater limit",
    "time": "it took too long; trace what is at the end of it by itself",
    "events": "too many events; trace what is at the end of it by itself",
    "depth": "it goes on in circles or very deep; trace what is at the end of it by itself",
}


def _product_of(uri: str) -> str:
    for mark in ("/10/", "/21/"):
        uri = uri.partition(mark)[0]
    return uri
