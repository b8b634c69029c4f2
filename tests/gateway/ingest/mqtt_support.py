"""A recording pipeline, a FrontDoor on its own event loop thread, and a raw MQTT client that can misbehave."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from crypto.tls.server import TlsServer
from gateway.ingest.inbound import Inbound, Login, Verdict
from gateway.ingest.mqtt.limits import FrontDoorLimits
from gateway.ingest.mqtt.listener import FrontDoor
from gateway.ingest.mqtt.primitives import write_binary, write_text, write_varint
from gateway.ingest.mqtt.properties import Prop, Properties, write_properties

T = TypeVar("T")
DEADLINE_S = 30.0


def wait_until(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Poll until true; fail the test after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {DEADLINE_S} s"
        time.sleep(0.005)


@dataclass(slots=True)
class Message:
    """One of the messages that came in together."""

    inbound: Inbound
    payload: bytes
    verdict: Verdict | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inbound, name)


class RecordingSink:
    """Keeps what it is given. Answers at once with `verdict`, or, when that is None, at `answer`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.waiting: list[Message] = []
        self.verdict: Verdict | None = Verdict.STORED
        self.full_after: int | None = None  # congested from so many messages on
        self.crowded_lanes: set[str] = set()
        self._wakes: list[Callable[[], None]] = []
        self._together: dict[int, list[Message]] = {}

    def submit(self, inbound: Inbound) -> None:
        messages = [Message(inbound, payload) for payload in inbound.payloads]
        self.messages += messages
        self._together[id(inbound)] = messages
        if self.verdict is None:
            self.waiting += messages
        else:
            for message in messages:
                self._tell(message, self.verdict)

    def _tell(self, message: Message, verdict: Verdict) -> None:
        """Messages that came together are answered together, when the last has its verdict."""
        message.verdict = message.verdict or verdict
        together = self._together[id(message.inbound)]
        verdicts = [m.verdict for m in together if m.verdict is not None]
        if len(verdicts) == len(together):
            message.inbound.done(verdicts)

    def congested(self) -> bool:
        return self.full_after is not None and len(self.messages) >= self.full_after

    def crowded(self, lane: str) -> bool:
        return lane in self.crowded_lanes or self.congested()

    def on_relief(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def relieve(self, full_after: int | None = None) -> None:
        self.full_after = full_after
        wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    def answer(self, index: int, verdict: Verdict = Verdict.STORED) -> None:
        self._tell(self.waiting[index], verdict)

    def answer_all(self, verdict: Verdict = Verdict.STORED) -> None:
        waiting, self.waiting = self.waiting, []
        for message in waiting:
            self._tell(message, verdict)

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


class Passwords:
    """Source x logs in as x with password `secret-x`, or with a certificate of name x."""

    def authenticate(self, login: Login) -> str | None:
        assert (login.password is None) != (login.certificate_name is None)
        if login.username == "fault":
            raise RuntimeError("a fault of the authenticator")
        if login.certificate_name is not None:
            return login.certificate_name if login.certificate_name != "stranger" else None
        return login.username if login.password == b"secret-" + login.username.encode() else None


class RecordingLiveness:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, bytes | None]] = []

    def connected(self, source: str, door: str) -> None:
        self.events.append((source, f"connected {door}", None))

    def disconnected(self, source: str, reason: str, will: bytes | None) -> None:
        self.events.append((source, reason, will))


class LoopThread:
    """An event loop in a thread, so that tests can use blocking clients."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE_S)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        async def on_loop() -> T:
            return function(*arguments)

        return self.run(on_loop())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE_S)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class Gateway:
    """A running FrontDoor with a recording pipeline behind it."""

    def __init__(self, limits: FrontDoorLimits | None = None, tls: TlsServer | None = None) -> None:
        self.sink = RecordingSink()
        self.liveness = RecordingLiveness()
        self.subscribed: list[str] = []
        self.on_subscribed: Callable[[str], None] = self.subscribed.append
        self.thread = LoopThread()
        self.door = FrontDoor(
            "127.0.0.1",
            0,
            self.sink,
            Passwords(),
            self.liveness,
            limits=limits or FrontDoorLimits(),
            tls=tls,
            on_subscribed=self._on_subscribed,
        )
        self.thread.run(self.door.start())
        self.port = self.door.port

    def _on_subscribed(self, source: str) -> None:
        self.on_subscribed(source)  # looked up late, so that a test can set its own

    def receipt(self, source: str, payload: bytes) -> bool:
        return self.thread.run(self.door.publish_receipt(source, payload))

    def close(self) -> None:
        self.thread.run(self.door.stop())
        self.thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


# Packets as a client builds them, with every field open to abuse.


def packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + write_varint(len(body)) + body


def connect(
    source: str = "dev",
    *,
    v5: bool,
    client_id: str | None = None,
    clean: bool = True,
    keep_alive: int = 60,
    will: tuple[str, bytes] | None = None,
    properties: Properties | None = None,
    flags: int | None = None,
    level: int | None = None,
    name: bytes = b"MQTT",
    password: bytes | None = None,
) -> bytes:
    """A CONNECT; without further arguments a correct one for `source`."""
    bits = 0xC0 | (0x02 if clean else 0) | (0x04 if will else 0)
    body = write_binary(name) + bytes(
        (level if level is not None else 5 if v5 else 4, bits if flags is None else flags)
    )
    body += keep_alive.to_bytes(2, "big") + (write_properties(properties or Properties()) if v5 else b"")
    body += write_text(source if client_id is None else client_id)
    if will:
        body += (b"\0" if v5 else b"") + write_text(will[0]) + write_binary(will[1])
    body += write_text(source) + write_binary(b"secret-" + source.encode() if password is None else password)
    return packet(0x10, body)


def publish(
    topic: str, payload: bytes, packet_id: int = 1, *, v5: bool, first: int = 0x32, properties: Properties | None = None
) -> bytes:
    body = write_text(topic) + (packet_id.to_bytes(2, "big") if first & 0x06 else b"")
    body += write_properties(properties or Properties()) if v5 else b""
    return packet(first, body + payload)


def subscribe(*filters: str, v5: bool, packet_id: int = 1, options: int = 1, identifier: int | None = None) -> bytes:
    properties = Properties(numbers={Prop.SUBSCRIPTION_ID: identifier} if identifier else {})
    body = packet_id.to_bytes(2, "big") + (write_properties(properties) if v5 else b"")
    return packet(0x82, body + b"".join(write_text(topic) + bytes((options,)) for topic in filters))


def unsubscribe(*filters: str, v5: bool, packet_id: int = 1) -> bytes:
    body = packet_id.to_bytes(2, "big") + (b"\0" if v5 else b"")
    return packet(0xA2, body + b"".join(write_text(topic) for topic in filters))


PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"


class Raw:
    """A TCP client that sends what it is told and reads whole packets."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0) -> None:
        plain = socket.socket()
        plain.settimeout(DEADLINE_S)
        if receive_buffer:  # only what is set before connecting bounds the TCP window
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect(("127.0.0.1", port))
        self.socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self._file = self.socket.makefile("rb")

    def send(self, *packets: bytes) -> Self:
        self.socket.sendall(b"".join(packets))
        return self

    def read(self) -> tuple[int, bytes]:
        """The next packet: first byte and body."""
        first = self._file.read(1)
        assert first, "expected a packet, the gateway closed the connection"
        length = shift = 0
        while True:
            byte = self._file.read(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return first[0], self._file.read(length)

    def closed(self) -> bool:
        """True when the gateway closes without another packet."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def silent(self, seconds: float) -> bool:
        """True when no byte comes for so long."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b"never"
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(DEADLINE_S)

    def login(self, source: str = "dev", *, v5: bool, **options: Any) -> Self:
        """Send a CONNECT and expect to be accepted."""
        self.send(connect(source, v5=v5, **options))
        first, body = self.read()
        assert (first, body[1]) == (0x20, 0), f"CONNACK refused: {body!r}"
        return self

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
