"""The front door beside a bare endpoint: one event a message, with one deep window and with shallow connections."""

import json
import os
import statistics
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.device import Device, payload_of
from bench.load import Lane, Told, run
from bench.packets import connect, publish
from bench.program import Gateway, Program, running
from bench.rounds import Settings, alternate

NONCE = 12


@dataclass(frozen=True, slots=True)
class Shape:
    """How many connections, how many of their messages may be unacknowledged, and how many events a round has."""

    name: str
    connections: int
    window: int
    events: int
    least: float  # target of the ratio


SHAPES = (
    Shape("deep", 1, 16_384, 120_000, 0.5),
    Shape("200 shallow", 200, 1, 60_000, 0.5),
    Shape("8 shallow", 8, 1, 16_000, 0.5),
)
DEEP = SHAPES[0]


def front(settings: Settings) -> dict[str, Any]:
    """Events a second from the first byte to the last PUBACK, gateway and bare endpoint in turn."""
    with (
        running(lambda: Gateway(settings.folder / "front")) as gateway,
        running(lambda: endpoint(settings)) as peer,
    ):
        devices = gateway.enrol(max(shape.connections for shape in SHAPES))
        found: dict[str, Any] = {}
        for shape in SHAPES:
            settings.say(f"front door and bare endpoint, {shape.name}")
            count = settings.scaled(shape.events, 2 * shape.connections)
            found[shape.name] = alternate(
                settings.rounds,
                lambda: send(settings, gateway, devices[: shape.connections], count, 1, shape.window),
                lambda: _bare(settings, peer, shape, count),
            )
        settings.say("front door, deep, 64 events a message")
        many = [
            send(settings, gateway, devices[:1], settings.scaled(256_000), 64, 1024) for _ in range(settings.rounds)
        ]
    return found | {"64 a message": {"ours": [round(rate) for rate in many], "median": statistics.median(many)}}


def send(
    settings: Settings, gateway: Gateway, devices: list[Device], events: int, each: int, window: int, sealed: int = 256
) -> float:
    """Events a second of one run through the front door, once the gateway has nothing else to do."""
    share = events // len(devices)
    lanes = [device.lane(list(device.messages(share, each, sealed))) for device in devices]
    gateway.quiet()
    before, seals = gateway.log_size(), sum(-(-share // sealed) for _ in devices)
    told = run(settings.folder, gateway.port, lanes, window)
    if gateway.log_size() != before + share * len(devices) + seals:
        raise RuntimeError("what was acknowledged is not all in the log")
    return share * len(devices) / told.seconds


def endpoint(settings: Settings) -> Program:
    """A bare endpoint; its key is in `said`."""
    key = os.urandom(32).hex()
    program = Program("bench.peers.endpoint", settings.folder / "endpoint.jsonl", key, log=settings.folder / "peer.log")
    program.said["key"] = key
    return program


def _bare(settings: Settings, peer: Program, shape: Shape, events: int) -> float:
    share = events // shape.connections
    return share * shape.connections / bare(settings, peer, shape.connections, share, shape.window).seconds


def bare(settings: Settings, peer: Program, connections: int, each: int, window: int) -> Told:
    """`each` sealed events from each connection to the bare endpoint."""
    aead, topic = AESGCM(bytes.fromhex(peer.said["key"])), b"st/1/logger-000/events"
    lanes = []
    for lane in range(connections):
        nonces = [lane.to_bytes(4, "big") + n.to_bytes(8, "big") for n in range(each)]
        sealed = [nonce + aead.encrypt(nonce, payload_of(n), None) for n, nonce in enumerate(nonces)]
        packets = [publish(topic, n, message) for n, message in enumerate(sealed)]
        lanes.append(Lane(connect(f"logger-{lane}", "logger", "password"), 1, packets))
    return run(settings.folder, peer.said["port"], lanes, window)


def main() -> None:
    """`python -m bench.front [SCALE] [ROUNDS]`: this part alone."""
    import sys
    import tempfile
    from pathlib import Path

    scale, rounds = float((sys.argv[1:] or ["1"])[0]), int((sys.argv[2:] or ["3"])[0])
    with tempfile.TemporaryDirectory(prefix="sealtrail-bench-", dir=Path.cwd()) as name:
        settings = Settings(Path(name), rounds, scale, False, lambda line: print(line, file=sys.stderr, flush=True))
        print(json.dumps(front(settings), indent=1))


if __name__ == "__main__":
    main()
