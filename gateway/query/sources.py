"""All sources of a site in one list, each with how complete it is."""

from dataclasses import dataclass

from gateway.index.schema import SEALED, STORED
from gateway.query.view import View

MAX_PAGE = 500
_SELECT = """SELECT id, name, events, seals, last_leaf, received_us FROM source
WHERE name > ? ORDER BY name LIMIT ?"""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source that has logged something. `missing` counts numbers that never arrived though later ones or a
    seal say they exist; `unsealed` those received that no seal covers. Times in µs since 1970."""

    name: str
    events: int
    seals: int
    last_leaf: int
    received_us: int
    boots: int
    missing: int
    unsealed: int


def list_sources(view: View, limit: int, after: str = "") -> tuple[SourceRow, ...]:
    """By name, from behind `after`; at most 500."""
    with view.index.snapshot():
        rows = view.index.connection.execute(_SELECT, (after, min(limit, MAX_PAGE))).fetchall()
        return tuple(_row(view, *row) for row in rows)


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
