"""Geometry of the charts: numbers in, SVG coordinates and labels out; the templates draw.

The drawing area is 1000 × 240 units, stretched to its box, so all text stands beside it in HTML.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.query.completeness import BootCompleteness
from gateway.query.readings import Bucket, Curve
from gateway.web.text import moment

WIDTH, HEIGHT = 1000.0, 240.0
MIN_MARK = 4.0  # units; what is shorter would not be seen


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at a place from 0 to 100 (percent), and the same place in units."""

    percent: int
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Path data of a curve and of its envelope of lowest and highest values, both broken where nothing came;
    what was out of range; the allowed band as (y, height); ticks."""

    line: str
    envelope: str
    outside: tuple[str, ...]
    band: tuple[float, float] | None
    edges: tuple[float, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps time and value to units."""

    from_us: int
    to_us: int
    low: float
    high: float

    def x(self, us: float) -> float:
        return round((us - self.from_us) / max(self.to_us - self.from_us, 1) * WIDTH, 1)

    def y(self, value: float) -> float:
        return round((self.high - value) / (self.high - self.low) * HEIGHT, 1)


def chart(curve: Curve, low: float | None, high: float | None) -> Chart | None:
    """The drawing of a curve with its allowed range; None where there is nothing to draw."""
    if not curve.buckets:
        return None
    scale = _scale(curve, low, high)
    stretches = [[(scale.x((b.first_us + b.last_us) / 2), b) for b in part] for part in unbroken(curve.buckets)]
    line = "".join(path_of([(x, scale.y(b.mean)) for x, b in points]) for points in stretches)
    envelope = "".join(envelope_of(points, scale) for points in stretches)
    outside = tuple(path for points in stretches for path in _outside(points, scale))
    band_top = scale.y(high) if high is not None else 0.0
    band_end = scale.y(low) if low is not None else HEIGHT
    band = None if low is None and high is None else (band_top, round(band_end - band_top, 1))
    edges = tuple(scale.y(edge) for edge in (low, high) if edge is not None)
    return Chart(line, envelope, outside, band, edges, y_ticks(scale), x_ticks(scale))


def unbroken(buckets: Sequence[Bucket]) -> list[list[Bucket]]:
    """The stretches without a hole: a pause of four times the usual distance is one."""
    pauses = sorted(b.first_us - a.last_us for a, b in pairwise(buckets))
    usual = pauses[len(pauses) // 2] if pauses else 0
    parts: list[list[Bucket]] = []
    for bucket in buckets:
        if not parts or bucket.first_us - parts[-1][-1].last_us > 4 * max(usual, 1):
            parts.append([])
        parts[-1].append(bucket)
    return parts


def envelope_of(points: list[tuple[float, Bucket]], scale: Scale) -> str:
    top = [f"{x} {scale.y(b.high)}" for x, b in points]
    bottom = [f"{x} {scale.y(b.low)}" for x, b in reversed(points)]
    return "M" + "L".join(top + bottom) + "Z"


def _scale(curve: Curve, low: float | None, high: float | None) -> Scale:
    """Shows all values and the whole allowed range, with some air."""
    bounds = [b.low for b in curve.buckets] + [b.high for b in curve.buckets]
    bounds += [edge for edge in (low, high) if edge is not None]
    bottom, top = min(bounds), max(bounds)
    air = (top - bottom) * 0.08 or max(abs(top) * 0.1, 1.0)
    return Scale(curve.from_us, max(curve.to_us, curve.from_us + 1), bottom - air, top + air)


def _outside(points: list[tuple[float, Bucket]], scale: Scale) -> list[str]:
    """One path for each run of buckets that had values out of range."""
    runs: list[list[tuple[float, float]]] = []
    open_run = False
    for x, bucket in points:
        if bucket.outside:
            above = bucket.high - bucket.mean >= bucket.mean - bucket.low
            if not open_run:
                runs.append([])
            runs[-1].append((x, scale.y(bucket.high if above else bucket.low)))
        open_run = bool(bucket.outside)
    return [path_of(run) for run in runs]


def path_of(points: list[tuple[float, float]]) -> str:
    if len(points) == 1:  # a line of no length would not be drawn
        x, y = points[0]
        points = [(x - MIN_MARK / 2, y), (x + MIN_MARK / 2, y)]
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def y_ticks(scale: Scale) -> tuple[Tick, ...]:
    rough = (scale.high - scale.low) / 4
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.99)
    first = math.ceil(scale.low / step)
    values = [n * step for n in range(first, math.floor(scale.high / step) + 1)][:8]
    return tuple(Tick(round(scale.y(v) / HEIGHT * 100), scale.y(v), f"{v:g}".replace("-", "−")) for v in values)


def x_ticks(scale: Scale, form: str = "") -> tuple[Tick, ...]:
    days = scale.to_us - scale.from_us > 2 * 86_400_000_000
    form = form or ("%-d %b" if days else "%H:%M")
    places = (0, 25, 50, 75, 100)
    at = [scale.from_us + (scale.to_us - scale.from_us) * p // 100 for p in places]
    return tuple(Tick(p, p * WIDTH / 100, moment(us, form)) for p, us in zip(places, at, strict=True))


@dataclass(frozen=True, slots=True)
class Bar:
    """A boot's numbers as a bar: gaps, sealed and broken stretches as (x, width) in units of 1000."""

    gaps: tuple[tuple[float, float], ...]
    sealed: tuple[tuple[float, float], ...]
    broken: tuple[tuple[float, float], ...]


def bar(boot: BootCompleteness) -> Bar:
    """The bar of one boot. Short gaps are drawn wide enough to be seen."""
    total = boot.last - boot.first + 1

    def place(first: int, last: int, least: float) -> tuple[float, float]:
        width = max((last - first + 1) / total * WIDTH, least)
        return min(round((first - boot.first) / total * WIDTH, 1), WIDTH - least), round(width, 1)

    return Bar(
        tuple(place(s.first, s.last, MIN_MARK) for s in boot.gaps),
        tuple(place(s.first, s.last, 0.5) for s in boot.sealed),
        tuple(place(s.first, s.last, MIN_MARK) for s in boot.broken),
    )
