"""A demo source as a process of its own: enrols with its one-time code, plays its data, drains, and ends.

Run as `python -m gateway.demo.source ROLE …`. Prints one JSON line of progress several times a second; all
its events go through a real device buffer and real MQTT.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from crypto.keys import Algorithm
from gateway.device.device import Device
from gateway.device.draft import Draft
from gateway.device.enrolment import enrol
from gateway.device.identity import is_enrolled
from gateway.device.options import DeviceOptions
from gateway.preprocess import kinds

REPORT_S = 0.2
CHUNK = 256  # readings recorded with one sync of the device's disk
DRAIN_S = 120.0

ALGORITHMS = {"logger": Algorithm.ED25519, "packing-line": Algorithm.ML_DSA_44}


def main() -> None:
    """Play one role to its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=sorted(ALGORITHMS))
    parser.add_argument("--url", required=True)
    parser.add_argument("--code", default="")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    if not is_enrolled(options.folder):
        enrol(options.url, options.code, options.folder, ALGORITHMS[options.role])
    device = Device(options.folder, DeviceOptions(seal_events=256, max_events=50_000))
    drafts = _logger(options.count) if options.role == "logger" else _packing_line(options.count)
    device.start()
    try:
        _play(device, drafts)
    finally:
        device.stop(DRAIN_S)
        _report(device, done=True)


def _play(device: Device, drafts: Iterator[list[Draft]]) -> None:
    due = 0.0
    for chunk in drafts:
        device.record_many(chunk)
        if time.monotonic() >= due:
            due = time.monotonic() + REPORT_S
            _report(device, done=False)


def _logger(count: int) -> Iterator[list[Draft]]:
    """The shipment's temperature logger: a year of hourly readings, taken out and played at once."""
    from gateway.demo.temperatures import temperatures

    kind, chunk = kinds.by_name("reading"), list[Draft]()
    for number, (_, payload) in enumerate(temperatures()):
        if number == count:
            break
        chunk.append(Draft(kind.code, payload, _now_us(), kind.version))
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _packing_line(count: int) -> Iterator[list[Draft]]:
    """The packing line: each pack's camera image becomes a judgement and, where it could be read, a pack."""
    from gateway.demo.packing import PackingLine

    inference, production, line = kinds.by_name("inference"), kinds.by_name("production"), PackingLine(seed=7)
    for number in range(count):
        seen = line.inspect(number, _now_us())
        drafts = [Draft(inference.code, seen.inference, _now_us(), inference.version)]
        if seen.production is not None:
            drafts.append(Draft(production.code, seen.production, _now_us(), production.version))
        yield drafts


def _report(device: Device, *, done: bool) -> None:
    print(json.dumps(asdict(device.status()) | {"done": done}), flush=True)


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
