"""The side door against a real Mosquitto on a free port."""

import dataclasses
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish
import pytest
from mqtt_support import LoopThread, RecordingSink, wait_until
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from crypto.tls.client import TlsClient
from gateway.ingest.inbound import Channel, Verdict
from gateway.ingest.side.door import SideDoor
from gateway.ingest.side.options import BrokerOptions
from tests.support.certificates import Authority
from tests.support.mosquitto import MOSQUITTO, OPEN, Broker

pytestmark = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed (Debian: mosquitto)")

EVENTS = "st/1/dev/events"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    running = LoopThread()
    yield running
    running.close()


class Side:
    """A started side door with a recording pipeline."""

    def __init__(self, thread: LoopThread, broker: Broker, **options: Any) -> None:
        self.thread = thread
        self.sink = RecordingSink()
        self.door = SideDoor(self.sink, BrokerOptions("127.0.0.1", broker.port, "gateway", **options))

    def start(self, *, wait: bool = True) -> None:
        self.thread.run(self.door.start())
        if wait:
            wait_until(lambda: self.door.subscribed, "the subscription")

    def stop(self) -> None:
        self.thread.run(self.door.stop())


class Device:
    """A paho client behind the broker."""

    def __init__(self, broker: Broker, topic: str = "") -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.received: list[bytes] = []
        self._subscribed = threading.Event()
        self.client.on_message = lambda _c, _u, message: self.received.append(bytes(message.payload))
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        if topic:
            wait_until(self.client.is_connected)
            self.client.subscribe(topic, 1)
            assert self._subscribed.wait(10)

    def publish(self, *payloads: bytes, topic: str = EVENTS, qos: int = 1) -> None:
        for info in [self.client.publish(topic, payload, qos=qos) for payload in payloads]:
            info.wait_for_publish(10)
            assert info.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def device(broker: Broker) -> Iterator[Device]:
    running = Device(broker)
    yield running
    running.close()


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_messages_and_receipts(thread: LoopThread, broker: Broker, device: Device) -> None:
    side = Side(thread, broker)
    side.start()
    listener = Device(broker, "st/1/dev/receipts")
    device.publish(b"event")
    device.publish(b"{}", topic="st/1/cam.2/plain/inference")
    device.publish(b"unasked", qos=0)
    device.publish(b"x", topic="st/1/Not A Source/events")
    device.publish(b"x", topic="st/1/dev/status")
    wait_until(lambda: len(side.sink.messages) == 3)
    wait_until(lambda: side.door.counters.acknowledged == 3)
    seen = [(m.source, m.authenticated, m.channel, m.kind, m.payload, m.door) for m in side.sink.messages]
    assert seen == [
        ("dev", False, Channel.EVENTS, "", b"event", "side"),
        ("cam.2", False, Channel.PLAIN, "inference", b"{}", "side"),
        ("dev", False, Channel.EVENTS, "", b"unasked", "side"),
    ]
    assert side.door.counters.foreign_topics == 1
    assert thread.run(side.door.publish_receipt("dev", b"a receipt"))
    wait_until(lambda: listener.received == [b"a receipt"])
    side.stop()
    listener.close()


def test_unacknowledged_messages_come_again(thread: LoopThread, broker: Broker, device: Device) -> None:
    side = Side(thread, broker)
    side.sink.verdict = None
    side.start()
    for count, payload in enumerate(numbered(5), 1):  # one after the other, so that each has a verdict of its own
        device.publish(payload)
        wait_until(lambda count=count: len(side.sink.waiting) == count)  # type: ignore[misc]
    thread.call(side.sink.answer, 0)
    thread.call(side.sink.answer, 1)
    thread.call(side.sink.answer, 3)  # done, but 2 is not: order keeps its acknowledgement back
    wait_until(lambda: side.door.counters.acknowledged == 2)
    side.stop()
    thread.call(side.sink.answer_all)  # too late, and without harm
    assert side.door.counters.acknowledged == 2
    device.publish(b"while away")
    again = Side(thread, broker)
    again.start()
    wait_until(lambda: len(again.sink.messages) == 4)
    assert again.sink.payloads() == [b"2", b"3", b"4", b"while away"]
    wait_until(lambda: again.door.counters.acknowledged == 4)
    again.stop()
    third = Side(thread, broker)
    third.start()
    device.publish(b"last")
    wait_until(lambda: third.sink.payloads() == [b"last"], "nothing acknowledged to come again")
    third.stop()


def test_what_is_in_flight_is_bounded(thread: LoopThread, broker: Broker, device: Device) -> None:
    side = Side(thread, broker, max_unacked=10)
    side.sink.verdict = None
    side.start()
    device.publish(*numbered(100))
    for handed in range(10, 101, 10):
        wait_until(lambda handed=handed: len(side.sink.messages) == handed)  # type: ignore[misc]
        assert len(side.sink.waiting) == 10
        thread.call(side.sink.answer_all)
    assert side.sink.payloads() == numbered(100)
    side.stop()


def test_congestion_stops_reading(thread: LoopThread, broker: Broker, device: Device) -> None:
    side = Side(thread, broker, max_unacked=50)
    side.sink.full_after = 20
    side.start()
    device.publish(*numbered(200))
    device.publish(*numbered(200), qos=0)
    wait_until(lambda: side.door.counters.congestion_pauses == 1)
    assert 20 <= len(side.sink.messages) <= 20 + 50, "not more than the door's own bound beyond the sink's"
    thread.call(side.sink.relieve)
    wait_until(lambda: side.door.counters.acknowledged == 200)
    wait_until(lambda: len(side.sink.messages) == 400, "what has QoS 0 waited at the broker")
    side.stop()


def test_a_long_hold_does_not_lose_the_connection_and_a_silent_broker_does(
    thread: LoopThread, broker: Broker, device: Device
) -> None:
    side = Side(thread, broker, max_unacked=10, keep_alive_s=1)
    side.sink.verdict = None
    side.start()
    device.publish(*numbered(20))
    wait_until(lambda: len(side.sink.waiting) == 10)
    time.sleep(3.5)  # the broker's patience ends after one and a half times the keep-alive
    thread.call(side.sink.answer_all)
    wait_until(lambda: side.sink.payloads() == numbered(20), "the others, and none twice")
    thread.call(side.sink.answer_all)
    wait_until(lambda: side.door.counters.acknowledged == 20)
    time.sleep(2.5)  # idle: only pings and their answers
    assert (side.door.counters.connections, side.door.counters.disconnections) == (1, 0)
    broker.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not side.door.connected, "its silence")
    finally:
        broker.process.send_signal(signal.SIGCONT)
    side.stop()


def test_quota_exceeded_leaves_the_messages_with_the_broker(thread: LoopThread, broker: Broker, device: Device) -> None:
    side = Side(thread, broker, quota_retry_s=0.2)
    side.sink.verdict = None
    side.start()
    device.publish(*numbered(3))
    wait_until(lambda: len(side.sink.waiting) == 3)
    for index, verdict in enumerate((Verdict.STORED, Verdict.QUOTA_EXCEEDED, Verdict.QUOTA_EXCEEDED)):
        thread.call(side.sink.answer, index, verdict)
    wait_until(lambda: len(side.sink.messages) == 5, "the broker's second attempt")
    assert side.sink.payloads() == [b"0", b"1", b"2", b"1", b"2"]
    assert side.door.counters.acknowledged == 1
    side.sink.waiting = side.sink.waiting[3:]
    thread.call(side.sink.answer_all)
    wait_until(lambda: side.door.counters.acknowledged == 3)
    assert side.door.counters.quota_pauses == 1
    side.stop()


def test_a_shared_group_splits_the_messages(thread: LoopThread, broker: Broker, device: Device) -> None:
    one, two = (Side(thread, broker, group="gateways") for _ in range(2))
    two.door = SideDoor(two.sink, BrokerOptions("127.0.0.1", broker.port, "gateway-2", group="gateways"))
    one.start()
    two.start()
    device.publish(*numbered(100))
    wait_until(lambda: len(one.sink.messages) + len(two.sink.messages) == 100)
    assert sorted(one.sink.payloads() + two.sink.payloads()) == sorted(numbered(100))
    assert one.sink.messages
    assert two.sink.messages
    one.stop()
    two.stop()


def test_it_waits_for_a_broker_and_survives_its_restart(thread: LoopThread, tmp_path: Path) -> None:
    with Broker(tmp_path, OPEN + f"persistence true\npersistence_location {tmp_path}/\n") as broker:
        broker.stop()
        side = Side(thread, broker, reconnect_min_s=1, reconnect_max_s=1)
        side.sink.verdict = None
        side.start(wait=False)
        assert thread.run(side.door.publish_receipt("dev", b"early")), "it waits for the broker"
        broker.start()
        wait_until(lambda: side.door.subscribed)
        device = Device(broker)
        device.publish(b"x")
        wait_until(lambda: len(side.sink.waiting) == 1)
        device.close()
        broker.stop()
        wait_until(lambda: not side.door.connected)
        thread.call(side.sink.answer_all)  # the connection that delivered it is gone: no acknowledgement on the next
        broker.start()
        wait_until(lambda: len(side.sink.messages) == 2)
        assert side.door.counters.acknowledged == 0
        assert side.sink.payloads() == [b"x", b"x"]
        thread.call(side.sink.answer_all)
        wait_until(lambda: side.door.counters.acknowledged == 1)
        side.stop()


def test_tls_and_password(thread: LoopThread, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "gw", "secret"], check=True)
    config = f"cafile {authority.file}\ncertfile {certificate}\nkeyfile {key}\npassword_file {passwords}\n"
    with Broker(tmp_path, config) as broker:
        side = Side(thread, broker, tls=TlsClient(authority.file), username="gw", password="secret")
        side.start()
        login: Any = {"username": "gw", "password": "secret"}
        messages: Any = [(EVENTS, payload, 1, False) for payload in numbered(50)]
        publish.multiple(messages, "127.0.0.1", broker.port, auth=login, tls=authority.client_context())
        wait_until(lambda: side.door.counters.acknowledged == 50)
        assert side.sink.payloads() == numbered(50)
        side.stop()
        options = BrokerOptions("127.0.0.1", broker.port, "gw", tls=TlsClient(authority.file), username="gw")
        for password in ("wrong", None):
            refused = SideDoor(RecordingSink(), dataclasses.replace(options, password=password))
            thread.run(refused.start())
            wait_until(lambda refused=refused: refused.counters.refusals >= 1)  # type: ignore[misc]
            assert not refused.connected
            thread.run(refused.stop())
    assert "secret" not in repr(dataclasses.replace(options, password="secret"))
