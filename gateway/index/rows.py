"""Writes the index rows of a batch of records inside the follower's transaction."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from chain.record import ERASURE_KIND, SEAL_KIND, RecordFlag
from chain.store.segment import Fields
from crypto.flat import MAX_NUMBER
from gateway.access import SeriesLimits, SourceSettings
from gateway.index.coverage import cover, runs
from gateway.index.schema import BLOCK_BITS, SEALED, STORED, kind_bit
from gateway.index.terms import Point, points_of, terms_of

_RECORD = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_POINT = "INSERT INTO point VALUES (?, ?, ?, ?, ?, ?, ?)"
_TALLY = """UPDATE source SET events = events + ?, seals = seals + ?, last_leaf = MAX(last_leaf, ?),
received_us = MAX(received_us, ?) WHERE id = ?"""
_BLOCK = """INSERT INTO block VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
low_us = MIN(low_us, excluded.low_us), high_us = MAX(high_us, excluded.high_us), kinds = kinds | excluded.kinds"""
_PLACE = "INSERT INTO place VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET kinds = kinds | excluded.kinds"
_SERIES = "INSERT INTO series VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET unit = excluded.unit"

_FEW = 16
_NUL = "\0"  # SQLite's JSON ends a text there
_NEW_TERMS = """INSERT OR IGNORE INTO term (name, value)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?) ORDER BY key"""
_TERM_IDS = """SELECT json_group_array(term.id) FROM json_each(?) j CROSS JOIN term
ON term.name = json_extract(j.value, '$[0]') AND term.value = json_extract(j.value, '$[1]')"""

_OUTSIDE = int(RecordFlag.OUT_OF_RANGE)


class RowWriter:
    """Collects what one batch adds; `finish` writes it, many rows a statement."""

    def __init__(self, tx: sqlite3.Connection, settings: Callable[[], Mapping[str, SourceSettings]]) -> None:
        self._tx = tx
        self._settings = settings
        self._known_settings: Mapping[str, SourceSettings] | None = None
        self._sources: dict[str, int] = {}
        self._terms: dict[tuple[str, str], int] = {}
        self._units: dict[tuple[int, int], str] = {}
        self._records: list[tuple[int, ...]] = []
        self._mentions: list[tuple[int, int]] = []
        self._points: list[tuple[int | float, ...]] = []
        # (source id, boot, kind, block) → (leaf, first number, last number, sensed, received) of each record
        self._groups: dict[tuple[int, int, int, int], list[tuple[int, int, int, int, int]]] = defaultdict(list)

    def add(self, leaf: int, name: str, numbers: tuple[int, ...], fields: Fields | None) -> None:
        """One record as chain.record.parts gives it, with its fields where it has a payload that opens."""
        kind, boot, seq, sensed, received, authentication, flags, count = numbers
        source = self._sources.get(name) or self._source(name)
        self._records.append((leaf, kind, source, boot, seq, count, sensed, received - sensed, authentication, flags))
        last = min(seq + count - 1, MAX_NUMBER) if count else seq
        self._groups[source, boot, kind, leaf >> BLOCK_BITS].append((leaf, seq, last, sensed, received))
        if fields is not None:
            terms = terms_of(kind, fields)
            if len(terms) > _FEW and all(_NUL not in value for _, value in terms):
                self._add_many(leaf, terms)
            else:
                self._mentions += [(self._terms.get(term) or self._term(term), leaf) for term in terms]
            if points := points_of(kind, fields, sensed):
                self._add_points(leaf, source, name, flags, points)

    def finish(self) -> None:
        """Write all rows, sums, blocks and spans."""
        self._tx.executemany(_RECORD, self._records)
        self._tx.executemany("INSERT INTO mention VALUES (?, ?)", sorted(self._mentions))
        self._tx.executemany(_POINT, sorted(self._points))
        numbers: dict[tuple[int, int, int], list[tuple[int, int]]] = defaultdict(list)
        for (source, boot, kind, block), rows in self._groups.items():
            leaves, firsts, lasts, sensed, received = zip(*rows, strict=True)
            seal, bit = kind == SEAL_KIND, kind_bit(kind)
            tally = (0, len(rows)) if seal else (0, 0) if kind == ERASURE_KIND else (len(rows), 0)
            self._tx.execute(_TALLY, (*tally, max(leaves), max(received), source))
            self._tx.execute(_BLOCK, (block, min(sensed), max(sensed), bit))
            self._tx.execute(_PLACE, (source, block, bit))
            if kind != ERASURE_KIND:  # its number counts statements, and its count what is gone
                numbers[source, boot, SEALED if seal else STORED] += zip(firsts, lasts, strict=True)
        for (source, boot, what), spans in numbers.items():
            for first, last in runs(spans):
                cover(self._tx, (source, boot, what), first, last)

    def _add_many(self, leaf: int, terms: Sequence[tuple[str, str]]) -> None:
        """The terms of an event with many things, most of them new, in three statements: between two, this thread may
        wait for the interpreter's lock."""
        listed = json.dumps([term for term in terms if term not in self._terms])
        self._tx.execute(_NEW_TERMS, (listed,))
        ids = self._tx.execute(_TERM_IDS, (json.dumps(terms),)).fetchone()[0]
        self._tx.execute("INSERT INTO mention SELECT value, ? FROM json_each(?) ORDER BY value", (leaf, ids))

    def _add_points(self, leaf: int, source: int, reporter: str, flags: int, points: Sequence[Point]) -> None:
        outside = self._outside(reporter, points) if flags & _OUTSIDE else [False] * len(points)
        for n, (name, unit, time_us, value) in enumerate(points):
            series = self._terms.get(("series", name)) or self._term(("series", name))
            self._points.append((source, series, time_us, leaf, n, value, outside[n]))
            if self._units.get((source, series)) != unit:  # the last one counts, however the log was cut up
                self._tx.execute(_SERIES, (source, series, unit))
                self._units[source, series] = unit

    def _outside(self, source: str, points: Sequence[Point]) -> list[bool]:
        """Which points the flag of a record is about. The flag is of the whole record; where that holds several
        series, the source's limits tell them apart, unless they have changed and explain nothing."""
        if len(points) > 1:
            if self._known_settings is None:
                self._known_settings = self._settings()
            settings = self._known_settings.get(source)
            violating = [_violates(point, settings.limits if settings else ()) for point in points]
            if any(violating):
                return violating
        return [True] * len(points)

    def _source(self, name: str) -> int:
        """The id of a source that this batch has not met yet."""
        self._tx.execute("INSERT OR IGNORE INTO source (name) VALUES (?)", (name,))
        self._sources[name] = known = int(
            self._tx.execute("SELECT id FROM source WHERE name = ?", (name,)).fetchone()[0]
        )
        return known

    def _term(self, term: tuple[str, str]) -> int:
        """The id of a term that this batch has not met yet."""
        self._tx.execute("INSERT OR IGNORE INTO term (name, value) VALUES (?, ?)", term)
        row = self._tx.execute("SELECT id FROM term WHERE name = ? AND value = ?", term).fetchone()
        self._terms[term] = known = int(row[0])
        return known


def _violates(point: Point, limits: Sequence[SeriesLimits]) -> bool:
    """By the first limits whose series and unit both fit, as in gateway.preprocess."""
    for limit in limits:
        if limit.unit == point.unit and limit.series in ("", point.series):
            below = limit.low is not None and point.value < limit.low
            return below or (limit.high is not None and point.value > limit.high)
    return False
