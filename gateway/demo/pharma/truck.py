"""The truck's temperature loggers: measured air temperatures of San Francisco, as two boxes of a truck would log them.

Source: see gateway.demo.temperatures. The values are as measured, one an hour; their times are moved so that the trip
ends now, because a shipment is watched as it travels. The loggers have no coverage on the road and deliver on arrival.
"""

import json
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from crypto.keys import Algorithm
from gateway.demo.temperatures import temperatures
from gateway.device.device import Device
from gateway.device.draft import Draft
from gateway.device.enrolment import enrol
from gateway.device.identity import is_enrolled
from gateway.device.options import DeviceOptions
from gateway.preprocess import kinds

HOUR_US: Final = 3_600_000_000
HOURS: Final = 36
DRAIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Box:
    """One logger and its stretch of the year: the hour at which it begins."""

    logger: str
    series: str
    first_hour: int


COOL = Box("truck-7-front", "urn:dev:ops:truck-7:front:temperature", 679)  # from 29 January: 8.2 to 13.4 °C
WARM = Box("truck-7-rear", "urn:dev:ops:truck-7:rear:temperature", 1960)  # from 23 March: five hours above 15 °C


def readings(box: Box, ended_us: int) -> list[bytes]:
    """SenML payloads of the trip, hourly, the last one at `ended_us` (µs since the Unix epoch)."""
    found = islice(temperatures(box.series), box.first_hour, box.first_hour + HOURS)
    values = [json.loads(payload)[0]["v"] for _, payload in found]
    times = range(ended_us - (HOURS - 1) * HOUR_US, ended_us + 1, HOUR_US)
    return [
        json.dumps([{"n": box.series, "u": "[degF]", "t": at / 1e6, "v": value}], separators=(",", ":")).encode()
        for at, value in zip(times, values, strict=True)
    ]


def enrolled(url: str, code: str, folder: Path) -> None:
    """The logger gets its key and its place at the carrier's gateway, once. Blocks."""
    if not is_enrolled(folder):
        enrol(url, code, folder, Algorithm.ML_DSA_44)


def deliver(folder: Path, payloads: list[bytes]) -> None:
    """Send everything with seals, and wait for the acknowledgements. Blocks."""
    kind = kinds.by_name("reading")
    device = Device(folder, DeviceOptions(seal_events=64, max_events=10_000))
    device.start()
    try:
        now_us = time.time_ns() // 1000
        device.record_many([Draft(kind.code, payload, now_us, kind.version) for payload in payloads])
    finally:
        device.stop(DRAIN_S)
