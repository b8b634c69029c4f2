"""What the device tests share: enrolled folders, a gateway that judges for real, a broker, and an endpoint.

The Judge decodes messages, verifies seals under the device's pinned key, checks the seal chain, deduplicates
and signs real acknowledgements. Mosquitto is Debian's; Endpoint is a small MQTT 5 server whose answers a test
can choose, for what a broker never says (quota, rejection).
"""

import contextlib
import datetime
import ipaddress
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chain.acknowledgement import Acknowledgement, StoredRange
from chain.event import Event, Message, content_hash
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash, verify_range, verify_seal
from crypto.files import private_key_at
from crypto.keys import Algorithm, PrivateKey, PublicKey
from crypto.merkle import root_of
from gateway.device.buffer import create_buffer
from gateway.device.identity import BUFFER_FILE, KEY_FILE, Endpoint, GatewayKey, Profile, save_profile
from gateway.device.options import DeviceOptions

ORIGIN = "gateway.test/log"
SOURCE = "line-1"
PASSWORD = "correct-horse"
GATEWAY_KEY = PrivateKey.generate(Algorithm.ED25519)
QUICK = DeviceOptions(seal_seconds=0.05, ack_timeout=0.4, backoff_first=0.02, backoff_max=0.2)
DEADLINE_S = 20.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until true; fail the test after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
        time.sleep(0.005)


def enrolled(folder: Path, port: int = 9, algorithm: Algorithm = Algorithm.ED25519, *, tls: bool = False) -> Path:
    """A device folder as enrolment leaves it, without the enrolment."""
    folder.mkdir(exist_ok=True)
    private_key_at(folder / KEY_FILE, algorithm)
    create_buffer(folder / BUFFER_FILE, SOURCE)
    key = GatewayKey(str(GATEWAY_KEY.public.algorithm), GATEWAY_KEY.public.raw)
    save_profile(folder, Profile(SOURCE, ORIGIN, Endpoint("127.0.0.1", port, tls), key, ()), PASSWORD)
    return folder


def device_key(folder: Path, algorithm: Algorithm = Algorithm.ED25519) -> PublicKey:
    return private_key_at(folder / KEY_FILE, algorithm).public


def acknowledge(
    numbers: dict[tuple[int, int], bytes], sealed: bytes = FIRST_PREVIOUS, key: PrivateKey = GATEWAY_KEY
) -> bytes:
    """A signed acknowledgement of these events (number → event bytes)."""
    return Acknowledgement(SOURCE, ORIGIN, 1, 1, sealed, ranges_of(numbers)).sign(key)


def ranges_of(numbers: dict[tuple[int, int], bytes]) -> tuple[StoredRange, ...]:
    """One StoredRange for each contiguous run."""
    ordered = sorted(numbers)
    runs = [list(run) for _, run in groupby(enumerate(ordered), lambda item: (item[1][0], item[1][1] - item[0]))]
    return tuple(
        StoredRange(run[0][1][0], run[0][1][1], len(run), root_of([content_hash(numbers[n]) for _, n in run]))
        for run in runs
    )


@dataclass
class Judge:
    """A gateway's view of one source. Every check raises in the test's own words."""

    key: PublicKey
    events: dict[tuple[int, int], bytes] = field(default_factory=dict)
    seals: list[Seal] = field(default_factory=list)
    last_seal: bytes = FIRST_PREVIOUS
    known_seals: set[bytes] = field(default_factory=set)
    duplicates: int = 0
    messages: list[Message] = field(default_factory=list)

    def take(self, payload: bytes) -> bytes:
        """Store a message; the acknowledgement."""
        message = Message.decode(payload)
        self.messages.append(message)
        numbers = {}
        for data in message.events:
            event = Event.decode(data)
            assert event.source == SOURCE
            number = (event.boot, event.seq)
            self.duplicates += number in self.events
            assert self.events.setdefault(number, data) == data, f"{number} came with two contents"
            numbers[number] = data
        for signed in message.seals:
            seal = verify_seal(signed, self.key)
            if seal_hash(signed.seal) not in self.known_seals:
                assert seal.previous == self.last_seal, "the seal chain is broken"
                self.last_seal = seal_hash(signed.seal)
                self.known_seals.add(self.last_seal)
                self.seals.append(seal)
        return acknowledge(numbers, self.last_seal)

    def check_whole(self) -> None:
        """Every stored event is under exactly one seal, and every seal covers exactly its events."""
        covered = []
        for seal in self.seals:
            span = [(seal.boot, seq) for seq in range(seal.first, seal.first + seal.count)]
            verify_range(seal, [content_hash(self.events[number]) for number in span])
            covered += span
        assert sorted(covered) == sorted(self.events)

    def payloads(self) -> list[bytes]:
        return [Event.decode(self.events[number]).payload for number in sorted(self.events)]


def self_signed() -> tuple[bytes, bytes]:
    """PEM key and certificate for 127.0.0.1, valid an hour around now."""
    now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - hour, now + hour)
    builder = builder.add_extension(address, False).add_extension(x509.BasicConstraints(True, None), True)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, private, plain), certificate


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """Debian's broker with one device's and one gateway's password; can be stopped and started again."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        maker = shutil.which("mosquitto_passwd")
        if binary is None or maker is None:
            pytest.skip("needs Debian's mosquitto")
        self._binary, self.port = binary, free_port()
        folder.mkdir()
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        for name in (SOURCE, "gateway"):
            subprocess.run([maker, "-b", passwords, name, PASSWORD], check=True, capture_output=True)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\npassword_file {passwords}\nallow_anonymous false\npersistence false\n"
            "user root\nlog_dest none\n" + (self._tls(folder) if tls else "")
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _tls(self, folder: Path) -> str:
        """A certificate of its own for 127.0.0.1, at `certificate`."""
        self.certificate = folder / "cert.pem"
        key, certificate = self_signed()
        (folder / "key.pem").write_bytes(key)
        self.certificate.write_bytes(certificate)
        return f"certfile {self.certificate}\nkeyfile {folder / 'key.pem'}\n"

    def start(self) -> None:
        self._process = subprocess.Popen([self._binary, "-c", self._config], stderr=subprocess.DEVNULL)
        wait_until(self._listens, "mosquitto listens")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "mosquitto ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Subscriber:
    """The gateway behind a broker: paho subscribes, the Judge decides, its acknowledgements are published."""

    def __init__(self, port: int, judge: Judge, certificate: Path | None = None) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        self.judge, self.fault, self.answers = judge, None, True
        self.ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "gateway", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set("gateway", PASSWORD)
        if certificate is not None:
            self._client.tls_set(str(certificate))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("st/1/+/events", qos=1)
        self._client.on_subscribe = lambda *_: self.ready.set()
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self.ready.wait(DEADLINE_S)

    def _message(self, client: Any, _: Any, message: Any) -> None:
        try:
            receipt = self.judge.take(message.payload)
        except Exception as e:  # kept for the test's own thread
            self.fault = e
            return
        if self.answers:
            client.publish(message.topic.replace("events", "receipts"), receipt, qos=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        if self.fault is not None:
            raise self.fault


class Endpoint5:
    """A small MQTT 5 server. `decide(payload)` gives the PUBACK code and the receipt to publish, if any; None
    closes the connection instead."""

    def __init__(
        self, decide: Callable[[bytes], tuple[int, bytes | None] | None], connack_properties: bytes = b""
    ) -> None:
        self._decide, self._properties = decide, connack_properties
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self.one_at_a_time = False
        self.fault: Exception | None = None
        self._open: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                self._open, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._open as connection:
                try:
                    while self._packet(connection):
                        pass
                except OSError:
                    pass
                except Exception as e:  # kept for the test's own thread
                    self.fault = e

    def _packet(self, out: socket.socket) -> bool:
        head = out.recv(1)
        if not head:
            return False
        length = _read_varint(out)
        body = out.recv(length, socket.MSG_WAITALL) if length else b""
        match head[0] >> 4:
            case 1:
                out.sendall(_packet(0x20, b"\0\0" + _varint(len(self._properties)) + self._properties))
            case 8:
                out.sendall(_packet(0x90, body[:2] + b"\0\1"))
            case 12:
                out.sendall(b"\xd0\0")
            case 3:
                return self._publish(out, body)
            case 14:
                return False
        return True

    def _publish(self, out: socket.socket, body: bytes) -> bool:
        at = 2 + int.from_bytes(body[:2], "big")
        topic, identifier = body[2:at].decode(), body[at : at + 2]
        assert topic == f"st/1/{SOURCE}/events"
        assert body[at + 2] == 0, "no properties expected"
        if self.one_at_a_time:
            more = select.select([out], [], [], 0.01)[0]
            assert not more, "more than the Receive Maximum of 1 is on its way"
        verdict = self._decide(body[at + 3 :])
        if verdict is None:
            return False
        code, receipt = verdict
        if receipt is not None:
            name = f"st/1/{SOURCE}/receipts".encode()
            out.sendall(_packet(0x30, len(name).to_bytes(2, "big") + name + b"\0" + receipt))
        out.sendall(_packet(0x40, identifier + bytes([code]) + b"\0"))
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        if self.fault is not None:
            raise self.fault


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _read_varint(connection: socket.socket) -> int:
    number = shift = 0
    while True:
        byte = connection.recv(1)[0]
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number
