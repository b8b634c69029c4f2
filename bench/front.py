"""The front door beside a bare endpoint: one event a message, with one deep window and with shallow connections."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.device import Device, payload_of
from bench.load import Load, Told, run
from bench.peers.endpoint import sealed_lanes
from bench.program import Gateway, Program, running
from bench.rounds import Settings, alternate
from chain.acknowledgement import open_acknowledgement
from chain.site import Folder

MANY, MANY_WINDOW = 256_000, 1024
RECEIPTS_S = 0.25  # after the last PUBACK; they follow within some 20 ms where nothing waits


@dataclass(frozen=True, slots=True)
class Shape:
    """How many connections, how many of their messages may be unacknowledged, and how many events a round has."""

    name: str
    connections: int
    window: int
    events: int


SHAPES = (
    Shape("deep", 1, 16_384, 120_000),
    Shape("200 shallow", 200, 1, 60_000),
    Shape("8 shallow", 8, 1, 16_000),
)
DEEP = SHAPES[0]


@dataclass(frozen=True, slots=True)
class Sent:
    """Events a second to the last PUBACK, the share of the events whose signed receipt was there soon after, and
    processor time of the generator, µs a message."""

    rate: float
    receipted: float
    generator_us: float


def front(settings: Settings) -> dict[str, Any]:
    """Gateway and bare endpoint in turn with one event a message; then the gateway's own rates with 64."""
    with (
        running(lambda: Gateway(settings.folder / "front")) as gateway,
        running(lambda: endpoint(settings)) as peer,
    ):
        devices = gateway.enrol(max(shape.connections for shape in SHAPES))
        found = {shape.name: _beside(settings, gateway, peer, devices, shape) for shape in SHAPES}
        settings.say("front door, 64 events a message")
        many = {
            shape.name: _many(settings, gateway, devices, shape) for shape in SHAPES[: 1 if settings.quick else None]
        }
    return found | {"64 a message": many}


def _beside(settings: Settings, gateway: Gateway, peer: Program, devices: list[Device], shape: Shape) -> dict[str, Any]:
    settings.say(f"front door and bare endpoint, {shape.name}")
    share = settings.scaled(shape.events // shape.connections, 2)
    receipted, generator_us = list[float](), list[float]()

    def ours() -> float:
        sent = send(settings, gateway, devices[: shape.connections], share, 1, shape.window)
        receipted.append(sent.receipted)
        generator_us.append(sent.generator_us)
        return sent.rate

    def theirs() -> float:
        told = bare(settings, peer, shape.connections, share, shape.window)
        return share * shape.connections / told.seconds

    found = alternate(settings.rounds, ours, theirs)
    return found | {"receipted": round(min(receipted), 4), "generator_us": round(max(generator_us), 2)}


def _many(settings: Settings, gateway: Gateway, devices: list[Device], shape: Shape) -> dict[str, Any]:
    share = settings.scaled(MANY // shape.connections, 64)
    window = min(shape.window, MANY_WINDOW)
    rounds = settings.rounds if shape is DEEP else 1  # only the deep one has a target
    rates = [send(settings, gateway, devices[: shape.connections], share, 64, window).rate for _ in range(rounds)]
    return {"ours": [round(rate) for rate in rates], "median": round(statistics.median(rates))}


def send(
    settings: Settings, gateway: Gateway, devices: list[Device], share: int, each: int, window: int, sealed: int = 256,
    payload: Callable[[int], bytes] | None = None,
) -> Sent:  # fmt: skip
    """One run through the front door, `share` events from each device, once the gateway has nothing else to do."""
    firsts = [device.seq for device in devices]
    lanes = [device.lane(list(device.messages(share, each, sealed, payload))) for device in devices]
    gateway.quiet()
    before, events = gateway.log_size(), share * len(devices)
    with Load(settings.folder, gateway.port, lanes, window) as load:
        load.acked()
        logged = gateway.log_size() - before
        time.sleep(RECEIPTS_S)
        told = load.end()
    if logged != events + len(devices) * -(-share // sealed):
        raise RuntimeError(f"{events} events and their seals were acknowledged, {logged} are in the log")
    packets = sum(len(lane.packets) for lane in lanes)
    return Sent(events / told.seconds, _receipted(gateway, told, firsts) / events, 1e6 * told.cpu_s / packets)


def _receipted(gateway: Gateway, told: Told, firsts: list[int]) -> int:
    """Events that verified receipts name."""
    key, known = Folder.existing(gateway.data).gateway_key().public, set[tuple[int, int]]()
    for got in told.receipts:
        for span in open_acknowledgement(got.payload, key).ranges:
            known.update((got.lane, seq) for seq in range(span.first, span.first + span.count))
    return sum(seq >= firsts[lane] for lane, seq in known)


def endpoint(settings: Settings) -> Program:
    """A bare endpoint; its key is in `said`."""
    key = os.urandom(32).hex()
    program = Program("bench.peers.endpoint", settings.folder / "endpoint.jsonl", key, log=settings.folder / "peer.log")
    program.said["key"] = key
    return program


def bare(settings: Settings, peer: Program, connections: int, each: int, window: int) -> Told:
    """`each` sealed events from each connection to the bare endpoint."""
    lanes = sealed_lanes(bytes.fromhex(peer.said["key"]), connections, [payload_of(n) for n in range(each)])
    return run(settings.folder, peer.said["port"], lanes, window)
