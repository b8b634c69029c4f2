"""Two sides in turn: A B A B …, and the median of the pairs' ratios."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how much. `scale` shortens every measurement; `say` takes news for people."""

    folder: Path
    rounds: int
    scale: float
    quick: bool
    say: Callable[[str], None]

    def scaled(self, count: int, least: int = 1) -> int:
        return max(least, int(count * self.scale))


def alternate(rounds: int, first: Callable[[], float], second: Callable[[], float]) -> dict[str, Any]:
    """Rates of both, round by round, and the median of first / second."""
    pairs = [(first(), second()) for _ in range(rounds)]
    return {
        "ours": [round(a, 1) for a, _ in pairs], "peer": [round(b, 1) for _, b in pairs],
        "median": round(statistics.median(a for a, _ in pairs)),
        "peer_median": round(statistics.median(b for _, b in pairs)),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }  # fmt: skip


def percentiles(values: list[float]) -> dict[str, float]:
    """p50 and p99 of sorted or unsorted values."""
    found = sorted(values)
    return {"p50": statistics.median(found), "p99": found[min(len(found) - 1, int(len(found) * 0.99))]}


def medians(rates: dict[str, list[float]]) -> dict[str, Any]:
    """Rates of several sides that took turns, and for each peer the median of ours / its own."""
    found: dict[str, Any] = {name: [round(rate) for rate in values] for name, values in rates.items()}
    found["medians"] = {name: round(statistics.median(values)) for name, values in rates.items()}
    for name in rates:
        if name != "ours":
            ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates[name], strict=True))
            found[f"ratio to {name}"] = round(ratio, 3)
    return found
