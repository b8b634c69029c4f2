"""What the program is to reach, and whether it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.device import PAYLOAD


@dataclass(frozen=True, slots=True)
class Target:
    """A figure by its way through the results, and its bound."""

    name: str
    way: tuple[str, ...]
    bound: float
    most: bool = False  # the bound is an upper one
    unit: str = ""


DISK = 1.3 * PAYLOAD + 200

TARGETS = (
    Target("front door to bare endpoint, deep window", ("front", "deep", "ratio"), 0.5),
    Target("front door to bare endpoint, 200 shallow connections", ("front", "200 shallow", "ratio"), 0.5),
    Target("front door to bare endpoint, 8 shallow connections", ("front", "8 shallow", "ratio"), 0.5),
    Target("front door, one event a message", ("front", "deep", "median"), 60_000, unit="events/s"),
    Target("front door, 64 events a message", ("front", "64 a message", "deep", "median"), 150_000, unit="events/s"),
    Target("a signature on every message to verification alone", ("signed", "ratio"), 0.85),
    Target("side door to bare paho subscriber", ("side", "beside", "ratio to paho"), 0.8),
    Target("append with dedup to Tessera without", ("append", "batch 1024", "ratio to tessera"), 2),
    Target("append with dedup to Tessera with it", ("append", "batch 1024", "ratio to tessera with dedup"), 4),
    Target("append to one ledger transaction an event", ("append", "one commit an event", "ratio to ledger"), 1000),
    Target("proof, nothing cached, p50", ("sizes", "largest", "proof_us", "cold", "p50"), 1000, True, "µs"),
    Target("proof, cached, p50", ("sizes", "largest", "proof_us", "warm", "p50"), 1000, True, "µs"),
    Target("start of the gateway", ("sizes", "largest", "start_s"), 1, True, "s"),
    Target("receipts verified, sharing", ("receipts", "sharing", "a_second"), 20_000, unit="/s"),
    Target("receipts verified, sharing nothing", ("receipts", "sharing nothing", "a_second"), 2000, unit="/s"),
    Target("event to PUBACK at half load, p99", ("latency", "half load", "puback_ms", "p99"), 20, True, "ms"),
    Target("event to receipt at half load, p99", ("latency", "half load", "receipt_ms", "p99"), 100, True, "ms"),
    Target(
        "trace of a pack in 10^6 events, p99", ("trace", "1000000", "ms", "pack, both ways", "p99"), 1000, True, "ms"
    ),
    Target(
        "trace of a lot of 2,000 packs in 10^6 events, p99",
        ("trace", "1000000", "ms", "lot of 2,000 packs, down", "p99"),
        1000,
        True,
        "ms",
    ),
    Target("memory, peak", ("footprint", "memory_mb", "peak"), 250, True, "MB"),
    Target("disk an event", ("footprint", "bytes_an_event"), DISK, True, "bytes"),
    Target(
        "disk an event with nothing in common with others", ("footprint", "random_bytes_an_event"), DISK, True, "bytes"
    ),
    Target("seal to bare AES-256-GCM, file to file", ("sealed", "seal, file to file", "ratio to bare"), 0.77),
    Target("open to bare AES-256-GCM, file to file", ("sealed", "open, file to file", "ratio to bare"), 0.77),
)


def judged(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each target whose figure was measured."""
    found = []
    for target in TARGETS:
        value: Any = parts
        for key in target.way:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            met = value <= target.bound if target.most else value >= target.bound
            found.append({
                "name": target.name, "value": value, "target": target.bound, "at_most": target.most,
                "unit": target.unit, "met": met,
            })  # fmt: skip
    return found
