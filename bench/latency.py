"""How long an event waits for its PUBACK, its receipt and its anchor: at idle, and at half of full load.

Eight connections send one event a message, at a pace. A receipt counts once its signature was checked; it says how far
the log was at the commit, so the anchor of that size or a later one is the event's. Anchors are looked for every 20 ms.
"""

import threading
import time
from typing import Any

from bench.device import Device
from bench.front import send
from bench.load import Load, Told
from bench.program import Gateway, running
from bench.rounds import Settings, percentiles
from chain.acknowledgement import open_acknowledgement
from chain.site import Folder

LANES, WINDOW = 8, 4096
IDLE_RATE, SECONDS, LOAD_EVENTS = 20.0, 15.0, 80_000
LOOK_S, ANCHOR_S = 0.02, 30.0


def latency(settings: Settings) -> dict[str, Any]:
    """ms, p50 and p99, with the gateway's own defaults of checkpoints and anchors."""
    seconds = max(1.0, SECONDS * settings.scale)
    with running(lambda: Gateway(settings.folder / "latency")) as gateway:
        devices = gateway.enrol(LANES)
        settings.say("latency: what the gateway can take")
        full = send(settings, gateway, devices, settings.scaled(LOAD_EVENTS // LANES, 100), 1, WINDOW).rate
        found: dict[str, Any] = {"full_load": round(full)}
        for name, rate in (("idle", IDLE_RATE), ("half load", full / 2)):
            settings.say(f"latency at {rate:,.0f} events a second")
            found[name] = {"events_a_second": round(rate)} | _at(settings, gateway, devices, rate, seconds)
    return found


def _at(settings: Settings, gateway: Gateway, devices: list[Device], rate: float, seconds: float) -> dict[str, Any]:
    share, first = max(2, int(rate * seconds) // LANES), [device.seq for device in devices]
    lanes = [device.lane(list(device.messages(share, 1))) for device in devices]
    gateway.quiet()
    anchors = _Anchors(gateway)
    with Load(settings.folder, gateway.port, lanes, WINDOW, rate) as load:
        load.acked()
        anchors.wait(gateway.log_size())
        told = load.end()
    receipt, anchor = _waits(gateway, told, first, anchors.seen)
    if len(receipt) != share * LANES:
        raise RuntimeError(f"{len(receipt)} of {share * LANES} events got a receipt")
    waits = (("puback_ms", told.puback_ms()), ("receipt_ms", receipt), ("anchor_ms", anchor))
    return {name: {n: round(v, 2) for n, v in percentiles(values).items()} for name, values in waits}


def _waits(
    gateway: Gateway, told: Told, first: list[int], anchors: list[tuple[int, float]]
) -> tuple[list[float], list[float]]:
    """ms to receipt and to anchor of every event; an event's first receipt counts."""
    key, receipt, anchor, known = Folder.existing(gateway.data).gateway_key().public, [], [], set()
    for got in told.receipts:
        said = open_acknowledgement(got.payload, key)
        anchored = next(at for size, at in anchors if size >= said.log_size)
        for span in said.ranges:
            for seq in range(span.first, span.first + span.count):
                if (got.lane, seq) in known:
                    continue
                known.add((got.lane, seq))
                sent = told.sent[got.lane][seq - first[got.lane]]
                receipt.append(1000 * (got.at - sent))
                anchor.append(1000 * (anchored - sent))
    return receipt, anchor


class _Anchors:
    """Notes when the anchored size moves, in a thread."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._stop = gateway, threading.Event()
        self.seen: list[tuple[int, float]] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def wait(self, size: int) -> None:
        """Until that much is anchored; then it looks no more."""
        deadline = time.monotonic() + ANCHOR_S
        while not self.seen or self.seen[-1][0] < size:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no anchor of {size} leaves within {ANCHOR_S:g} s")
            time.sleep(LOOK_S)
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(LOOK_S):
            size = self._gateway.anchored_size()
            if not self.seen or size > self.seen[-1][0]:
                self.seen.append((size, time.monotonic()))
