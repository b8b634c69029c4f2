"""Sources that never stop sending: raw MQTT, where each PUBACK is counted, and a real device with its own buffer."""

import base64
import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from chain.event import content_hash
from chain.fsck import fsck
from chain.record import SEAL_KIND, Record
from chain.site import Folder, SiteReader
from chaincode.identities import enrolment
from crypto import labels
from gateway.device.device import Device
from gateway.device.enrolment import enrol
from gateway.device.options import DeviceOptions
from tests.e2e.programs import Up, until
from tests.support.source import READING, Source, message
from tests.torture.scale import scaled

Enter = Callable[[], None]
EVENTS = 4  # in a message
IN_FLIGHT = 16
PACE_S = scaled(20, 0) / 1000  # between two messages: what a short test makes it must also check
PAUSE_S = 0.1  # after a refusal or a lost connection
FULL = 0x97  # quota exceeded
PATIENT = DeviceOptions(seal_seconds=0.3, ack_timeout=2.0, backoff_first=0.1, backoff_max=0.5, keepalive=2)


class Load:
    """A source that publishes from `start` to `stop`: what is not PUBACKed is sent again, for ever."""

    def __init__(
        self, gateway: Up, name: str, *, host: str = "127.0.0.1", keepalive: int = 60, enter: Enter = lambda: None
    ) -> None:
        """`enter` is called first in the thread that opens the sockets, to put them into another network."""
        self.source, self._password = enrolled(gateway, name)
        self._host, self._keepalive, self.port = host, keepalive, int(gateway.where["mqtt_port"])
        self._enter, self._silent = enter, False
        self._waiting: dict[int, tuple[bytes, list[int]]] = {}  # by our own number: message, its numbers
        self._again: list[int] = []  # refused for now
        self._mids: dict[int, int] = {}
        self._made, self._pause_until, self._next = 0, 0.0, 0.0
        self._stop, self._more = threading.Event(), True
        self._thread = threading.Thread(target=self._run, name=name)
        self.acknowledged: list[int] = []
        self.acknowledged_at = 0.0
        self.refused: list[float] = []  # when
        self.connections = 0

    def __enter__(self) -> Self:
        self.resume()
        self.progress()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.pause()

    def progress(self, seconds: float = 30.0) -> None:
        """Wait until something more is acknowledged."""
        before = len(self.acknowledged)
        until(lambda: len(self.acknowledged) > before, seconds)

    def pause(self) -> None:
        """Leave the gateway and stay away."""
        self._stop.set()
        self._thread.join()

    def die(self) -> None:
        """End as by a power cut: the other end is told nothing, not even later."""
        self._silent = True
        self.pause()
        self._silent = False

    def resume(self) -> None:
        """Come back with what waits."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=self.source.name)
        self._thread.start()

    def finish(self, seconds: float = 30.0) -> None:
        """Nothing new from now on; wait until all is acknowledged."""
        self._more = False
        until(lambda: sorted(self.acknowledged) == list(range(self.source.seq)), seconds)

    def _run(self) -> None:
        self._enter()
        while not self._stop.is_set():
            with contextlib.suppress(OSError):  # nobody is there
                self._connection()
            self._stop.wait(PAUSE_S)

    def _connection(self) -> None:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.source.name, protocol=mqtt.MQTTv5)
        client.username_pw_set(self.source.name, self._password)
        client.on_publish = self._published
        client.max_inflight_messages_set(2 * IN_FLIGHT)
        client.connect_timeout = 2.0
        try:
            client.connect(self._host, self.port, self._keepalive)
            self._talk(client)
        finally:
            if self._silent and (sock := client.socket()) is not None:  # a RST that is lost, no FIN that comes again
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            client.disconnect()
            if (sock := client.socket()) is not None:
                sock.close()

    def _talk(self, client: mqtt.Client) -> None:
        by = time.monotonic() + 5.0
        while not client.is_connected():
            if client.loop(0.01) != mqtt.MQTT_ERR_SUCCESS or time.monotonic() > by or self._stop.is_set():
                return
        self.connections += 1
        self._mids.clear()
        self._again = sorted(self._waiting)
        while not self._stop.is_set():
            if time.monotonic() >= self._pause_until:
                self._send(client)
            if client.loop(0.005) != mqtt.MQTT_ERR_SUCCESS:
                return

    def _send(self, client: mqtt.Client) -> None:
        again, self._again = self._again, []
        if not again and self._more and len(self._waiting) < IN_FLIGHT and time.monotonic() >= self._next:
            again, self._next = [self._new()], time.monotonic() + PACE_S
        for number in again:
            info = client.publish(f"st/1/{self.source.name}/events", self._waiting[number][0], qos=1)
            self._mids[info.mid] = number

    def _new(self) -> int:
        source, now = self.source, time.time_ns() // 1000
        seqs = list(range(source.seq, source.seq + EVENTS))
        events = [source.event(5.0, kind=READING, sensed_us=now) for _ in seqs]
        self._made += 1
        self._waiting[self._made] = message(events), seqs  # seals go one by one: the device sends them
        return self._made

    def _published(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        number = self._mids.pop(mid)
        if reason.value == FULL:
            self.refused.append(time.monotonic())
            self._again.append(number)
            self._pause_until = time.monotonic() + PAUSE_S
            return
        assert not reason.is_failure, reason
        self.acknowledged += self._waiting.pop(number)[1]
        self.acknowledged_at = time.monotonic()


def enrolled(gateway: Up, name: str) -> tuple[Source, str]:
    """A new source, enrolled as a device does it, and its password."""
    source = Source(name)
    offer = {"code": invited(gateway, name)}
    origin = httpx.post(f"{gateway.url}/v1/enrol/offer", json=offer).json()["origin"]
    proof = source.key.sign(enrolment(name, origin, source.key.public), labels.ENROL)
    body = offer | {
        "algorithm": "ed25519", "public_key": base64.b64encode(source.key.public.raw).decode(),
        "proof": base64.b64encode(proof).decode(),
    }  # fmt: skip
    return source, httpx.post(f"{gateway.url}/v1/enrol", json=body).json()["password"]


def invited(gateway: Up, name: str) -> str:
    code: str = invitation(gateway, name).raise_for_status().json()["code"]
    return code


def invitation(gateway: Up, name: str) -> httpx.Response:
    """Ask the running gateway for a one-time code."""
    bearer = {"Authorization": f"Bearer {gateway.token}"}
    return httpx.post(f"{gateway.url}/v1/sources", json={"source": name}, headers=bearer, timeout=30.0)


class Logger:
    """A real device that records a reading now and then and sends when it can."""

    def __init__(self, gateway: Up, folder: Path, *, broker: int | None = None, enter: Enter = lambda: None) -> None:
        """`broker`: the port of a broker on this machine to send to in place of the gateway. `enter`: see Load."""
        enrol(gateway.url, invited(gateway, "logger"), folder)
        if broker is not None:
            profile = json.loads((folder / "device.json").read_text())
            profile["mqtt"] |= {"host": "127.0.0.1", "port": broker}
            (folder / "device.json").write_bytes(msgspec.json.encode(profile))
        self.device = Device(folder, PATIENT)
        self._enter, self._stop = enter, threading.Event()
        self._thread = threading.Thread(target=self._run, name="logger")
        self.recorded = 0

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.device.status().acknowledged)
        return self

    def _run(self) -> None:
        self._enter()
        self.device.start()
        while not self._stop.wait(0.02):
            self.device.record(READING, b'[{"n":"t","u":"Cel","v":4.5}]')
            self.recorded += 1

    def finish(self, seconds: float = 30.0) -> None:
        """Record nothing more; wait until the gateway has acknowledged everything in its own name."""
        self._stop.set()
        self._thread.join()
        until(lambda: self.device.status().acknowledged == self.recorded, seconds)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.device.stop(0.0)


def require_exactly_once(data: Path, *sources: Load | Logger) -> list[Record]:
    """Everything that these sources made is in the log, each event once and as it was sent, and the folder is whole.
    The gateway may run."""
    with closing(SiteReader.open(Folder.existing(data))) as reader:
        records = [Record.decode(entry) for entry in reader.entries.entries(0, reader.entries.size())]
    events = [r for r in records if r.kind != SEAL_KIND]
    stored = Counter((r.source, r.boot, r.seq) for r in events)
    assert max(stored.values()) == 1
    count = Counter(r.source for r in events)
    for made in sources:
        if isinstance(made, Logger):
            assert count["logger"] == made.recorded
            continue
        hashes = {r.seq: r.content_hash for r in events if r.source == made.source.name}
        sent = {seq: content_hash(raw) for seq, raw in made.source.events.items()}
        assert not set(sent) - set(hashes), f"lost: {sorted(set(sent) - set(hashes))} of {len(sent)}"
        assert hashes == sent
    report = fsck(Folder.existing(data))
    assert report.events == len(events)
    return records


def status(gateway: Up) -> dict[str, Any]:
    """The gateway's whole status."""
    bearer = {"Authorization": f"Bearer {gateway.token}"}
    found: dict[str, Any] = json.loads(httpx.get(f"{gateway.url}/v1/status", headers=bearer).text)
    return found


def require_anchored(gateway: Up) -> None:
    """Everything that is logged now becomes anchored."""
    size = status(gateway)["log_size"]
    until(lambda: status(gateway)["anchored_size"] >= size, 30)
