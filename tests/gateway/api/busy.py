"""Fills a site: cold storage with an excursion and a gap, a packing line, a camera, a plain sensor, refusals."""

import json
import math

from gateway.access import SourceSettings
from tests.gateway.api.site import SECOND, START_US, Site

DIGEST = "ab" * 32
MINUTE = 60 * SECOND


def fill(site: Site, hours: int = 1) -> None:
    """Everything below is anchored, except for the last two readings, which came after the anchor."""
    cold = site.device("cold-1")
    count = hours * 60
    values = [round(4.8 + 0.9 * math.sin(n / 9) + 0.15 * math.sin(n * 1.7), 2) for n in range(count)]
    for n in range(count * 2 // 3, count * 2 // 3 + 12):
        values[n] = round(8.3 + 1.6 * math.sin((n - count * 2 // 3 + 1) / 13 * math.pi), 2)
    for at in range(0, count, 5):  # each message comes before its first reading counts as late
        site.readings(cold, values[at : at + 5], START_US + at * MINUTE)
    _gap(site)
    _line(site)
    site.plain("door-1")
    plain = json.dumps([{"n": "door:open", "vb": True}]).encode()
    site.take("door-1", received_us=START_US + 30 * MINUTE, plain=("reading", plain))
    _refusals(site)
    with site.writer.db.transaction() as tx:
        text = "boot 1: sealed events never arrived: 20 to 24"
        site.writer.notices.alert(tx, START_US + 50 * MINUTE, "gap", "cold-2", text, None)
        at = START_US + 40 * MINUTE
        site.writer.notices.alert(tx, at, "excursion", "cold-1", "out of its allowed range from boot 1 seq 40", 42)
    site.anchor()
    last = START_US + count * MINUTE
    events = [cold.reading(5.0, last), cold.reading(5.1, last + MINUTE)]
    site.take("cold-1", events, received_us=last + MINUTE)
    site.follow()
    site.connected = ("cold-1", "line-1")


def _gap(site: Site) -> None:
    """cold-2 loses 20 to 24 on the way, and seals what it sent all the same."""
    cold = site.device("cold-2")
    events = [cold.reading(round(5.5 + math.cos(n / 5), 2), START_US + n * MINUTE) for n in range(45)]
    kept = events[:20] + events[25:]
    site.take("cold-2", kept, [cold.seal(START_US + 45 * MINUTE)], received_us=START_US + 45 * MINUTE)


def _line(site: Site) -> None:
    line, camera = site.device("line-1", SourceSettings()), site.device("camera-1", SourceSettings())
    for n in range(8):
        at = START_US + n * 7 * MINUTE
        pack = {
            "gtin": "09506000134352", "lot": "L2611A", "serial": f"K7{n:03}QX", "expiry": "2029-04-30",
            "line": "line-1", "image_digest": DIGEST,
        }  # fmt: skip
        judgement = {
            "model": {"name": "code-reader", "version": "3.1", "digest": DIGEST}, "input": {"digest": "cd" * 32},
            "output": {"label": "readable", "scores": {"readable": 0.97}}, "decision": "pass", "score": 0.97,
        }  # fmt: skip
        site.take("line-1", [line.event("production", pack, at)], received_us=at + SECOND)
        site.take("camera-1", [camera.event("inference", judgement, at)], received_us=at + SECOND)
    end = START_US + 58 * MINUTE
    site.take("line-1", seals=[line.seal(end)], received_us=end)


def _refusals(site: Site) -> None:
    device = site.device("cold-3")
    at = START_US + 20 * MINUTE
    site.take("cold-3", [device.event("reading", [{"n": "t", "u": "Cel"}], at)], received_us=at)
    site.take("stranger", [], [device.seal(at)], received_us=at)
