"""What this gateway shows a partner of a trace: things that passed between the two, and where they were here.

A thing passed where an event of ours about it, or about what it lay in at the time, names the partner as source or
destination; what partners say of that does not count, or each would learn of whatever it says to have sent. Shown
are steps of such things without parties other than the partner, containment and transformation among them, and how they
stand. Not shown: whose they became, units that never passed, materials and products that did not.
"""

from collections.abc import Callable
from typing import Any

from gateway.events.schema import PARTNER, Role
from gateway.events.view import EventsView
from gateway.query.errors import NotFoundError
from gateway.trace.answer import Answer
from gateway.trace.identify import label
from gateway.trace.latest import Latest
from gateway.trace.model import MAX_ROWS, Direction, Walk
from gateway.trace.store import EventStore
from gateway.trace.tracing import Question, walked

MAX_SHARED = 64  # things that may be asked for at once
LIMIT = 2_000
Theirs = Callable[[str], bool]


def shared(view: EventsView, question: Question, theirs: Theirs, end: float | None = None) -> dict[str, Any] | None:
    """The answer of gateway.trace.tracing, cut to what passed; None where the thing itself did not. `end`: when the
    walk stops (time.monotonic())."""
    with view.events.snapshot():
        store = EventStore(view.events)
        try:
            walks = walked(store, question, end)
        except NotFoundError:
            return None
        passed = {thing for walk in walks for thing in _passed(store, walk, theirs)}
        if walks[0].root not in passed:
            return None
        uris = set(store.uris(passed).values())
        found = Answer(store, walks).json()
    about = {"id": question.uri, "label": label(question.uri), "direction": str(question.direction)}
    return about | {"indexed": view.indexed()} | _cut(found, uris, theirs)


def _passed(store: EventStore, walk: Walk, theirs: Theirs) -> set[int]:
    sources = store.words({row.source for rows in walk.rows.values() for row in rows})
    foreign = {number for number, name in sources.items() if name.startswith(PARTNER)}
    leaves = {row.leaf for rows in walk.rows.values() for row in rows if row.counts and row.source not in foreign}
    found: set[int] = set()
    for role in (Role.SOURCE, Role.DESTINATION):
        members = store.members(leaves, role, MAX_ROWS)
        uris = store.uris({member.thing for member in members})
        found |= {member.leaf for member in members if theirs(uris[member.thing])}
    latest = Latest(walk, lambda row: row.leaf in found)
    return {thing for thing in walk.things if latest.of(thing) is not None}


def _cut(found: dict[str, Any], uris: set[str], theirs: Theirs) -> dict[str, Any]:
    steps = [_step(step, uris, theirs) for step in found["steps"] if uris.intersection(step["things"])]
    places = {step[name] for step in steps for name in ("read_point", "location")}
    return {
        "things": [thing for thing in found["things"] if thing["id"] in uris],
        "links": [link for link in found["links"] if {link["source"], link["target"]} <= uris],
        "steps": steps,
        "materials": [link for link in found["materials"] if {link["source"], link["target"]} <= uris],
        "products": [], "places": [place for place in found["places"] if place["id"] in places],
        "holders": [held for one in found["holders"] if (held := _holder(one, uris))],
        "truncated": [{"how": "not all is shown"}] if found["truncated"] else [],
    }  # fmt: skip


def _step(step: dict[str, Any], uris: set[str], theirs: Theirs) -> dict[str, Any]:
    things = [uri for uri in step["things"] if uri in uris]
    shown = step | {"things": things, "count": len(things)}
    for name in ("sources", "destinations"):
        if name in shown:
            shown[name] = [party for party in shown[name] if theirs(party["id"])]
    return shown


def _holder(held: dict[str, Any], uris: set[str]) -> dict[str, Any] | None:
    """How many stand so; of what went on, not where to."""
    things = [uri for uri in held["things"] if uri in uris]
    if not things:
        return None
    gone_on = held["state"] == "in transit"
    where: dict[str, Any] = {"place": None, "label": None} if gone_on else {}
    return held | where | {"things": things, "count": len(things)}


def questions(ids: list[str], direction: str) -> list[Question]:
    """One for each thing; TraceError where one cannot be asked."""
    return [Question.of(one, str(Direction(direction)), LIMIT) for one in ids[:MAX_SHARED]]
