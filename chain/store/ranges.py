"""Which numbered events are stored where: ranges of (source, boot, seq) → leaf, instead of a row an event.

Deduplication, gaps and completeness all read this index. It can be rebuilt from the log alone. The newest rows stand
in a small table until there are many: a commit that holds events of hundreds of sources would otherwise write a page
of the large one for each.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

from chain.event import Span
from chain.store.database import Database

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS range (source INTEGER NOT NULL, boot INTEGER NOT NULL, first_seq INTEGER NOT NULL,"
    " count INTEGER NOT NULL, first_leaf INTEGER NOT NULL, PRIMARY KEY (source, boot, first_seq)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS range_new (source INTEGER NOT NULL, boot INTEGER NOT NULL, first_seq INTEGER NOT NULL,"
    " count INTEGER NOT NULL, first_leaf INTEGER NOT NULL, PRIMARY KEY (source, boot, first_seq)) WITHOUT ROWID",
)
# A row that grows keeps its leaf; numbers that are stored are never added again.
_PUT = "INSERT INTO range_new VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = excluded.count"
_TAKE = "DELETE FROM range WHERE source = ? AND boot = ? AND first_seq = ?"
_COLUMNS = "source, boot, first_seq, count, first_leaf"  # by name, so that damage to a table's definition shows
ROWS = f"(SELECT {_COLUMNS} FROM range_new UNION ALL SELECT {_COLUMNS} FROM range)"
MOST_NEW = 2048  # rows: some 15 pages
_CACHED = 8192
_K = TypeVar("_K")
_V = TypeVar("_V")


class Range(Struct, frozen=True):
    """The events first … first+count-1 of a boot are the leaves leaf … leaf+count-1."""

    boot: int
    first: int
    count: int
    leaf: int

    @property
    def end(self) -> int:
        return self.first + self.count


class Ranges:
    """Reads and extends the index over one database connection."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._last: OrderedDict[tuple[str, int], Range | None] = OrderedDict()
        self._written: dict[tuple[int, int, int], tuple[int, int]] = {}  # of the open transaction
        self._grown: set[tuple[int, int, int]] = set()  # of these, what continues an older row
        self._new: set[tuple[int, int, int]] | None = None  # keys in range_new; None where they are to be read

    def last(self, source: str, boot: int) -> Range | None:
        """The range with the highest numbers of this boot, None where the boot is new."""
        key = (source, boot)
        if key not in self._last:
            query = "boot = ? ORDER BY first_seq DESC LIMIT 1"
            found = self._select(source, query, (boot,))
            _remember(self._last, key, found[0] if found else None)
        return self._last[key]

    def leaf_of(self, source: str, boot: int, seq: int) -> int | None:
        """The leaf of one event, or None where it is not stored."""
        last = self.last(source, boot)
        if last is None or seq >= last.end:
            return None
        found = self._select(source, "boot = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1", (boot, seq))
        if not found or seq >= found[0].end:
            return None
        return found[0].leaf + seq - found[0].first

    def add(self, tx: sqlite3.Connection, source: str, new: Range) -> None:
        """Index freshly stored events, none of which may be stored already; `flush` writes all of a transaction.
        Joined to its predecessor where both numbers and leaves continue, so that a source alone on a line needs one
        row."""
        source_id, last = self._source_id(tx, source), self.last(source, new.boot)
        if last and last.end == new.first and last.leaf + last.count == new.leaf:
            new = Range(new.boot, last.first, last.count + new.count, last.leaf)
            self._grown.add((source_id, new.boot, new.first))
        self._written[source_id, new.boot, new.first] = new.count, new.leaf
        if last is None or new.first >= last.first:
            _remember(self._last, (source, new.boot), new)

    def flush(self, tx: sqlite3.Connection) -> None:
        """Write what was added in this transaction."""
        if not self._written:
            return
        if self._new is None:
            self._new = set(tx.execute("SELECT source, boot, first_seq FROM range_new"))
        if moved := self._grown - self._new:
            tx.executemany(_TAKE, moved)
        tx.executemany(_PUT, [(*key, *value) for key, value in self._written.items()])
        self._new.update(self._written)
        self._written.clear()
        self._grown.clear()
        if len(self._new) > MOST_NEW:
            tx.execute(f"INSERT INTO range SELECT {_COLUMNS} FROM range_new")
            tx.execute("DELETE FROM range_new")
            self._new.clear()

    def forget_cached(self) -> None:
        """Needed after a rolled-back transaction."""
        self._written.clear()
        self._grown.clear()
        self._new = None
        self._ids.clear()
        self._last.clear()

    def sources(self) -> list[str]:
        """Names of all sources that ever stored an event, sorted."""
        return [row[0] for row in self._db.connection.execute("SELECT name FROM source ORDER BY name")]

    def boots(self, source: str) -> list[int]:
        query = f"SELECT DISTINCT boot FROM {ROWS} WHERE source = (SELECT id FROM source WHERE name = ?) ORDER BY boot"
        return [row[0] for row in self._db.connection.execute(query, (source,))]

    def stored(self, source: str, boot: int) -> list[Range]:
        """All stored ranges of a boot in order of their numbers."""
        return self._select(source, "boot = ? ORDER BY first_seq", (boot,))

    def total(self) -> int:
        """How many events all rows name together. Each row counts at least one, so that none can cancel another."""
        query = f"SELECT COALESCE(SUM(MAX(ABS(count), 1)), 0) FROM {ROWS}"
        return int(self._db.connection.execute(query).fetchone()[0])

    def missing(self, source: str, span: Span) -> list[Span]:
        """The numbers of `span` that are not stored, as spans."""
        return complement(span, self.inside(source, span))

    def inside(self, source: str, span: Span) -> list[Range]:
        """The stored ranges that overlap `span`, in order of their numbers."""
        bound = (span.boot, span.first + span.count, span.first)
        return self._select(source, "boot = ? AND first_seq < ? AND first_seq + count > ? ORDER BY first_seq", bound)

    def _select(self, source: str, condition: str, values: tuple[int, ...]) -> list[Range]:
        query = (
            f"SELECT boot, first_seq, count, first_leaf FROM {ROWS}"
            f" WHERE source = (SELECT id FROM source WHERE name = ?) AND {condition}"
        )
        return [Range(*row) for row in self._db.connection.execute(query, (source, *values))]

    def _source_id(self, tx: sqlite3.Connection, name: str) -> int:
        if name not in self._ids:
            tx.execute("INSERT OR IGNORE INTO source (name) VALUES (?)", (name,))
            row = tx.execute("SELECT id FROM source WHERE name = ?", (name,)).fetchone()
            _remember(self._ids, name, row[0])
        return self._ids[name]


def complement(span: Span, inside: Iterable[Range]) -> list[Span]:
    """The parts of `span` that the ranges, in order, leave uncovered."""
    missing, at = [], span.first
    for found in inside:
        if found.first > at:
            missing.append(Span(span.boot, at, found.first - at))
        at = max(at, found.end)
    if at <= span.last:
        missing.append(Span(span.boot, at, span.last + 1 - at))
    return missing


def _remember(cache: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > _CACHED:
        cache.popitem(last=False)
