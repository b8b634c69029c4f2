"""Results for people: a table in Markdown, and a plot."""

import statistics
from typing import Any

WIDTH, BAR, GAP, LABEL = 760, 18, 14, 190
COLOURS = {"embedded": "#8a8f98", "fabric": "#2f6fb2"}


def table(found: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = [f"{found['machine']}", "", "| checkpoint every | ledger | p50 | p99 |", "|---|---|---|---|"]
    lines += [
        f"| {r['interval_s']:g} s | {r['ledger']} | {r['p50_ms']:,.0f} ms | {r['p99_ms']:,.0f} ms |"
        for r in found["latency"]
    ]
    lines += ["", "| what | events a second |", "|---|---|"]
    for ledger, rates in found["sustained"].items():
        lines.append(f"| anchored on {ledger}, median of {len(rates)} | {statistics.median(rates):,.0f} |")
    lines.append(f"| one Fabric transaction an event | {found['per_event']:,.0f} |")
    lines += ["", "| ratio | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in found["ratios"].items()]
    lines += ["", "| 64 logs anchoring | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in found["anchors"].items()]
    return "\n".join(lines)


def plot(found: dict[str, Any]) -> str:
    """SVG: from event to anchor, a bar to p50 and a line to p99 for each ledger and checkpoint interval."""
    rows = found["latency"]
    longest = max(row["p99_ms"] for row in rows)
    height = len(rows) * (BAR + GAP) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"',
        ' font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        '<text x="8" y="20" font-weight="bold">From event to committed anchor: bar p50, line p99</text>',
        *(part for place, row in enumerate(rows) for part in _bars(row, 34 + place * (BAR + GAP), longest)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bars(row: dict[str, Any], y: int, longest: float) -> list[str]:
    room, colour = WIDTH - LABEL - 130, COLOURS[row["ledger"]]
    half, most = (row[name] / longest * room for name in ("p50_ms", "p99_ms"))
    middle, end = y + BAR / 2, LABEL + most
    said = f"{row['p50_ms']:,.0f} / {row['p99_ms']:,.0f} ms"
    return [
        f'<text x="8" y="{y + 14}">{row["ledger"]}, every {row["interval_s"]:g} s</text>',
        f'<line x1="{LABEL}" x2="{end:.1f}" y1="{middle}" y2="{middle}" stroke="{colour}" stroke-width="2"/>',
        f'<rect x="{LABEL}" y="{y}" width="{half:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<text x="{end + 8:.1f}" y="{y + 14}" fill="#333">{said}</text>',
    ]
