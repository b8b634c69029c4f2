"""The label station: how long one image takes, its code and its print apart, and how many go through a second.

Drawn camera images of 640 x 420 pixels; all of it on this machine's processors. The rates are of whole packs: read,
compared, recorded durably in the device's buffer, the image moved.
"""

import os
import statistics
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.rounds import Settings, percentiles
from crypto.files import private_key_at
from crypto.keys import Algorithm
from gateway.demo.label import photograph
from gateway.demo.packing import PackingLine
from gateway.device.buffer import create_buffer
from gateway.device.device import Device
from gateway.device.identity import BUFFER_FILE, KEY_FILE, Endpoint, GatewayKey, Profile, save_profile
from gateway.station import shelf
from gateway.station.inspection import Inspector
from gateway.station.ocr import TextReader
from gateway.station.seen import Seen
from gateway.station.station import Outcome, Station

IMAGES, CODES = 60, 400


def station(settings: Settings) -> dict[str, Any]:
    """Milliseconds and images a second with one thread and with all cores; and of codes alone."""
    found: dict[str, Any] = {}
    for name, threads in (("one core", 1), ("all cores", len(os.sched_getaffinity(0)))):
        settings.say(f"label station, code and print, {name}")
        inspector = Inspector(TextReader(threads))
        found[name] = _summary(_run(settings, f"print {threads}", inspector, settings.scaled(IMAGES, 2)))
    settings.say("label station, code alone")
    rate, outcomes = _run(settings, "code", Inspector(text=None), settings.scaled(CODES, 4))
    return found | {"code alone": {"a_second": rate, "code_ms": _ms(outcomes, "code_ms")}, "pixels": [640, 420]}


def _run(settings: Settings, name: str, inspector: Inspector, count: int) -> tuple[float, list[Outcome]]:
    """Images a second, the median of the rounds, and what became of each image."""
    rates, outcomes = list[float](), list[Outcome]()
    for turn in range(settings.rounds):
        folder = settings.folder / f"{name} {turn}"
        images = _arrived(folder / "in", count)
        device = Device(_enrolled(folder / "device"))
        with closing(Seen(folder / "device")) as seen:
            at = Station(device, inspector, seen, "line-1")
            began = time.perf_counter()
            outcomes += [at.take(shelf.Waiting(image, shelf.stamp(image) or "")) for image in images]
            rates.append(count / (time.perf_counter() - began))
        device.stop(0)
    return round(statistics.median(rates), 2), outcomes


def _summary(measured: tuple[float, list[Outcome]]) -> dict[str, Any]:
    rate, outcomes = measured
    wrong = sum(outcome.decision != "accept" for outcome in outcomes)
    return {
        "a_second": rate, "code_ms": _ms(outcomes, "code_ms"), "text_ms": _ms(outcomes, "text_ms"),
        "images": len(outcomes), "wrongly rejected": wrong,
    }  # fmt: skip


def _ms(outcomes: list[Outcome], what: str) -> dict[str, float]:
    return {name: round(value, 2) for name, value in percentiles([getattr(o, what) for o in outcomes]).items()}


def _arrived(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True)
    line, paths = PackingLine(seed=5), []
    for number in range(count):
        paths.append(folder / f"{number:05}.jpg")
        paths[-1].write_bytes(photograph(line.pack(number), f"bench {number}", False))
    return paths


def _enrolled(folder: Path) -> Path:
    """A device folder whose gateway is away: what is measured ends in the device's buffer."""
    folder.mkdir(parents=True)
    key = private_key_at(folder / KEY_FILE, Algorithm.ED25519).public
    create_buffer(folder / BUFFER_FILE, "station")
    pinned = GatewayKey(str(key.algorithm), key.raw)
    save_profile(folder, Profile("station", "bench.example/site", Endpoint("127.0.0.1", 9, False), pinned, ()), "x")
    return folder
