"""What lay in what, and when: from aggregation and association events, by their own times.

ADD opens, DELETE closes; OBSERVE says that it is so and opens where nothing is open. What is emptied or ceases to be
closes all in it. An instance is in one container at a time, so being put into another closes too; a lot may be in
several at once, and leaves one when as much was taken out as was put in. Both ends of a span count: events of the same
moment have no order.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple

from gateway.events.schema import Action
from gateway.trace.spans import ALWAYS, Span

_IN_TIME = attrgetter("time_us", "leaf")


class Said(NamedTuple):
    """An event puts a thing into a container, takes it out, or says that it is there. `quantity`: the thing is a class
    or a lot."""

    time_us: int
    leaf: int
    action: int
    thing: int
    container: int
    quantity: float | None = None
    uom: int | None = None


class Inside(NamedTuple):
    """`said` is what put the thing there."""

    said: Said
    span: Span


def containment(said: Iterable[Said], emptied: Mapping[int, list[int]]) -> list[Inside]:
    """How long each thing was in each container. `emptied`: times at which containers were emptied, in order."""
    found: list[Inside] = []
    by_thing: dict[int, list[Said]] = {}
    for one in said:
        by_thing.setdefault(one.thing, []).append(one)
    for events in by_thing.values():
        if len(events) > 1:
            events.sort(key=_IN_TIME)
            found += _Stay(emptied).of(events)
        elif events[0].action != Action.DELETE:  # most are packed once and say no more
            found.append(Inside(events[0], (events[0].time_us, _when_emptied(events[0], emptied))))
    return found


def _when_emptied(opened: Said, emptied: Mapping[int, list[int]]) -> int:
    """When the container was next emptied after that; the end of time where it was not."""
    times = emptied.get(opened.container, ())
    return next((time_us for time_us in times if time_us > opened.time_us), ALWAYS[1])


class _Stay:
    """The stays of one thing in containers, found in order of time."""

    def __init__(self, emptied: Mapping[int, list[int]]) -> None:
        self._emptied = emptied
        self._open: dict[int, Said] = {}
        self._left: dict[int, float] = {}  # of a lot's quantity, by container
        self._found: list[Inside] = []

    def of(self, events: Iterable[Said]) -> list[Inside]:
        for said in events:
            if said.action == Action.DELETE:
                self._taken_out(said)
            else:
                self._put_in(said)
        for container in list(self._open):
            self._close(container, ALWAYS[1])
        return self._found

    def _put_in(self, said: Said) -> None:
        container = said.container
        if said.quantity is None:
            for other in [known for known in self._open if known != container]:
                self._close(other, said.time_us)
        opened = self._open.get(container)
        if opened is not None and _when_emptied(opened, self._emptied) < said.time_us:
            self._close(container, said.time_us)
            opened = None
        if opened is None:
            self._open[container], self._left[container] = said, said.quantity or 0.0
        elif said.action == Action.ADD:
            self._left[container] += said.quantity or 0.0

    def _taken_out(self, said: Said) -> None:
        if said.container not in self._open:
            return
        self._left[said.container] -= said.quantity or 0.0
        if said.quantity is None or self._left[said.container] <= 1e-9:
            self._close(said.container, said.time_us)

    def _close(self, container: int, time_us: int) -> None:
        opened = self._open.pop(container)
        self._found.append(Inside(opened, (opened.time_us, min(time_us, _when_emptied(opened, self._emptied)))))
