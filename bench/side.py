"""The side door beside bare subscribers: how fast what a broker holds gets into the log, and how fast it gets anywhere.

From the first byte that the broker is sent until the gateway has the last event in its log, or the bare subscriber
its last message. The broker acknowledges at once, so windows face the broker, not us.
"""

import importlib.util
import json
import time
from typing import Any

from bench.broker import Broker, available
from bench.device import Device
from bench.front import DEEP, SHAPES
from bench.load import Lane, Load
from bench.program import Gateway, Program, running
from bench.rounds import Settings, medians

TIMEOUT_S, LOOK_S = 120.0, 0.01
EVENTS, EVENTS_MANY = 40_000, 128_000
SUBSCRIBERS = ("paho", "gmqtt") if importlib.util.find_spec("gmqtt") else ("paho",)


def side(settings: Settings) -> dict[str, Any]:
    """Events a second of gateway, paho and gmqtt in turn; then the gateway's with other shapes."""
    if not available():
        return {"skipped": "mosquitto is not on PATH"}
    with (
        running(lambda: Broker(settings.folder, "ours")) as ours,
        running(lambda: Broker(settings.folder, "bare")) as bare,
    ):
        door = f'[side_door]\nhost = "127.0.0.1"\nport = {ours.port}\n'
        with running(lambda: Gateway(settings.folder / "side", door)) as gateway:
            return _measure(settings, gateway, ours, bare)


def _measure(settings: Settings, gateway: Gateway, ours: Broker, bare: Broker) -> dict[str, Any]:
    devices = gateway.enrol(max(shape.connections for shape in SHAPES))
    count, found = settings.scaled(EVENTS), dict[str, Any]()
    rates: dict[str, list[float]] = {name: [] for name in ("ours", *SUBSCRIBERS)}
    for number in range(settings.rounds):
        settings.say(f"side door, paho and gmqtt, round {number + 1} of {settings.rounds}")
        rates["ours"].append(through(settings, gateway, ours, devices[:1], count, 1, DEEP.window))
        for name in SUBSCRIBERS:
            rates[name].append(subscriber(settings, name, bare, devices[0], count))
    found["beside"] = medians(rates)
    for each, events in ((1, count // 2), (64, settings.scaled(EVENTS_MANY))):
        settings.say(f"side door, {each} a message, each way of sending")
        found[f"{each} a message"] = {
            shape.name: round(
                through(settings, gateway, ours, devices[: shape.connections], events, each, shape.window)
            )
            for shape in SHAPES[: 1 if settings.quick else None]
        }
    return found


def through(
    settings: Settings, gateway: Gateway, broker: Broker, devices: list[Device], events: int, each: int, window: int
) -> float:
    """Events a second from the device's first byte to the last event in the log."""
    share = max(1, events // len(devices))
    lanes = [device.lane(list(device.messages(share, each))) for device in devices]
    gateway.quiet()
    wanted = gateway.log_size() + len(devices) * (share + -(-share // 256))
    with Load(settings.folder, broker.port, lanes, window) as load:
        load.acked()
        deadline = time.monotonic() + TIMEOUT_S
        while gateway.log_size() < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the side door stored {gateway.log_size()} of {wanted} within {TIMEOUT_S:g} s")
            time.sleep(LOOK_S)
        stored = time.monotonic()
        return share * len(devices) / (stored - load.end().started)


def subscriber(settings: Settings, name: str, broker: Broker, device: Device, count: int) -> float:
    """Messages a second through the broker to a bare subscriber; the same bytes as the gateway gets."""
    lane = _copy(device, count)
    program = Program(f"bench.peers.{name}_subscriber", str(broker.port), str(count), log=settings.folder / "peer.log")
    with running(lambda: program), Load(settings.folder, broker.port, [lane], DEEP.window) as load:
        done: float = json.loads(program.line())["done"]
        return count / (done - load.end().started)


def _copy(device: Device, count: int) -> Lane:
    """Messages of a device that nobody checks: its numbers do not go on."""
    twin = Device(device.name, device.key, device.password)
    return twin.lane(list(twin.messages(count, 1)), receipts=False)
