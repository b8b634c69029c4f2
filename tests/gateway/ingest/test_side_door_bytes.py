"""The side door against a broker that says exactly what a test wants, in the pieces that it wants."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Self

import pytest
from mqtt_support import DEADLINE_S, LoopThread, RecordingSink, wait_until

from gateway.ingest.mqtt.decode import read_frame
from gateway.ingest.mqtt.encode import packet, pubacks
from gateway.ingest.mqtt.primitives import write_binary
from gateway.ingest.side.door import SideDoor
from gateway.ingest.side.options import BrokerOptions

EVENTS, OTHER = b"st/1/dev/events", b"st/1/dev-2/events"
USER_PROPERTY = b"\x07\x26\x00\x01a\x00\x01b"


class Scripted:
    """A listening socket and at most one connection at a time, answered by hand."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.settimeout(DEADLINE_S)
        self.port: int = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None
        self._rest = b""
        self._flooded = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.hang_up()
        self._listener.close()

    def hang_up(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer, self._rest = None, b""

    def accept(self) -> bytes:
        """Wait for the door; its CONNECT."""
        self.hang_up()
        self._peer, _ = self._listener.accept()
        self._peer.settimeout(DEADLINE_S)
        return self.hear()

    def welcome(self, sessions: bytes = b"\1\1") -> None:
        """Accept it, and answer its subscriptions, of events and of sessions."""
        assert self.accept()[0] == 0x10
        self.say(packet(0x20, b"\0\0\0"))
        for granted in (b"\1\1", sessions):
            subscribe = self.hear()
            assert subscribe[0] == 0x82
            self.say(packet(0x90, subscribe[2:4] + b"\0" + granted))

    def say(self, data: bytes, piece: int = 1 << 20) -> None:
        assert self._peer is not None
        self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), piece):
            self._peer.sendall(data[start : start + piece])

    def flood(self, data: bytes, most: int) -> int:
        """Say it again and again until nobody has taken a byte for a second; how many bytes were taken."""
        assert self._peer is not None
        self._peer.settimeout(1)
        begun = self._flooded
        try:
            while self._flooded - begun < most:
                self._flooded += self._peer.send(data[self._flooded % len(data) :])
        except TimeoutError:
            pass
        return self._flooded - begun

    def hear(self) -> bytes:
        """The next packet from the door; empty at the end of the connection."""
        assert self._peer is not None
        while (frame := read_frame(self._rest, 0, 1 << 20)) is None or frame[1] > len(self._rest):
            try:
                data = self._peer.recv(65536)
            except ConnectionResetError:
                return b""
            if not data:
                return b""
            self._rest += data
        found, self._rest = self._rest[: frame[1]], self._rest[frame[1] :]
        return found

    def hear_acks(self, count: int) -> bytes:
        return b"".join(self.hear() for _ in range(count))


def publish(
    identifier: int, payload: bytes, topic: bytes = EVENTS, first: int = 0x32, properties: bytes = b"\0"
) -> bytes:
    """A PUBLISH; identifier 0 for QoS 0."""
    number = identifier.to_bytes(2, "big") if identifier else b""
    return packet(first, write_binary(topic) + number + properties + payload)


@pytest.fixture
def broker() -> Iterator[Scripted]:
    with Scripted() as running:
        yield running


@pytest.fixture
def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    running = LoopThread()
    yield running
    running.close()


@pytest.fixture
def door(thread: LoopThread, broker: Scripted, sink: RecordingSink) -> Iterator[SideDoor]:
    options = BrokerOptions("127.0.0.1", broker.port, "gateway", max_unacked=8, max_packet=1024, reconnect_min_s=0)
    running = SideDoor(sink, options)
    thread.run(running.start())
    yield running
    thread.run(running.stop())


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_messages_in_any_form_and_any_pieces(broker: Scripted, sink: RecordingSink, door: SideDoor, piece: int) -> None:
    broker.welcome()
    sent = [
        publish(1, b"one"),
        publish(2, b"two"),
        publish(3, b"other", OTHER),
        publish(4, b"property", properties=USER_PROPERTY),
        publish(0, b"QoS 0", first=0x30),
        publish(5, b"again", first=0x3A),
        publish(6, b"retained", first=0x33),
        publish(7, b"", b"st/1/\xff/events"),
        publish(8, b"long" * 100),
        publish(9, b"x", b"st/1/" + b"x" * 300 + b"/events"),
        publish(0x1234, b""),
    ]
    broker.say(b"".join(sent), piece)
    assert broker.hear_acks(10) == b"".join(pubacks(bytes.fromhex("0001000200030004000500060007000800091234")))
    assert sink.payloads() == [
        b"one", b"two", b"other", b"property", b"QoS 0", b"again", b"retained", b"long" * 100, b"",
    ]  # fmt: skip
    assert [m.source for m in sink.messages] == ["dev"] * 2 + ["dev-2"] + ["dev"] * 6
    assert (door.counters.foreign_topics, door.counters.disconnections) == (2, 0)


def test_messages_of_one_topic_that_come_together_are_handed_on_together(
    broker: Scripted, sink: RecordingSink, door: SideDoor
) -> None:
    sink.verdict = None
    broker.welcome()
    broker.say(b"".join(publish(n, b"%d" % n) for n in range(1, 7)))
    wait_until(lambda: len(sink.messages) == 6)
    assert len({id(m.inbound) for m in sink.messages}) == 1, "by paho each would come alone"


def test_a_broker_that_does_not_heed_receive_maximum_is_not_read(
    thread: LoopThread, broker: Scripted, sink: RecordingSink, door: SideDoor
) -> None:
    sink.verdict = None
    broker.welcome()
    broker.say(b"".join(publish(n, b"%d" % n) for n in range(1, 31)))
    for done in (8, 16, 24, 30):
        wait_until(lambda done=done: len(sink.messages) == done)  # type: ignore[misc]
        assert len(sink.waiting) <= 8
        thread.call(sink.answer_all)
    assert broker.hear_acks(30) == b"".join(pubacks(b"".join(n.to_bytes(2, "big") for n in range(1, 31))))


def test_a_broker_that_does_not_read_is_not_read(broker: Scripted, sink: RecordingSink, door: SideDoor) -> None:
    """It sends without end and takes no acknowledgement: nothing of ours may grow without end."""
    broker.welcome()
    sent = b"".join(publish(1, b"%d" % n) for n in range(4096))
    total = 0
    while taken := broker.flood(sent, most=1 << 28):
        total += taken
        assert total < 1 << 28
    assert total > 1 << 16, "it read while it could write"
    assert door.connected
    broker.hang_up()


@pytest.mark.parametrize(
    "bad",
    [
        publish(2, b"x" * 1025),
        b"\x32\xff\xff\xff\xff\x7f",
        b"\x00\x00",
        packet(0x32, b"\x00\x40st/1"),
        packet(0x32, b""),
        packet(0x32, write_binary(EVENTS) + b"\0\2\x02\xee\xee"),
        packet(0x20, b""),
        packet(0x90, b""),
        packet(0x90, b"\0"),
        packet(0xE0, b"\x8d\x05"),
    ],
    ids=["large", "length", "type", "cut topic", "empty", "property", "CONNACK", "SUBACK", "cut SUBACK", "DISCONNECT"],
)  # fmt: skip
def test_what_is_not_mqtt_ends_the_connection_and_nothing_else(
    broker: Scripted, sink: RecordingSink, door: SideDoor, bad: bytes
) -> None:
    broker.welcome()
    broker.say(publish(1, b"before"))
    assert broker.hear() == b"\x40\x02\x00\x01"
    broker.say(bad + publish(3, b"behind"))
    while broker.hear():
        pass  # it may say why
    broker.welcome()
    broker.say(publish(1, b"after"))
    assert broker.hear() == b"\x40\x02\x00\x01"
    assert sink.payloads() == [b"before", b"after"]
    assert (door.counters.connections, door.counters.disconnections) == (2, 1)


def test_an_unreachable_broker_is_told_once(
    caplog: pytest.LogCaptureFixture, thread: LoopThread, broker: Scripted
) -> None:
    broker.__exit__()
    door = SideDoor(RecordingSink(), BrokerOptions("127.0.0.1", broker.port, "gateway", reconnect_min_s=0))
    thread.run(door.start())
    wait_until(lambda: bool(caplog.records))
    thread.run(asyncio.sleep(0.2))  # many more tries
    thread.run(door.stop())
    assert ["cannot reach the broker at 127.0.0.1" in r.getMessage() for r in caplog.records] == [True]


def test_a_broker_that_refuses_sessions_brings_events(
    broker: Scripted, sink: RecordingSink, door: SideDoor, caplog: pytest.LogCaptureFixture
) -> None:
    broker.welcome(sessions=b"\x87\x87")
    broker.say(publish(1, b"one"))
    assert broker.hear_acks(1)
    assert [message.payload for message in sink.messages] == [b"one"]
    assert door.subscribed
    assert "no sessions behind the broker" in caplog.text
