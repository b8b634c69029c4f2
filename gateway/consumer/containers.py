"""The logistic units that a pack was packed into, out of the event index, upwards case by case."""

from typing import Final

from gateway.events.schema import Action, Role, Type
from gateway.events.view import EventsView, EventsViews
from gateway.query.errors import NotIndexedError

MAX_LEVELS, MAX_UNITS = 4, 32
_ABOVE: Final = (
    "SELECT DISTINCT t.uri FROM thing c JOIN part p ON p.thing = c.id AND p.role = ?"
    " JOIN event e ON e.leaf = p.leaf AND e.type = ? AND e.action = ? AND e.void = 0 AND e.declared = 0"
    " JOIN part q ON q.leaf = p.leaf AND q.role = ? JOIN thing t ON t.id = q.thing WHERE c.uri = ? LIMIT ?"
)


class PackedInto:
    """Callable as `lookup.Containers`."""

    def __init__(self, views: EventsViews) -> None:
        self._views = views

    def __call__(self, uri: str) -> tuple[str, ...]:
        """URIs of all units that were ever around it, as this gateway's events say; bounded."""
        try:
            view = self._views.take()
        except NotIndexedError:
            return ()
        try:
            with view.bounded():
                return _around(view, uri)
        finally:
            self._views.give_back(view)


def _around(view: EventsView, uri: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    level = [uri]
    for _ in range(MAX_LEVELS):
        level = [above for inner in level for above in _above(view, inner) if above not in found]
        found |= dict.fromkeys(level)
        if not level or len(found) >= MAX_UNITS:
            break
    return tuple(found)[:MAX_UNITS]


def _above(view: EventsView, uri: str) -> list[str]:
    given = (int(Role.CHILD), int(Type.AGGREGATION), int(Action.ADD), int(Role.PARENT), uri, MAX_UNITS)
    return [row[0] for row in view.events.connection.execute(_ABOVE, given)]
