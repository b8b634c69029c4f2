"""Questions to the event index, each for many things at once. Every one has a bound on its rows."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from chain.store.database import Database
from gateway.events.schema import Action, Role, Type
from gateway.trace.model import Row
from gateway.trace.spans import Span

_COLUMNS = """p.thing, p.leaf, p.role, p.quantity, p.uom, e.type, e.action, e.time_us, e.step, e.disposition,
e.read_point, e.location, e.declared, e.void, e.source"""
_ROWS = f"""SELECT {_COLUMNS} FROM json_each(?) j
CROSS JOIN part p ON p.thing = json_extract(j.value, '$[0]') AND p.role IN ({{roles}})
CROSS JOIN event e ON e.leaf = p.leaf AND e.time_us BETWEEN json_extract(j.value, '$[1]')
AND json_extract(j.value, '$[2]') LIMIT ?"""
_ALL_ROWS = f"""SELECT {_COLUMNS} FROM json_each(?) j CROSS JOIN part p ON p.thing = j.value AND p.role IN ({{roles}})
CROSS JOIN event e ON e.leaf = p.leaf LIMIT ?"""
_MADE = f"""SELECT {_COLUMNS} FROM json_each(?) j CROSS JOIN part p ON p.thing = j.value AND p.role = {Role.LOT:d}
CROSS JOIN event e ON e.leaf = p.leaf AND e.type = {Type.TRANSFORMATION:d} AND e.declared = 0 AND e.void = 0 LIMIT ?"""
_MEMBERS = """SELECT p.leaf, p.role, p.thing, p.quantity, p.uom FROM json_each(?) j
CROSS JOIN part p ON p.leaf = j.value AND p.role = ? AND p.thing > ? ORDER BY p.leaf, p.thing LIMIT ?"""
_COUNT = "SELECT COUNT(*) FROM json_each(?) j CROSS JOIN part p ON p.leaf = j.value AND p.role = ?"
# A lot and its packs are of one product: the same GTIN in both URIs.
_PRODUCT_CHARS = len("https://id.gs1.org/01/") + 14
_OF_LOT = f"""FROM json_each(?) j CROSS JOIN part l ON l.thing = j.value AND l.role = {Role.LOT:d}
CROSS JOIN event e ON e.leaf = l.leaf AND e.declared = 0 AND e.void = 0
CROSS JOIN part p ON p.leaf = l.leaf AND p.role IN ({Role.EPC:d}, {Role.OUTPUT:d}) AND p.quantity IS NULL
AND p.thing <> l.thing AND p.thing > ?
CROSS JOIN thing a ON a.id = l.thing CROSS JOIN thing b ON b.id = p.thing
AND substr(b.uri, 1, {_PRODUCT_CHARS}) = substr(a.uri, 1, {_PRODUCT_CHARS})"""
# Each once, by the first event that says so.
_INSTANCES = f"SELECT l.thing, MIN(p.leaf), p.thing {_OF_LOT} GROUP BY l.thing, p.thing ORDER BY 1, 3 LIMIT ?"
_COUNT_INSTANCES = f"SELECT l.thing, COUNT(DISTINCT p.thing) {_OF_LOT} GROUP BY l.thing"
# What empties a container: it is unpacked without a list of children, or ceases to be.
_EMPTIED = f"""SELECT p.thing, e.time_us FROM json_each(?) j
CROSS JOIN part p ON p.thing = j.value AND p.role IN ({Role.PARENT:d}, {Role.EPC:d})
CROSS JOIN event e ON e.leaf = p.leaf AND e.action = {Action.DELETE:d} AND e.declared = 0 AND e.void = 0
WHERE (p.role = {Role.EPC:d} AND e.type = {Type.OBJECT:d})
OR (p.role = {Role.PARENT:d} AND e.type <> {Type.TRANSACTION:d}
AND NOT EXISTS (SELECT 1 FROM part c WHERE c.leaf = p.leaf AND c.role = {Role.CHILD:d})) LIMIT ?"""
# The other events of the same transformationID.
_SAME_WAY = f"""SELECT p.leaf, o.leaf FROM json_each(?) j
CROSS JOIN part p ON p.leaf = j.value AND p.role = {Role.TRANSFORMATION:d}
CROSS JOIN part o ON o.thing = p.thing AND o.role = {Role.TRANSFORMATION:d}
CROSS JOIN event e ON e.leaf = o.leaf AND e.declared = 0 AND e.void = 0 LIMIT ?"""
MAX_ROWS = 1_000_000  # of one question about containment; more is refused by the time bound long before


class Member(NamedTuple):
    """A thing of an event in the role that was asked for."""

    leaf: int
    role: int
    thing: int
    quantity: float | None
    uom: int | None


class EventStore:
    """The event index, through one reading connection."""

    def __init__(self, events: Database) -> None:
        self._run = events.connection.execute

    def id_of(self, uri: str) -> int | None:
        row = self._run("SELECT id FROM thing WHERE uri = ?", (uri,)).fetchone()
        return int(row[0]) if row else None

    def lots_of(self, product: str, limit: int) -> list[str]:
        """The first lots of a product, by URI."""
        query = "SELECT uri FROM thing WHERE uri > ? AND uri < ? ORDER BY uri LIMIT ?"
        return [row[0] for row in self._run(query, (f"{product}/10/", f"{product}/100", limit))]

    def rows(self, wanted: Iterable[tuple[int, Span]], roles: Collection[Role], limit: int) -> list[Row]:
        """What events within these spans say of these things, in the given roles."""
        asked = json.dumps([(thing, *span) for thing, span in wanted])
        return list(map(Row._make, self._run(_ROWS.format(roles=_roles(roles)), (asked, limit))))

    def all_rows(self, things: Iterable[int], roles: Collection[Role], limit: int) -> list[Row]:
        """As `rows`, at any time."""
        return list(map(Row._make, self._run(_ALL_ROWS.format(roles=_roles(roles)), (_listed(things), limit))))

    def made_as(self, lots: Iterable[int], limit: int) -> list[Row]:
        """The transformations that made instances of these lots."""
        return list(map(Row._make, self._run(_MADE, (_listed(lots), limit))))

    def members(self, leaves: Iterable[int], role: Role, limit: int, after: int = 0) -> list[Member]:
        """The things in a role of these events, by event; only those whose number is above `after`."""
        return list(map(Member._make, self._run(_MEMBERS, (_listed(leaves), int(role), after, limit))))

    def count(self, leaves: Iterable[int], role: Role) -> int:
        return int(self._run(_COUNT, (_listed(leaves), int(role))).fetchone()[0])

    def instances(self, lots: Iterable[int], limit: int, after: int = 0) -> list[tuple[int, int, int]]:
        """(lot, event, instance) of the instances that events say are of these lots, by lot and instance."""
        return self._run(_INSTANCES, (_listed(lots), after, limit)).fetchall()

    def count_instances(self, lots: Iterable[int], after: int = 0) -> dict[int, int]:
        return dict(self._run(_COUNT_INSTANCES, (_listed(lots), after)))

    def emptied(self, containers: Iterable[int]) -> dict[int, list[int]]:
        """When each of these was emptied, in order of time."""
        found: dict[int, list[int]] = {}
        for thing, time_us in self._run(_EMPTIED, (_listed(containers), MAX_ROWS)):
            found.setdefault(thing, []).append(time_us)
        return {thing: sorted(times) for thing, times in found.items()}

    def same_way(self, leaves: Iterable[int], limit: int) -> dict[int, set[int]]:
        """For each event with a transformationID, all events that have the same."""
        found: dict[int, set[int]] = {}
        for leaf, other in self._run(_SAME_WAY, (_listed(leaves), limit)):
            found.setdefault(leaf, set()).add(other)
        return found

    def uris(self, things: Iterable[int]) -> Mapping[int, str]:
        return self._names("thing", "uri", things)

    def words(self, words: Iterable[int]) -> Mapping[int, str]:
        return self._names("word", "text", words)

    def _names(self, table: str, column: str, wanted: Iterable[int]) -> Mapping[int, str]:
        query = f"SELECT t.id, t.{column} FROM json_each(?) j CROSS JOIN {table} t ON t.id = j.value"
        return dict(self._run(query, (_listed(wanted),)))

    def hashes(self, leaves: Iterable[int]) -> Mapping[int, bytes]:
        query = "SELECT e.leaf, e.hash FROM json_each(?) j CROSS JOIN event e ON e.leaf = j.value"
        return dict(self._run(query, (_listed(leaves),)))


def _roles(roles: Collection[Role]) -> str:
    return ", ".join(str(int(role)) for role in roles)


def _listed(numbers: Iterable[int]) -> str:
    return json.dumps(list(numbers)) if not isinstance(numbers, Sequence) else json.dumps(numbers)
