"""Geometry of a shipment's temperatures: what its policy allows as bands, what was outside or missing as stretches.

Numbers in, SVG coordinates out, as gateway.web.chart. What is drawn of readings is a picture: figures and alarms are
the ledger's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chain.conditions.samples import milli_celsius
from chaincode.coldchain.policy import Limit, Policy
from chaincode.coldchain.report import LoggerReport, Report
from gateway.query.readings import Bucket, Curve
from gateway.web import text
from gateway.web.chart import HEIGHT, MIN_MARK, WIDTH, Scale, Tick, envelope_of, path_of, x_ticks, y_ticks

SECOND_US = 1_000_000
NEAR = 30.0  # units
SLIM = 16.0
OUTSIDE, ALLOWED, MISSING = "outside", "allowed", "missing"


@dataclass(frozen=True, slots=True)
class Band:
    """Temperatures between two heights: `good` within all limits, `allowed` outside one for a time that is allowed."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A limit at its height (units, and percent from the top)."""

    y: float
    percent: float
    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time: `outside` a limit beyond what is allowed, outside and still `allowed`, or `missing`. As high
    as the drawing where all of it was, and at its edge where some of it was."""

    kind: str
    x: float
    width: float
    from_us: int
    to_us: int
    y: float = 0.0
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class Mark:
    """The numbers of alarms, at their time."""

    numbers: str
    x: float
    percent: float


@dataclass(frozen=True, slots=True)
class Thermogram:
    """`line` and `envelope` are path data, empty without values; `outside` are the parts of it beyond a limit."""

    line: str
    envelope: str
    outside: tuple[str, ...]
    bands: tuple[Band, ...]
    edges: tuple[Edge, ...]
    stretches: tuple[Stretch, ...]
    marks: tuple[Mark, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Alarms:
    """Of one logger: the places of the limits that were exceeded beyond what is allowed, and all its alarms as
    (number, time)."""

    limits: frozenset[int]
    times: tuple[tuple[int, int], ...]


def of_readings(curve: Curve, policy: Policy, missing: Iterable[tuple[int, int]], alarms: Alarms) -> Thermogram:
    """Of the readings themselves; `missing` are stretches (µs) for which there is none."""
    scale = _scale(curve.from_us, curve.to_us, [b.low for b in curve.buckets] + [b.high for b in curve.buckets], policy)
    holes = list(missing)
    parts = _parts(curve.buckets, holes)
    points = [[(scale.x((b.first_us + b.last_us) / 2), b) for b in part] for part in parts]
    stretches = [_stretch(scale, MISSING, start, end) for start, end in holes]
    return replace(
        _frame(scale, policy, alarms),
        line="".join(path_of([(x, scale.y(b.mean)) for x, b in part]) for part in points),
        envelope="".join(envelope_of(part, scale) for part in points),
        outside=tuple(path for part in points for path in _outside_paths(part, scale, policy)),
        stretches=tuple(_outside_stretches(curve, parts, policy, alarms, scale)) + tuple(stretches),
    )


def of_reports(reports: Sequence[Report], place: int, policy: Policy, until_us: int, alarms: Alarms) -> Thermogram:
    """Of what the reports say of one logger: lowest and highest so far as steps, the mean kinetic temperature as a
    line, and in which report's time it was outside or missing. At least one report."""
    said = [(report, report.loggers[place]) for report in reports]
    values = [milli / 1000 for _, one in said for milli in (one.least, one.most) if milli is not None]
    scale = _scale(reports[0].from_us, max(until_us, reports[-1].to_us), values, policy)
    steps = [step for step in _steps(said, scale) if step]
    means = [(scale.x(r.to_us), scale.y(one.mkt / 1000)) for r, one in said if one.mkt is not None]
    return replace(
        _frame(scale, policy, alarms),
        line=path_of(means) if means else "",
        envelope="".join(steps),
        stretches=tuple(_grown(said, policy, alarms, scale)),
    )


def _frame(scale: Scale, policy: Policy, alarms: Alarms) -> Thermogram:
    marks = tuple(_marks(alarms, scale))
    shown = [limit for limit in policy.limits if scale.low <= limit.threshold / 1000 <= scale.high]
    edges = tuple(_edge(limit, scale) for limit in shown)
    return Thermogram(
        "", "", (), tuple(_bands(policy, scale)), edges, (), marks, y_ticks(scale), x_ticks(scale, _form(scale))
    )


def _form(scale: Scale) -> str:
    """Time over day, for some days; then days alone."""
    return "%-d %b" if scale.to_us - scale.from_us > 5 * 86_400 * SECOND_US else "%H:%M\n%-d %b"


def _marks(alarms: Alarms, scale: Scale) -> Iterable[Mark]:
    """Those that would be written over each other are one mark."""
    placed: list[tuple[float, list[int]]] = []
    for number, us in sorted(alarms.times, key=lambda one: one[1]):
        x = scale.x(us)
        if placed and x - placed[-1][0] < NEAR:
            placed[-1][1].append(number)
        elif 0 <= x <= WIDTH:
            placed.append((x, [number]))
    for x, numbers in placed:
        shown = ", ".join(map(str, numbers[:3])) + (" …" if len(numbers) > 3 else "")
        yield Mark(shown, x, x / WIDTH * 100)


def _edge(limit: Limit, scale: Scale) -> Edge:
    y = scale.y(limit.threshold / 1000)
    allowed = f" · {text.span_exact(limit.allowed_s)} allowed" if limit.allowed_s else ""
    return Edge(y, y / HEIGHT * 100, f"{str(limit.direction).replace('-', ' ')} {limit.threshold / 1000:g} °C{allowed}")


def _scale(from_us: int, to_us: int, values: Sequence[float], policy: Policy) -> Scale:
    """Shows all values, the limits that lie nearest to what is allowed, and those that were passed, with some air."""
    bounds = [*values, *(limit.threshold / 1000 for limit in _nearest(policy))]
    bottom, top = min(bounds), max(bounds)
    air = (top - bottom) * 0.12 or 1.0
    return Scale(from_us, max(to_us, from_us + 1), bottom - air, top + air)


def _nearest(policy: Policy) -> list[Limit]:
    high = [limit for limit in policy.limits if limit.direction.high]
    low = [limit for limit in policy.limits if not limit.direction.high]
    return [
        pick(limits, key=lambda limit: limit.threshold) for limits, pick in ((high, min), (low, max)) if limits
    ]  # fmt: skip


def _bands(policy: Policy, scale: Scale) -> Iterable[Band]:
    """From one threshold to the next; nothing where it is at once an excursion."""
    heights = sorted({scale.low, scale.high, *(limit.threshold / 1000 for limit in policy.limits)})
    for bottom, top in pairwise([one for one in heights if scale.low <= one <= scale.high]):
        middle = round((bottom + top) * 500)
        broken = [limit for limit in policy.limits if limit.outside(middle)]
        if all(limit.allowed_s for limit in broken):
            y = scale.y(top)
            yield Band("allowed" if broken else "good", y, round(scale.y(bottom) - y, 1))


def _parts(buckets: Sequence[Bucket], holes: Sequence[tuple[int, int]]) -> list[list[Bucket]]:
    """The stretches without a hole between two of their buckets."""
    ends = {end for _, end in holes}
    parts: list[list[Bucket]] = []
    for bucket in buckets:
        if not parts or bucket.first_us in ends:
            parts.append([])
        parts[-1].append(bucket)
    return parts


def _beyond(bucket: Bucket, limit: Limit) -> bool:
    milli = milli_celsius(bucket.high if limit.direction.high else bucket.low)
    return milli is not None and limit.outside(milli)


def _outside_paths(part: Sequence[tuple[float, Bucket]], scale: Scale, policy: Policy) -> Iterable[str]:
    """One path for each run of buckets beyond any limit."""
    run: list[tuple[float, float]] = []
    for x, bucket in part:
        broken = [limit for limit in policy.limits if _beyond(bucket, limit)]
        if broken:
            run.append((x, scale.y(bucket.high if broken[0].direction.high else bucket.low)))
        elif run:
            yield path_of(run)
            run = []
    if run:
        yield path_of(run)


def _outside_stretches(
    curve: Curve, parts: Sequence[Sequence[Bucket]], policy: Policy, alarms: Alarms, scale: Scale
) -> Iterable[Stretch]:
    """A reading holds until the next one, and no longer than the policy's gap."""
    for place, limit in enumerate(policy.limits):
        kind = OUTSIDE if place in alarms.limits else ALLOWED
        for part in parts:
            start = end = None
            for bucket, following in zip(part, [*(b.first_us for b in part[1:]), curve.to_us], strict=True):
                if _beyond(bucket, limit):
                    start = bucket.first_us if start is None else start
                    end = min(following, bucket.last_us + policy.gap_s * SECOND_US)
                elif start is not None and end is not None:
                    yield _stretch(scale, kind, start, end)
                    start = end = None
            if start is not None and end is not None:
                yield _stretch(scale, kind, start, end)


def _stretch(scale: Scale, kind: str, start_us: int, end_us: int) -> Stretch:
    x = scale.x(start_us)
    width = round(max(scale.x(end_us) - x, MIN_MARK), 1)
    return Stretch(kind, min(x, WIDTH - width), width, start_us, end_us)


def _steps(said: Sequence[tuple[Report, LoggerReport]], scale: Scale) -> Iterable[str]:
    """What was lowest and highest up to each report, over the time since the one before."""
    since_us = said[0][0].from_us
    for report, one in said:
        if one.least is not None and one.most is not None:
            x, until = scale.x(since_us), scale.x(report.to_us)
            high, low = scale.y(one.most / 1000), scale.y(one.least / 1000)
            yield f"M{x} {high}H{until}V{low}H{x}Z"
        since_us = report.to_us


def _edge_of(limit: Limit) -> float:
    return 0.0 if limit.direction.high else HEIGHT - SLIM


def _grown(
    said: Sequence[tuple[Report, LoggerReport]], policy: Policy, alarms: Alarms, scale: Scale
) -> Iterable[Stretch]:
    """The windows of reports in which time outside a limit, or missing, became more."""
    since_us, missing, outside = said[0][0].from_us, 0, [0] * len(said[0][1].outside)
    for report, one in said:
        for place, now in enumerate(one.outside):
            if now.total_s > outside[place]:
                kind, y = OUTSIDE if place in alarms.limits else ALLOWED, _edge_of(policy.limits[place])
                yield replace(_stretch(scale, kind, since_us, report.to_us), y=y, height=SLIM)
        if one.missing_s > missing:
            yield replace(_stretch(scale, MISSING, since_us, report.to_us), y=(HEIGHT - SLIM) / 2, height=SLIM)
        since_us, missing, outside = report.to_us, one.missing_s, [now.total_s for now in one.outside]
