"""What of an event can be searched beside its things, times, step, disposition and places."""

from collections.abc import Iterable

from gateway.epcis.event import Event

Fact = tuple[str, str | None, float | None]


def facts_of(event: Event) -> Iterable[Fact]:
    """(name, text, number) of each fact; a fact has a text, a number, or both."""
    return ()
