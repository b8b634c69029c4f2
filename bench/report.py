"""Results for people: a table in Markdown, and plots without a plotting library."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, BAR, GAP = 760, 18, 14
COLOURS = {"embedded": "#8a8f98", "fabric": "#2f6fb2", "ours": "#2f6fb2", "peer": "#8a8f98", "other": "#b9bec6"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a plot: a bar to `value`, a thin line on to `most` where that is more, and words behind it."""

    label: str
    value: float
    text: str
    colour: str
    most: float = 0.0


def table(found: dict[str, Any]) -> str:
    """The results on Fabric in Markdown."""
    latency = [
        (f"{r['interval_s']:g} s", r["ledger"], f"{r['p50_ms']:,.0f} ms", f"{r['p99_ms']:,.0f} ms")
        for r in found["latency"]
    ]
    rates = [
        (f"anchored on {ledger}, median of {len(each)}", f"{statistics.median(each):,.0f}")
        for ledger, each in found["sustained"].items()
    ]
    rates.append(("one Fabric transaction an event", f"{found['per_event']:,.0f}"))
    return "\n".join((
        found["machine"],
        grid(("checkpoint every", "ledger", "p50", "p99"), latency),
        grid(("what", "events a second"), rates),
        grid(
            ("warm reading to committed excursion", "p50", "p99"),
            ((name, f"{v['p50_ms']:,.0f} ms", f"{v['p99_ms']:,.0f} ms") for name, v in found["excursions"].items()),
        ),
        grid(("ratio", ""), ((name.replace("_", " "), f"{value:g}") for name, value in found["ratios"].items())),
        grid(("64 logs anchoring", ""), ((n.replace("_", " "), f"{v:g}") for n, v in found["anchors"].items())),
    ))  # fmt: skip


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, with an empty line before it."""
    lines = [" | ".join(head), "|".join("---" for _ in head).join("||"), *(" | ".join(row) for row in rows)]
    return "\n".join(["", f"| {lines[0]} |", lines[1], *(f"| {line} |" for line in lines[2:])])


def plot(found: dict[str, Any]) -> str:
    """SVG: from event to anchor, for each ledger and checkpoint interval."""
    bars = [
        Bar(
            f"{row['ledger']}, every {row['interval_s']:g} s", row["p50_ms"],
            f"{row['p50_ms']:,.0f} / {row['p99_ms']:,.0f} ms", COLOURS[row["ledger"]], row["p99_ms"],
        )
        for row in found["latency"]
    ]  # fmt: skip
    return chart("From event to committed anchor: bar p50, line p99", bars)


def chart(title: str, bars: Sequence[Bar], label_width: int = 190) -> str:
    """SVG of horizontal bars on one scale from 0."""
    longest = max(max(bar.value, bar.most) for bar in bars) or 1.0
    height = len(bars) * (BAR + GAP) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"',
        ' font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
        *(part for place, bar in enumerate(bars) for part in _row(bar, 34 + place * (BAR + GAP), longest, label_width)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _row(bar: Bar, y: int, longest: float, label: int) -> list[str]:
    room = WIDTH - label - 150
    half, most = bar.value / longest * room, max(bar.value, bar.most) / longest * room
    middle, end = y + BAR / 2, label + most
    return [
        f'<text x="8" y="{y + 14}">{escape(bar.label)}</text>',
        f'<line x1="{label}" x2="{end:.1f}" y1="{middle}" y2="{middle}" stroke="{bar.colour}" stroke-width="2"/>',
        f'<rect x="{label}" y="{y}" width="{half:.1f}" height="{BAR}" fill="{bar.colour}"/>',
        f'<text x="{end + 8:.1f}" y="{y + 14}" fill="#333">{escape(bar.text)}</text>',
    ]
