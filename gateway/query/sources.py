"""All sources of a site in one list, each with how complete it is."""

from collections.abc import Collection
from dataclasses import dataclass

from gateway.index.schema import SEALED, STORED
from gateway.query.errors import NotFoundError
from gateway.query.view import View

MAX_PAGE = 500
_COLUMNS = "SELECT id, name, events, seals, last_leaf, received_us FROM source"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source that has logged something, or is enrolled (then all is 0). `missing` counts numbers that never
    arrived though later ones or a seal say they exist; `unsealed` those received that no seal covers. Times in µs
    since 1970."""

    name: str
    events: int
    seals: int
    last_leaf: int
    received_us: int
    boots: int
    missing: int
    unsealed: int


def list_sources(view: View, limit: int, after: str = "") -> tuple[SourceRow, ...]:
    """Those that logged something, by name, from behind `after`; at most 500."""
    query = f"{_COLUMNS} WHERE name > ? ORDER BY name LIMIT ?"
    with view.index.snapshot():
        rows = view.index.connection.execute(query, (after, min(limit, MAX_PAGE))).fetchall()
        return tuple(_row(view, *row) for row in rows)


def all_sources(
    view: View, enrolled: Collection[str], limit: int, after: str = ""
) -> tuple[tuple[SourceRow, ...], bool]:
    """The same together with those that are enrolled and have logged nothing yet, and whether there are more."""
    limit = min(limit, MAX_PAGE - 1)
    rows = {row.name: row for row in list_sources(view, limit + 1, after)}
    last = max(rows) if len(rows) > limit else ""
    for name in enrolled:
        if name > after and name not in rows and (not last or name < last):
            rows[name] = _nothing(name)
    found = [rows[name] for name in sorted(rows)]
    return tuple(found[:limit]), len(found) > limit


def source_row(view: View, name: str, *, known: bool = False) -> SourceRow:
    """One source. NotFoundError where it has logged nothing, unless it is `known` to be enrolled."""
    row = view.index.connection.execute(f"{_COLUMNS} WHERE name = ?", (name,)).fetchone()
    if row is None and not known:
        raise NotFoundError(f"there is no source {name!r:.80} here")
    return _row(view, *row) if row else _nothing(name)


def _nothing(name: str) -> SourceRow:
    return SourceRow(name, 0, 0, 0, 0, 0, 0, 0)


def totals(view: View) -> tuple[int, int]:
    """Events and seals in the index."""
    row = view.index.connection.execute("SELECT COALESCE(SUM(events), 0), COALESCE(SUM(seals), 0) FROM source")
    events, seals = row.fetchone()
    return int(events), int(seals)


def _row(view: View, number: int, name: str, events: int, seals: int, last_leaf: int, received_us: int) -> SourceRow:
    query = "SELECT boot, what, MAX(last), SUM(last - first + 1.0) FROM span WHERE source = ? GROUP BY boot, what"
    highest: dict[int, int] = {}
    counts = {STORED: 0, SEALED: 0}
    for boot, what, last, count in view.index.connection.execute(query, (number,)):
        highest[boot] = max(highest.get(boot, -1), last)
        counts[what] += int(count)
    expected = sum(last + 1 for last in highest.values())
    missing = expected - counts[STORED]
    return SourceRow(name, events, seals, last_leaf, received_us, len(highest), missing, _unsealed(view, number))


def _unsealed(view: View, number: int) -> int:
    """Stored numbers behind the last sealed one of each boot. (Those between seals show in the completeness.)"""
    query = """SELECT SUM(MAX(0, o.last - MAX(o.first, COALESCE((SELECT MAX(s.last) + 1 FROM span s
        WHERE s.source = o.source AND s.boot = o.boot AND s.what = ?), 0)) + 1)) FROM span o
        WHERE o.source = ? AND o.what = ?"""
    found = view.index.connection.execute(query, (SEALED, number, STORED)).fetchone()[0]
    return int(found or 0)
