"""One trace: from an identifier to the answer, over one snapshot of the event index."""

import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.epcis.identifiers import ROOT
from gateway.events.view import EventsView
from gateway.query.errors import NotFoundError
from gateway.trace.answer import Answer
from gateway.trace.errors import TraceError
from gateway.trace.identify import identified, label
from gateway.trace.model import DEFAULT_THINGS, MAX_THINGS, Direction, Walk
from gateway.trace.refusals import refusals
from gateway.trace.store import EventStore
from gateway.trace.walk import Walker, in_time

WALK_S = 4.0
_PRODUCT = re.compile(f"{re.escape(ROOT)}/01/[0-9]{{14}}")
LOTS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a canonical URI, a direction, how many things at most in one direction, and the URI after which
    the relatives of the thing itself go on."""

    uri: str
    direction: Direction = Direction.BOTH
    limit: int = DEFAULT_THINGS
    after: str = ""

    @classmethod
    def of(cls, identifier: str, direction: str = "both", limit: int = DEFAULT_THINGS, after: str = "") -> "Question":
        """TraceError where a part cannot be used."""
        if direction not in list(Direction):
            raise TraceError(f"expected a direction of {', '.join(Direction)}, got {direction!r:.40}")
        if not 1 <= limit <= MAX_THINGS:
            raise TraceError(f"expected a limit of 1 to {MAX_THINGS:,} things, got {limit}")
        return cls(identified(identifier), Direction(direction), limit, identified(after) if after else "")

    @property
    def directions(self) -> tuple[Direction, ...]:
        return (Direction.UP, Direction.DOWN) if self.direction is Direction.BOTH else (self.direction,)


def trace(view: EventsView, question: Question) -> dict[str, Any]:
    """The answer as JSON values; see gateway.trace.answer.

    Raises:
        NotFoundError: no event here names it.
        BusyError: one step took too long.
    """
    with view.events.snapshot():
        store = EventStore(view.events)
        walks = walked(store, question)
        found = Answer(store, walks, partial(refusals, view.events.path.parent)).json()
    about = {"id": question.uri, "label": label(question.uri), "direction": str(question.direction)}
    return about | {"indexed": view.indexed()} | found


def walked(store: EventStore, question: Question, end: float | None = None) -> list[Walk]:
    """The walks in the directions asked for, in order of time. `end` is when they stop (time.monotonic()), four seconds
    from the start of each where there is none."""
    root = store.id_of(question.uri)
    if root is None:
        raise NotFoundError(_unknown(store, question.uri))
    after = store.id_of(question.after) if question.after else 0
    if after is None:
        raise TraceError(f"no event here names {question.after}, after which it should go on")
    walks = []
    for direction in question.directions:
        until = time.monotonic() + WALK_S if end is None else end
        walk = Walker(store, root, direction, question.limit, until, after).run()
        in_time(walk)
        walks.append(walk)
    return walks


def _unknown(store: EventStore, uri: str) -> str:
    """A bare GTIN is the name of a class; packs and lots of it have names of their own."""
    said = f"no event here names {uri}"
    if not _PRODUCT.fullmatch(uri):
        return f"{said}; was it captured, and is it spelt so?"
    lots = store.lots_of(uri, LOTS_NAMED + 1)
    more = ", …" if len(lots) > LOTS_NAMED else ""
    known = f"; lots of it here are {', '.join(lots[:LOTS_NAMED])}{more}" if lots else ""
    return (
        f"{said} itself: a GTIN alone stands for what events name by product, without lot or serial; trace a lot of it,"
        f" {uri}/10/LOT, or a pack, {uri}/21/SERIAL{known}"
    )
