"""Writes the rows of a batch of events inside the follower's transaction."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.epcis.event import Event
from gateway.events.facts import Fact, facts_of
from gateway.events.members import Part, parts_of
from gateway.events.names import Names
from gateway.events.schema import PARTNER, Action, Type

_TYPES = {
    "ObjectEvent": Type.OBJECT, "AggregationEvent": Type.AGGREGATION, "TransactionEvent": Type.TRANSACTION,
    "TransformationEvent": Type.TRANSFORMATION, "AssociationEvent": Type.ASSOCIATION,
}  # fmt: skip
_ACTIONS = {"ADD": Action.ADD, "OBSERVE": Action.OBSERVE, "DELETE": Action.DELETE}
_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)"
# Of what this batch adds, and of what its declarations speak of. Nothing that declares is void itself: who would mend
# a declaration writes the event anew. A partner declares its own events erroneous, and nobody else's.
_MAY = f"""(d.source = event.source OR EXISTS
(SELECT 1 FROM word w WHERE w.id = d.source AND substr(w.text, 1, {len(PARTNER)}) <> '{PARTNER}'))"""
_VOID_NEW = f"""UPDATE event SET void = 1 WHERE leaf BETWEEN ? AND ? AND declared = 0
AND EXISTS (SELECT 1 FROM event d WHERE d.declared = 1 AND d.hash = event.hash AND {_MAY})"""
_VOID_NEW_NAMED = f"""UPDATE event SET void = 1 WHERE leaf = ?2 AND declared = 0 AND EXISTS
(SELECT 1 FROM named n JOIN event d ON d.leaf = n.leaf AND d.declared = 1 WHERE n.id = ?1 AND {_MAY})"""
_OF = "AND declared = 0 AND void = 0 AND (?2 IS NULL OR source = ?2)"
_VOID_HASH = f"UPDATE event SET void = 1 WHERE hash = ?1 {_OF}"
_VOID_NAMED = f"UPDATE event SET void = 1 WHERE leaf IN (SELECT leaf FROM named WHERE id = ?1) {_OF}"
_HASH_ID = ("ni:///sha-256;", "?ver=CBV2.0")


@dataclass(frozen=True, slots=True)
class Logged:
    """An event of the log: its leaf, when the gateway received it, in microseconds since the Unix epoch, and from
    which source."""

    leaf: int
    received_us: int
    event: Event
    source: str


def hash_of_id(event_id: str) -> bytes | None:
    """The hash that an eventID of this form names; None where it is of another form."""
    before, after = _HASH_ID
    digits = event_id.removeprefix(before).removesuffix(after)
    if len(event_id) != len(before) + 64 + len(after) or event_id != f"{before}{digits}{after}":
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def write_events(tx: sqlite3.Connection, events: Sequence[Logged]) -> None:
    """Add the rows of events whose leaves ascend and are not in the index yet."""
    if not events:
        return
    parts = [parts_of(logged.event) for logged in events]
    facts = [list(facts_of(logged.event)) for logged in events]
    things = Names(tx, "thing", "uri", _uris(events, parts))
    words = Names(tx, "word", "text", _words(events, parts, facts))
    tx.executemany(_EVENT, [_event_row(logged, things, words) for logged in events])
    _write_parts(tx, _part_rows(events, parts, things, words))
    named = [(e.event.event_id, e.leaf) for e in events if e.event.event_id not in (None, e.event.hash_id)]
    tx.executemany("INSERT INTO named VALUES (?, ?)", named)
    found = [
        (words[name], text, number, e.leaf) for e, of in zip(events, facts, strict=True) for name, text, number in of
    ]
    tx.executemany("INSERT INTO fact VALUES (?, ?, ?, ?)", found)
    _mark_void(tx, events, words, named)


def _uris(events: Sequence[Logged], parts: Sequence[Sequence[Part]]) -> Iterator[str]:
    for logged, found in zip(events, parts, strict=True):
        for part in found:
            yield part.uri
        for place in (logged.event.read_point, logged.event.biz_location):
            if place:
                yield place


def _words(
    events: Sequence[Logged], parts: Sequence[Sequence[Part]], facts: Sequence[Sequence[Fact]]
) -> Iterator[str]:  # fmt: skip
    """Event by event, so that ids do not depend on how the log was cut into steps."""
    for logged, found, facts_found in zip(events, parts, facts, strict=True):
        for word in (logged.source, logged.event.biz_step, logged.event.disposition):
            if word:
                yield word
        for part in found:
            if part.uom:
                yield part.uom
        for name, _, _ in facts_found:
            yield name


def _event_row(logged: Logged, things: Names, words: Names) -> tuple[object, ...]:
    event = logged.event
    return (
        logged.leaf, event.hash, _TYPES.get(event.type, Type.OTHER), _ACTIONS.get(event.action or "", Action.NONE),
        event.time_us, logged.received_us, words.get(event.biz_step), words.get(event.disposition),
        things.get(event.read_point), things.get(event.biz_location), int(event.error is not None),
        words[logged.source],
    )  # fmt: skip


def _part_rows(events: Sequence[Logged], parts: Sequence[Sequence[Part]], things: Names, words: Names
               ) -> Iterator[tuple[int, int, int, float | None, int | None]]:  # fmt: skip
    for logged, found in zip(events, parts, strict=True):
        for part in found:
            yield things[part.uri], logged.leaf, int(part.role), part.quantity, words.get(part.uom)


def _write_parts(tx: sqlite3.Connection, rows: Iterable[tuple[int, int, int, float | None, int | None]]) -> None:
    """Instances without a quantity, by far the most, in one statement for each event and role."""
    plain = defaultdict[tuple[int, int], list[int]](list)
    measured = []
    for thing, leaf, role, quantity, uom in rows:
        if quantity is None and uom is None:
            plain[leaf, role].append(thing)
        else:
            measured.append((thing, leaf, role, quantity, uom))
    for (leaf, role), found in plain.items():
        tx.execute(
            "INSERT INTO part SELECT value, ?, ?, NULL, NULL FROM json_each(?)", (leaf, role, str(sorted(found)))
        )
    tx.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?)", sorted(measured))


def _mark_void(
    tx: sqlite3.Connection, events: Sequence[Logged], words: Names, named: Iterable[tuple[str | None, int]]
) -> None:  # fmt: skip
    tx.execute(_VOID_NEW, (events[0].leaf, events[-1].leaf))
    tx.executemany(_VOID_NEW_NAMED, named)
    said = defaultdict[str, set[tuple[object, int | None]]](set)
    for logged in events:
        if logged.event.error is not None:
            of = words[logged.source] if logged.source.startswith(PARTNER) else None
            said[_VOID_HASH].add((logged.event.hash, of))
            if name := logged.event.event_id:
                said[_VOID_NAMED].add((name, of))
                said[_VOID_HASH].add((hash_of_id(name), of))
    for statement, keys in said.items():
        tx.executemany(statement, list(keys))
