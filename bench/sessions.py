"""Sessions of devices: what a handshake costs, frames beside a signature on every message, and through the front door.

One core, one process for the first two: what the gateway itself does for each handshake and frame, by its own code.
Then the front door: in a session, in the clear, and with a seal behind every event.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from bench.device import PAYLOAD, Device
from bench.front import DEEP, send
from bench.load import Lane, Load
from bench.packets import connect, publish
from bench.program import Gateway, running
from bench.rounds import Settings
from bench.shaking import shake_hands
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey
from crypto.session.frames import Direction, FrameOpener, FrameSealer, FrameType
from crypto.session.handshake import DeviceHandshake, GatewayHandshake, Session
from crypto.session.messages import Hello, Terms
from crypto.session.suites import Suite
from gateway.ingest.mqtt.topics import frames_up

EVENTS, FRAMES, HANDSHAKES, VERIFICATIONS = 60_000, 20_000, 400, 2_000
ALGORITHMS: Final = (Algorithm.ED25519, Algorithm.ML_DSA_44, Algorithm.ML_DSA_65)
TOPIC, CONTEXT = frames_up("bench-1"), b"bench"
CHECKPOINT: Final = 3600  # bytes of a note with two signatures, about


def sessions(settings: Settings) -> dict[str, Any]:
    """Handshakes by signature algorithm, frames by suite, verifications by algorithm, and rates of the front door."""
    settings.say("handshakes, frames and signatures, one core")
    handshakes = {str(a): _handshakes(a, settings.scaled(HANDSHAKES, 5)) for a in ALGORITHMS}
    frames = {suite.name: _opened(settings, suite) for suite in Suite}
    verified = {str(a): _verified(settings, a) for a in ALGORITHMS}
    best = frames[Suite.AES_256_GCM_SIV.name]
    return {
        "payload_bytes": PAYLOAD, "handshakes": handshakes, "frames": frames, "verified": verified,
        "frames to a signature": {name: round(best / rate, 2) for name, rate in verified.items()},
        "door": _door(settings),
    }  # fmt: skip


def _handshakes(algorithm: Algorithm, count: int) -> dict[str, float]:
    """A second on one core: the gateway's half, and both halves; and bytes of the four messages."""
    static, key = KemPrivateKey.generate(KemSuite.X_WING), PrivateKey.generate(algorithm)
    terms, spent, sizes = Terms(checkpoint=bytes(CHECKPOINT)), 0.0, list[int]()
    began = time.perf_counter()
    for _ in range(count):
        device = DeviceHandshake(static.public, key, Hello("bench-1", key.public.kid, 1))
        at = time.perf_counter()
        gateway = GatewayHandshake(static, device.hello)
        welcome = gateway.welcome(terms)
        spent += time.perf_counter() - at
        proof = device.answer(welcome)
        at = time.perf_counter()
        confirmation, _ = gateway.finish(proof, key.public)
        spent += time.perf_counter() - at
        device.finish(confirmation)
        sizes = [len(message) for message in (device.hello, welcome, proof, confirmation)]
    whole = time.perf_counter() - began
    return {"gateway": round(count / spent), "both": round(count / whole), "bytes": sum(sizes),
            **{f"m{n}": size for n, size in enumerate(sizes, 1)}}  # fmt: skip


def _opened(settings: Settings, suite: Suite) -> float:
    """Frames of one event a second on one core."""
    count, plain = settings.scaled(FRAMES, 100), bytes(PAYLOAD + 60)

    def once() -> float:
        sealer = FrameSealer(suite, bytes(16), Direction.UP, bytes(32), 1 << 20, 600)
        opener = FrameOpener(suite, bytes(16), Direction.UP, bytes(32))
        frames = [sealer.seal(FrameType.MESSAGE, TOPIC, plain, 0.0)[1] for _ in range(count)]
        return _rate(count, lambda: [opener.open(TOPIC, frame) for frame in frames])

    return round(statistics.median(once() for _ in range(settings.rounds)))


def _verified(settings: Settings, algorithm: Algorithm) -> float:
    """Signatures over one event a second on one core."""
    count, key, plain = settings.scaled(VERIFICATIONS, 50), PrivateKey.generate(algorithm), bytes(PAYLOAD + 60)
    signature = key.sign(plain, CONTEXT)

    def verify() -> None:
        for _ in range(count):
            key.public.verify(signature, plain, CONTEXT)

    def once() -> float:
        return _rate(count, verify)

    return round(statistics.median(once() for _ in range(settings.rounds)))


def _rate(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def _door(settings: Settings) -> dict[str, float]:
    """Events a second through the front door, one a message and 64; round by round in turn, the medians."""
    rates: dict[str, list[float]] = {}
    with running(lambda: Gateway(settings.folder / "sessions")) as gateway:
        (device,) = gateway.enrol(1)
        session = shake_hands(gateway, device)
        for each, name in ((1, "one event a message"), (64, "64 events a message")):
            settings.say(f"front door in a session and in the clear, {name}")
            count = settings.scaled(EVENTS, 64)
            for _ in range(settings.rounds):
                framed = _send(settings, gateway, device, session, count, each)
                clear = send(settings, gateway, [device], count, each, DEEP.window).rate
                rates.setdefault(f"{name}, in a session", []).append(framed)
                rates.setdefault(f"{name}, in the clear", []).append(clear)
        for _ in range(settings.rounds):
            sealed = send(settings, gateway, [device], settings.scaled(EVENTS // 2, 64), 1, DEEP.window, sealed=1).rate
            rates.setdefault("one event a message, in the clear, each with a seal", []).append(sealed)
    return {name: round(statistics.median(each)) for name, each in rates.items()}


def _send(settings: Settings, gateway: Gateway, device: Device, session: Session, count: int, each: int) -> float:
    lane = Lane(
        connect(device.name, device.name, device.password), 1, list(_packets(device, session, count, each))
    )  # fmt: skip
    gateway.quiet()
    before, sealed = gateway.log_size(), -(-count // 256)
    with Load(settings.folder, gateway.port, [lane], DEEP.window if each == 1 else 1024) as load:
        load.acked()
        logged = gateway.log_size() - before
        told = load.end()
    if logged != count + sealed:
        raise RuntimeError(f"{count} events and {sealed} seals were acknowledged, {logged} are in the log")
    return count / told.seconds


def _packets(device: Device, session: Session, count: int, each: int) -> Iterator[bytes]:
    topic = frames_up(device.name)
    for number, message in enumerate(device.messages(count, each)):
        frame = session.sealer.seal(FrameType.MESSAGE, topic, message, time.monotonic())[1]
        yield publish(topic.encode(), number, frame)
