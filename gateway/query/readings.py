"""Curves and excursions of measured values."""

from dataclasses import dataclass
from heapq import nlargest

from crypto.flat import MAX_NUMBER
from gateway.query.errors import NotFoundError, QueryError
from gateway.query.records import source_id
from gateway.query.view import View

MAX_BUCKETS = 2000
MAX_SERIES = 200
MAX_EXCURSIONS = 500

_SERIES = """SELECT t.value, x.unit, x.series FROM series x JOIN term t ON t.id = x.series
WHERE x.source = ? ORDER BY t.value LIMIT ?"""
_NEWEST = "SELECT time_us, value, outside FROM point WHERE source = ? AND series = ? ORDER BY time_us DESC LIMIT 1"
_BUCKETS = """SELECT (time_us - ?3) / ?5 AS bucket, MIN(time_us), MAX(time_us), MIN(value), MAX(value), AVG(value),
COUNT(*), SUM(outside) FROM point WHERE source = ?1 AND series = ?2 AND time_us BETWEEN ?3 AND ?4
GROUP BY bucket ORDER BY bucket"""
_OUTSIDE_AT = """SELECT MAX(time_us) FROM point INDEXED BY point_outside
WHERE source = ? AND series = ? AND outside = 1 AND time_us <= ?"""
_INSIDE_BEFORE = """SELECT time_us FROM point WHERE source = ? AND series = ? AND outside = 0 AND time_us < ?
ORDER BY time_us DESC LIMIT 1"""
_RUN = """SELECT MIN(time_us), COUNT(*), MIN(value), MAX(value), MIN(leaf) FROM point INDEXED BY point_outside
WHERE source = ? AND series = ? AND outside = 1 AND time_us > ? AND time_us <= ?"""
_GAPS = """SELECT before_us, time_us FROM (
SELECT time_us, LAG(time_us) OVER (ORDER BY time_us) AS before_us FROM point
WHERE source = ? AND series = ? AND time_us BETWEEN ? AND ?) WHERE time_us - before_us > ? ORDER BY time_us LIMIT ?"""
_NOTABLE = """SELECT leaf, time_us, value FROM point WHERE source = ? AND series = ? AND time_us BETWEEN ? AND ?
ORDER BY {order} LIMIT 1"""
_ORDERS = {"first": "time_us", "lowest": "value, time_us", "highest": "value DESC, time_us", "last": "time_us DESC"}
_AFTER = "SELECT 1 FROM point WHERE source = ? AND series = ? AND time_us > ? LIMIT 1"


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One series of a source with its newest value, in the unit of that value."""

    source: str
    series: str
    unit: str
    time_us: int
    value: float
    outside: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """The values of one stretch of time: first and last time, lowest, highest and mean value, how many, and
    how many of them were out of range."""

    first_us: int
    last_us: int
    low: float
    high: float
    mean: float
    count: int
    outside: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A series between two times, downsampled so that no extreme is lost."""

    source: str
    series: str
    unit: str
    from_us: int
    to_us: int
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Excursion:
    """Consecutive readings of a series out of range: first and last time, how many, lowest and highest value,
    the first record, and whether the series is still outside."""

    source: str
    series: str
    unit: str
    first_us: int
    last_us: int
    count: int
    low: float
    high: float
    leaf: int
    ongoing: bool


def series_of(view: View, source: str) -> tuple[SeriesRow, ...]:
    """All series of a source by name, at most 200."""
    number = source_id(view, source)
    found = []
    for name, unit, series in view.index.connection.execute(_SERIES, (number or 0, MAX_SERIES)).fetchall():
        newest = view.index.connection.execute(_NEWEST, (number, series)).fetchone()
        if newest:
            found.append(SeriesRow(source, name, unit, newest[0], newest[1], bool(newest[2])))
    return tuple(found)


def curve(view: View, source: str, series: str, from_us: int, to_us: int, buckets: int = 300) -> Curve:
    """Min and max of each of `buckets` stretches of the time range (both ends inside); empty ones are left out.

    Raises:
        NotFoundError: the source has no such series.
        QueryError: an empty time range, or more than 2,000 buckets.
    """
    if not 0 <= from_us <= to_us <= MAX_NUMBER or not 1 <= buckets <= MAX_BUCKETS:
        raise QueryError(f"a curve needs a time range that is not empty, and 1 to {MAX_BUCKETS} buckets")
    number, series_id, unit = _series(view, source, series)
    width = max(1, -(-(to_us - from_us + 1) // buckets))
    rows = view.index.connection.execute(_BUCKETS, (number, series_id, from_us, to_us, width))
    return Curve(source, series, unit, from_us, to_us, tuple(Bucket(*row[1:]) for row in rows))


def extent(view: View, source: str, series: str) -> tuple[int, int] | None:
    """First and last time of a series; None where it has no points."""
    number, series_id, _ = _series(view, source, series)
    query = "SELECT MIN(time_us), MAX(time_us) FROM point WHERE source = ? AND series = ?"
    first, last = view.index.connection.execute(query, (number, series_id)).fetchone()
    return None if first is None else (int(first), int(last))


@dataclass(frozen=True, slots=True)
class Point:
    """One value and the record that it stands in."""

    leaf: int
    time_us: int
    value: float


def notable(view: View, source: str, series: str, from_us: int, to_us: int) -> dict[str, Point]:
    """The first, lowest, highest and last value of a time range (both ends inside), by these words; of several alike
    the earliest. Empty where there is none."""
    number, series_id, _ = _series(view, source, series)
    found = {}
    for word, order in _ORDERS.items():
        query = _NOTABLE.format(order=order)
        row = view.index.connection.execute(query, (number, series_id, from_us, to_us)).fetchone()
        if row:
            found[word] = Point(*row)
    return found


def gaps(
    view: View, source: str, series: str, from_us: int, to_us: int, longest_us: int, limit: int = 100
) -> tuple[tuple[int, int], ...]:
    """Stretches (first and last µs) of a time range in which no value is for longer than `longest_us`, its ends
    included, in the order of time; at most `limit` between values."""
    number, series_id, _ = _series(view, source, series)
    run = view.index.connection.execute
    asked = (number, series_id, from_us, to_us)
    first, last = run(
        "SELECT MIN(time_us), MAX(time_us) FROM point WHERE source = ? AND series = ? AND time_us BETWEEN ? AND ?",
        asked,
    ).fetchone()
    if first is None:
        return ((from_us, to_us),) if to_us - from_us > longest_us else ()
    between = run(_GAPS, (*asked, longest_us, limit)).fetchall()
    found = [(from_us, first), *between, (last, to_us)]
    return tuple((start, end) for start, end in found if end - start > longest_us)


def excursions(
    view: View, source: str | None = None, series: str | None = None, from_us: int = 0, to_us: int = MAX_NUMBER,
    limit: int = 100,
) -> tuple[Excursion, ...]:  # fmt: skip
    """Excursions that touch the time range, the one that ended last first, at most 500."""
    limit = min(limit, MAX_EXCURSIONS)
    query = """SELECT DISTINCT p.source, p.series, s.name, t.value, x.unit
        FROM (SELECT DISTINCT source, series FROM point INDEXED BY point_outside WHERE outside = 1) p
        JOIN source s ON s.id = p.source JOIN term t ON t.id = p.series
        JOIN series x ON x.source = p.source AND x.series = p.series
        WHERE (?1 IS NULL OR s.name = ?1) AND (?2 IS NULL OR t.value = ?2)"""
    with view.index.snapshot():
        found = []
        for row in view.index.connection.execute(query, (source, series)).fetchall():
            found += _runs(view, row, from_us, to_us, limit)
    return tuple(nlargest(limit, found, key=lambda excursion: excursion.last_us))


def _runs(view: View, row: tuple[int, int, str, str, str], from_us: int, to_us: int, limit: int) -> list[Excursion]:
    """Runs of one series, newest first, by hopping from run to run on the index."""
    source, series, source_name, series_name, unit = row
    run = view.index.connection.execute
    found: list[Excursion] = []
    at = _end_of_run(view, source, series, to_us)
    while len(found) < limit:
        last = run(_OUTSIDE_AT, (source, series, at)).fetchone()[0]
        if last is None or last < from_us:
            break
        inside = run(_INSIDE_BEFORE, (source, series, last)).fetchone()
        before = inside[0] if inside else -1
        first, count, low, high, leaf = run(_RUN, (source, series, before, last)).fetchone()
        ongoing = run(_AFTER, (source, series, last)).fetchone() is None
        found.append(Excursion(source_name, series_name, unit, first, last, count, low, high, leaf, ongoing))
        at = before
    return found


def _end_of_run(view: View, source: int, series: int, to_us: int) -> int:
    """`to_us`, or the end of the excursion that runs across it."""
    query = """SELECT time_us FROM point WHERE source = ? AND series = ? AND outside = 0 AND time_us > ?
        ORDER BY time_us LIMIT 1"""
    inside = view.index.connection.execute(query, (source, series, to_us)).fetchone()
    straddles = view.index.connection.execute(
        "SELECT outside FROM point WHERE source = ? AND series = ? AND time_us <= ? ORDER BY time_us DESC LIMIT 1",
        (source, series, to_us),
    ).fetchone()
    if straddles is None or not straddles[0]:
        return to_us
    return int(inside[0]) - 1 if inside else MAX_NUMBER


def _series(view: View, source: str, series: str) -> tuple[int, int, str]:
    query = """SELECT x.source, x.series, x.unit FROM series x JOIN source s ON s.id = x.source
        JOIN term t ON t.id = x.series WHERE s.name = ? AND t.name = 'series' AND t.value = ?"""
    row = view.index.connection.execute(query, (source, series)).fetchone()
    if row is None:
        raise NotFoundError(f"the source {source!r} has no series {series!r:.120}")
    return row[0], row[1], row[2]
