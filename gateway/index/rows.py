"""Writes the index rows of a batch of records inside the follower's transaction."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chain.record import SEAL_KIND, Record, RecordFlag
from chain.store.segment import Fields
from crypto.flat import MAX_NUMBER
from gateway.access import SeriesLimits, SourceSettings
from gateway.index.coverage import cover, runs
from gateway.index.schema import BLOCK_BITS, SEALED, STORED
from gateway.index.terms import Point, points_of, terms_of

_RECORD = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_POINT = "INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?, ?, ?, ?)"
_TALLY = """UPDATE source SET events = events + ?, seals = seals + ?, last_leaf = ?, received_us = MAX(received_us, ?)
WHERE id = ?"""
_BLOCK = """INSERT INTO block VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
SET low_us = MIN(low_us, excluded.low_us), high_us = MAX(high_us, excluded.high_us)"""
_SERIES = "INSERT INTO series VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET unit = excluded.unit"

_OUTSIDE = int(RecordFlag.OUT_OF_RANGE)


@dataclass(slots=True)
class _Tally:
    events: int = 0
    seals: int = 0
    last_leaf: int = 0
    received_us: int = 0


class RowWriter:
    """Collects what one batch adds; `finish` writes it, many rows a statement."""

    def __init__(self, tx: sqlite3.Connection, settings: Callable[[], Mapping[str, SourceSettings]]) -> None:
        self._tx = tx
        self._settings = settings
        self._known_settings: Mapping[str, SourceSettings] | None = None
        self._ids: dict[tuple[str, str], int] = {}
        self._units: dict[tuple[int, int], str] = {}
        self._records: list[tuple[int, ...]] = []
        self._mentions: list[tuple[int, int]] = []
        self._points: list[tuple[int | float, ...]] = []
        self._tallies: dict[int, _Tally] = defaultdict(_Tally)
        self._blocks: dict[int, tuple[int, int]] = {}
        self._numbers: dict[tuple[int, int, int], list[tuple[int, int]]] = defaultdict(list)

    def add(self, leaf: int, record: Record, fields: Fields | None) -> None:
        """One record, with its fields where it has a payload that opens."""
        source = self._source(record.source)
        seal = record.kind == SEAL_KIND
        self._records.append((
            leaf, record.kind, source, record.boot, record.seq, record.count, record.sensed_us,
            record.received_us, int(record.authentication), int(record.flags),
        ))  # fmt: skip
        tally = self._tallies[source]
        tally.events, tally.seals, tally.last_leaf = tally.events + (not seal), tally.seals + seal, leaf
        tally.received_us = max(tally.received_us, record.received_us)
        self._extend_block(leaf, record.sensed_us)
        span = (record.seq, min(record.seq + max(record.count, 1) - 1, MAX_NUMBER))
        self._numbers[source, record.boot, SEALED if seal else STORED].append(span)
        if fields is not None:
            self._add_terms(leaf, record, fields)
            self._add_points(leaf, source, record, points_of(record.kind, fields, record.sensed_us))

    def finish(self) -> None:
        """Write all rows, sums, blocks and spans."""
        self._tx.executemany(_RECORD, self._records)
        self._tx.executemany("INSERT OR IGNORE INTO mention VALUES (?, ?)", self._mentions)
        self._tx.executemany(_POINT, self._points)
        for source, t in self._tallies.items():
            self._tx.execute(_TALLY, (t.events, t.seals, t.last_leaf, t.received_us, source))
        self._tx.executemany(_BLOCK, [(block, low, high) for block, (low, high) in self._blocks.items()])
        for (source, boot, what), numbers in self._numbers.items():
            for first, last in runs(numbers):
                cover(self._tx, (source, boot, what), first, last)

    def _extend_block(self, leaf: int, sensed_us: int) -> None:
        block = leaf >> BLOCK_BITS
        low, high = self._blocks.get(block, (sensed_us, sensed_us))
        self._blocks[block] = (min(low, sensed_us), max(high, sensed_us))

    def _add_terms(self, leaf: int, record: Record, fields: Fields) -> None:
        for name, value in terms_of(record.kind, fields):
            self._mentions.append((self._term(name, value), leaf))

    def _add_points(self, leaf: int, source: int, record: Record, points: Sequence[Point]) -> None:
        outside = self._outside(record, points)
        for n, point in enumerate(points):
            series = self._term("series", point.series)
            self._points.append((source, series, point.time_us, leaf, n, point.value, outside[n]))
            if self._units.get((source, series)) != point.unit:  # the last one counts, however the log was cut up
                self._tx.execute(_SERIES, (source, series, point.unit))
                self._units[source, series] = point.unit

    def _outside(self, record: Record, points: Sequence[Point]) -> list[bool]:
        """Which points a record's flag is about. The flag is of the whole record; where that holds several
        series, the source's limits tell them apart, unless they have changed and explain nothing."""
        if not int(record.flags) & _OUTSIDE:
            return [False] * len(points)
        if len(points) > 1:
            if self._known_settings is None:
                self._known_settings = self._settings()
            settings = self._known_settings.get(record.source)
            violating = [_violates(point, settings.limits if settings else ()) for point in points]
            if any(violating):
                return violating
        return [True] * len(points)

    def _source(self, name: str) -> int:
        known = self._ids.get(("source", name))
        if known is None:
            self._tx.execute("INSERT OR IGNORE INTO source (name) VALUES (?)", (name,))
            known = int(self._tx.execute("SELECT id FROM source WHERE name = ?", (name,)).fetchone()[0])
            self._ids["source", name] = known
        return known

    def _term(self, name: str, value: str) -> int:
        known = self._ids.get(("term " + name, value))
        if known is None:
            self._tx.execute("INSERT OR IGNORE INTO term (name, value) VALUES (?, ?)", (name, value))
            row = self._tx.execute("SELECT id FROM term WHERE name = ? AND value = ?", (name, value)).fetchone()
            known = int(row[0])
            self._ids["term " + name, value] = known
        return known


def _violates(point: Point, limits: Sequence[SeriesLimits]) -> bool:
    """By the first limits whose series and unit both fit, as in gateway.preprocess."""
    for limit in limits:
        if limit.unit == point.unit and limit.series in ("", point.series):
            below = limit.low is not None and point.value < limit.low
            return below or (limit.high is not None and point.value > limit.high)
    return False
