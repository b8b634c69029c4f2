"""A real gateway, real devices with sessions, and between them a broker's place in which anything may be done.

Relay stands where a broker stands: it sees each PUBLISH of both sides and passes on what `up` and `down` say. It
acknowledges to the device itself, as brokers do, so a PUBACK says nothing.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.packets import connect, subscribe
from bench.packets import publish as publish_packet
from chaincode.identities import enrolment
from crypto import labels
from crypto.files import private_key_at
from crypto.keys import Algorithm
from gateway.access import SourceSettings
from gateway.device.buffer import create_buffer
from gateway.device.device import Device
from gateway.device.draft import Draft
from gateway.device.identity import (
    BUFFER_FILE,
    DEVICE_FILE,
    KEY_FILE,
    Endpoint,
    GatewayKey,
    Profile,
    SessionKey,
    save_profile,
)
from gateway.device.options import DeviceOptions
from gateway.ingest.mqtt.decode import read_frame, read_publish
from tests.support.site import COLD, Site

SECRET = "urn:dev:ops:secret-series"
QUICK = DeviceOptions(seal_seconds=0.1, ack_timeout=0.6, backoff_first=0.02, backoff_max=0.2)
Tamper = Callable[[str, bytes], list[tuple[str, bytes]]]


def payload(number: int) -> bytes:
    return json.dumps([{"n": f"{SECRET}:{number}", "u": "Cel", "v": 4.5}]).encode()


def drafts(count: int, first: int = 0) -> list[Draft]:
    return [Draft(1, payload(n), 1_795_413_600_000_000 + n) for n in range(first, first + count)]


def enrol(site: Site, folder: Path, name: str, port: int = 0, settings: SourceSettings = COLD,
          algorithm: Algorithm = Algorithm.ED25519) -> Path:  # fmt: skip
    """A device folder as enrolment leaves it. `port`: where it connects, the front door unless said otherwise."""
    folder.mkdir(parents=True)
    key = private_key_at(folder / KEY_FILE, algorithm)
    proof = key.sign(enrolment(name, site.folder.origin, key.public), labels.ENROL)
    code = site.gateway.invite(name, settings)
    found = site.run(site.gateway.enrol(code, str(algorithm), key.public.raw, proof))
    create_buffer(folder / BUFFER_FILE, name)
    profile = Profile(
        name, found.origin, Endpoint("127.0.0.1", port or found.mqtt_port, False),
        GatewayKey(found.gateway_key_algorithm, found.gateway_key), found.log_vkeys,
        SessionKey("x-wing", found.session_key, found.session_serial),
    )  # fmt: skip
    save_profile(folder, profile, found.password)
    return folder


def redirect(folder: Path, port: int) -> None:
    """Point an enrolled device elsewhere."""
    path = folder / DEVICE_FILE
    document = json.loads(path.read_text())
    document["mqtt"]["port"] = port
    path.write_bytes(msgspec.json.encode(document))


def started(folder: Path, options: DeviceOptions = QUICK, count: int = 0) -> Device:
    device = Device(folder, options)
    if count:
        device.record_many(drafts(count))
    device.start()
    return device


def stop(site: Site, device: Device, drain_s: float = 10.0) -> Any:
    """Stop a device while the gateway goes on."""
    return site.run(asyncio.to_thread(device.stop, drain_s))


def stored(site: Site, name: str) -> list[tuple[int, int]]:
    """The numbers of a source's events in the log, in its order."""
    return [(r.boot, r.seq) for r in site.records() if r.source == name and not r.count]


@dataclass
class Relay:
    """Use within the site's loop: `site.run(relay.start())`. `target` is the gateway's front door."""

    target: int
    up: Tamper = lambda topic, data: [(topic, data)]
    down: Tamper = lambda topic, data: [(topic, data)]
    puback: int = 0
    port: int = 0
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        gateway_reader, gateway_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers += [writer, gateway_writer]
        try:
            await asyncio.gather(
                self._pump(reader, gateway_writer, self.up_packet, writer),
                self._pump(gateway_reader, writer, self.down_packet, gateway_writer),
            )
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in (writer, gateway_writer):
                each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        handle: Callable[[bytes, int], tuple[bytes, bytes]], back: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        rest = b""
        while data := await reader.read(65536):
            self.raw += data
            rest += data
            while (frame := read_frame(rest, 0, 1 << 20)) is not None and frame[1] <= len(rest):
                packet, rest = rest[: frame[1]], rest[frame[1] :]
                on, answer = handle(packet, frame[0])
                writer.write(on)
                back.write(answer)
        raise ConnectionResetError

    def up_packet(self, packet: bytes, body: int) -> tuple[bytes, bytes]:
        """What goes on to the gateway, and what goes back to the device."""
        if packet[0] >> 4 != 3:
            return packet, b""
        found = read_publish(packet[0], packet[body:], True)
        self.seen.append((found.topic, found.payload))
        on = b"".join(qos0(topic, data) for topic, data in self.up(found.topic, found.payload))
        answer = b"\x40\x03" + found.packet_id + bytes([self.puback]) if found.packet_id else b""
        return on, answer

    def down_packet(self, packet: bytes, body: int) -> tuple[bytes, bytes]:
        if packet[0] >> 4 != 3:
            return packet, b""
        found = read_publish(packet[0], packet[body:], True)
        self.seen.append((found.topic, found.payload))
        return b"".join(qos0(topic, data) for topic, data in self.down(found.topic, found.payload)), b""


def qos0(topic: str, data: bytes) -> bytes:
    """A PUBLISH of MQTT 5 with QoS 0."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + b"\0" + data
    length, head = len(body), b""
    while True:
        head += bytes([length % 128 | (128 if length > 127 else 0)])
        length //= 128
        if not length:
            return b"\x30" + head + body


class Wire:
    """A bare client of the front door, for what no device would send."""

    def __init__(self, site: Site, folder: Path, name: str) -> None:
        self._site, self.name = site, name
        self.password = (folder / "password").read_text()
        self.heard: list[tuple[str, bytes]] = []
        self._rest = b""

    async def __aenter__(self) -> "Wire":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._site.gateway.doors.front.port)
        self._writer.write(connect(f"{self.name}-wire", self.name, self.password) + subscribe(f"st/1/{self.name}/#"))
        await self.listen(2)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    def say(self, topic: str, data: bytes, identifier: int = 1) -> None:
        self._writer.write(publish_packet(topic.encode(), identifier, data))

    async def listen(self, packets: int) -> list[tuple[str, bytes]]:
        """Wait for so many packets; the messages among them."""
        found = []
        while packets:
            frame = read_frame(self._rest, 0, 1 << 20)
            if frame is None or frame[1] > len(self._rest):
                async with asyncio.timeout(10):
                    data = await self._reader.read(65536)
                assert data, "the gateway hung up"
                self._rest += data
                continue
            packet, self._rest = self._rest[: frame[1]], self._rest[frame[1] :]
            packets -= 1
            if packet[0] >> 4 == 3:
                message = read_publish(packet[0], packet[frame[0] :], True)
                found.append((message.topic, message.payload))
        self.heard += found
        return found
