"""What the first page shows, gathered in one go."""

from dataclasses import dataclass

from chain.store.notices import Alert, DeadLetter
from crypto.flat import MAX_NUMBER
from gateway.access import SeriesLimits, SourceSettings
from gateway.api.auth import Caller
from gateway.api.services import Services
from gateway.live import LiveStatus
from gateway.query.readings import Excursion, SeriesRow, curve, excursions, extent, series_of
from gateway.query.records import RecordFilter, RecordRow, list_records
from gateway.query.sources import SourceRow, all_sources, totals
from gateway.query.view import View
from gateway.web.chart import Chart, chart
from gateway.web.text import count

SOURCES, RECORDS, NOTICES, CHARTS, EXCURSIONS = 50, 8, 6, 4, 5
DAY_US = 86_400_000_000
BUCKETS = 240


@dataclass(frozen=True, slots=True)
class SeriesChart:
    """A series with its newest value, its limits, and the drawing of its last day."""

    row: SeriesRow
    low: float | None
    high: float | None
    drawing: Chart


@dataclass(frozen=True, slots=True)
class Home:
    """The first page. `pending` events are not anchored yet, `unsealed` ones not signed by their device. Lists are
    empty for callers who may not see them."""

    status: LiveStatus
    events: int
    seals: int
    pending: int
    unsealed: int
    headline: str
    promise: str
    sources: tuple[SourceRow, ...]
    more_sources: bool
    connected: frozenset[str]
    charts: tuple[SeriesChart, ...]
    excursions: tuple[Excursion, ...]
    records: tuple[RecordRow, ...]
    alerts: tuple[Alert, ...]
    dead_letters: tuple[DeadLetter, ...]
    refused: int


def gather(here: Services, view: View, who: Caller) -> Home:
    """Everything for this caller."""
    status, settings = here.live.status(), here.access.settings() if who.reads else {}
    events, seals = totals(view)
    pending = events_from(view, status.anchored_size)
    sources, more = all_sources(view, settings, SOURCES) if who.reads else ((), False)
    notices = view.site.notices
    return Home(
        status, events, seals, pending, sum(row.unsealed for row in sources), headline(events, pending),
        promise(sources, more), sources, more, frozenset(status.connected),
        series_charts(view, sources, settings) if who.sees_payloads else (),
        excursions(view, limit=EXCURSIONS) if who.sees_payloads else (),
        here.marked(view, list_records(view, RecordFilter(), RECORDS, payloads=who.sees_payloads).records)
        if who.reads else (),
        tuple(notices.alerts(limit=NOTICES)) if who.sees_payloads else (),
        tuple(notices.dead_letters(limit=NOTICES)) if who.operates else (), notices.refused() if who.operates else 0,
    )  # fmt: skip


def events_from(view: View, leaf: int) -> int:
    """Events in the index at this leaf or behind it."""
    query = "SELECT COUNT(*) FROM record WHERE leaf >= ? AND count = 0"
    return int(view.index.connection.execute(query, (leaf,)).fetchone()[0])


def headline(events: int, pending: int) -> str:
    """The state of the site in one breath."""
    if not events:
        return "No events yet"
    if not pending:
        return f"{count(events, 'event')}, {'every one ' if events > 1 else ''}provable"
    return f"{count(events, 'event')}, {events - pending:,} provable"


def promise(sources: tuple[SourceRow, ...], more: bool) -> str:
    """What stands between this and a clean sheet, in words."""
    missing = sum(row.missing for row in sources)
    if missing:
        return f"{count(missing, 'event')} never arrived, and we know exactly which."
    if sources and not more:
        return "No gap is known: the numbers of every source are complete so far."
    return "Each is written into a log that nobody can rewrite unnoticed, and anchored on a ledger."


def series_charts(view: View, sources: tuple[SourceRow, ...], settings: dict[str, SourceSettings]
                  ) -> tuple[SeriesChart, ...]:  # fmt: skip
    """The first few series of temperature, those out of range first."""
    found = [row for source in sources for row in series_of(view, source.name) if row.unit == "Cel"]
    found.sort(key=lambda row: not row.outside)
    charts = (series_chart(view, row, settings.get(row.source), last_us=DAY_US) for row in found[:CHARTS])
    return tuple(made for made in charts if made)


def series_chart(
    view: View, row: SeriesRow, settings: SourceSettings | None, *, last_us: int = MAX_NUMBER
) -> SeriesChart | None:
    """The newest stretch of a series, `last_us` microseconds long; by default all of it."""
    bounds = extent(view, row.source, row.series)
    if bounds is None:
        return None
    limits = limits_of(row, settings)
    low, high = (limits.low, limits.high) if limits else (None, None)
    drawing = chart(
        curve(view, row.source, row.series, max(bounds[0], bounds[1] - last_us), bounds[1], BUCKETS), low, high
    )
    return SeriesChart(row, low, high, drawing) if drawing else None


def limits_of(row: SeriesRow, settings: SourceSettings | None) -> SeriesLimits | None:
    """The limits that apply to a series: the first whose name and unit fit, as in preprocessing."""
    known = settings.limits if settings else ()
    return next((x for x in known if x.unit == row.unit and x.series in ("", row.series)), None)
