"""Where each thing was last: by its own events, and by those of what it lay in at the time."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from gateway.events.schema import Role
from gateway.trace.model import Mode, Relation, Row, Walk
from gateway.trace.spans import ALWAYS, Span, common


class Latest:
    """The newest rows of the things of one walk, whose rows are in order of time (gateway.trace.walk.in_time)."""

    def __init__(self, walk: Walk, wanted: Callable[[Row], bool] = lambda row: True) -> None:
        """`wanted`: which rows are looked at."""
        self._walk, self._wanted = walk, wanted
        self._in: dict[int, list[tuple[int, Span]]] = defaultdict(list)
        for link in walk.links:
            if link.relation is Relation.CONTAINED:
                self._in[link.source].append((link.target, link.span or ALWAYS))
        self._known: dict[tuple[int, Span], Row | None] = {}

    def of(self, thing: int) -> Row | None:
        """The newest row that counts; None where there is none."""
        return self._of(thing, ALWAYS, frozenset())

    def _of(self, thing: int, span: Span, above: frozenset[int]) -> Row | None:
        key = thing, span
        if key in self._known:
            return self._known[key]
        newest = self._own(thing, span)
        for container, inside in self._in.get(thing, ()):
            shared = common(inside, span)
            if shared and container not in above:
                row = self._of(container, shared, above | {thing})
                if row and (newest is None or (row.time_us, row.leaf) > (newest.time_us, newest.leaf)):
                    newest = row
        self._known[key] = newest
        return newest

    def _own(self, thing: int, span: Span) -> Row | None:
        for row in reversed(self._walk.rows.get(thing, ())):
            if row.counts and span[0] <= row.time_us <= span[1] and self._wanted(row):
                return row
        return None

    def goods(self) -> Iterable[int]:
        """Things that are somewhere now for their own sake: packs, and lots that were moved as such. What became
        something else, or was emptied of what is followed, is not."""
        gone = {link.source for link in self._walk.links if link.relation is not Relation.CONTAINED}
        goods = {thing for thing, known in self._walk.things.items() if known.mode is Mode.GOODS}
        holds = {
            link.target for link in self._walk.links if link.relation is Relation.CONTAINED and link.source in goods
        }
        elsewhere = gone | holds
        return (thing for thing in sorted(goods) if thing not in elsewhere or self._moved(thing))

    def _moved(self, thing: int) -> bool:
        rows = self._walk.rows.get(thing, ())
        return any(row.counts and row.quantity is not None and row.role in (Role.EPC, Role.CHILD) for row in rows)
