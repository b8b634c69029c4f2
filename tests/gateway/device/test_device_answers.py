"""Answers of the endpoint and of false gateways: quota, rejection, forgery, silence, closed lines."""

import json
import logging
import socket
from pathlib import Path

import pytest
from device_support import (
    GATEWAY_KEY,
    ORIGIN,
    QUICK,
    SOURCE,
    Endpoint5,
    Judge,
    acknowledge,
    device_key,
    enrolled,
    ranges_of,
    wait_until,
)

from chain.acknowledgement import Acknowledgement
from chain.event import Event, Message
from crypto.keys import Algorithm, PrivateKey
from gateway.device.backoff import Backoff
from gateway.device.device import Device
from gateway.device.draft import Draft
from gateway.device.options import DeviceOptions

BAD = b"bad"


def drafts(*payloads: bytes) -> list[Draft]:
    return [Draft(1, payload, 1) for payload in payloads]


def strict(judge: Judge, code: int = 0x99):
    """A front door that refuses a whole message for one bad event in it, as rejecting gateways do."""

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        message = Message.decode(payload)
        if any(Event.decode(data).payload == BAD for data in message.events):
            return code, None
        return 0, judge.take(payload)

    return decide


@pytest.mark.parametrize("code", [0x99, 0x87])
def test_only_the_bad_event_of_a_refused_message_is_set_aside(tmp_path: Path, code: int) -> None:
    folder = enrolled(tmp_path / "device")
    judge = Judge(device_key(folder))
    with Endpoint5(strict(judge, code)) as endpoint:
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(b"1", b"2", BAD, b"3", b"4"))
        device.start()
        wait_until(lambda: device.status().buffered == 0, "all is settled")
        device.record_many(drafts(b"5"))  # nothing behind it is blocked
        wait_until(lambda: device.status().acknowledged == 5, "the next event is taken")
        (rejection,) = device.rejections()
        status = device.stop()
    assert Event.decode(rejection.data).payload == BAD
    assert f"0x{code:02x}" in rejection.reason
    assert (status.rejected, status.buffered, status.waiting_seals) == (1, 0, 0)
    assert sorted(judge.payloads()) == [b"1", b"2", b"3", b"4", b"5"]
    sealed = [seq for seal in judge.seals for seq in range(seal.first, seal.first + seal.count)]
    assert sealed == list(range(6))  # the refused number is under a seal: it is a gap, not a silence


def test_rejected_table_is_bounded(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    with Endpoint5(strict(Judge(device_key(folder)))) as endpoint:
        device = _device(folder, endpoint, DeviceOptions(seal_seconds=0.05, max_rejected=3))
        device.record_many(drafts(*[BAD] * 10))
        device.start()
        wait_until(lambda: device.status().rejected == 10, "all are refused")
        assert len(device.rejections()) == 3
        device.stop()


def test_a_refused_seal_does_not_block_the_next(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    stored: dict[tuple[int, int], bytes] = {}

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        message = Message.decode(payload)
        if message.seals:
            return 0x99, None
        events = [Event.decode(data) for data in message.events]
        numbers = {(e.boot, e.seq): data for e, data in zip(events, message.events, strict=True)}
        stored.update(numbers)
        return 0, acknowledge(numbers)

    with Endpoint5(decide) as endpoint:
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(*[b"x"] * 200))
        device.start()
        wait_until(lambda: device.status().buffered == 0, "the events are settled")
        reasons = [rejection.reason for rejection in device.rejections()]
        device.stop()
    assert len(stored) == 200
    assert len(reasons) == 4  # 64 + 64 + 64 + 8


def test_quota_keeps_everything_and_backs_off(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    judge = Judge(device_key(folder))
    refusals = [0]

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        if refusals[0] < 5:
            refusals[0] += 1
            return 0x97, None
        return 0, judge.take(payload)

    with Endpoint5(decide) as endpoint:
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(*[b"x"] * 300))
        device.start()
        wait_until(lambda: device.status().buffered == 0, "the buffer empties")
        assert device.stop().rejected == 0
        assert endpoint.connections == 1
    judge.check_whole()
    assert len(judge.events) == 300


def test_a_line_that_closes_on_every_other_message_loses_nothing(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    judge = Judge(device_key(folder))
    calls = [0]

    def decide(payload: bytes) -> tuple[int, bytes | None] | None:
        calls[0] += 1
        if calls[0] % 3 == 0:
            judge.take(payload)  # stored, and the answer is lost
            return None
        return 0, judge.take(payload)

    with Endpoint5(decide) as endpoint:
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(*[b"x"] * 640))
        device.start()
        wait_until(lambda: device.status().buffered == 0, "the buffer empties")
        device.stop()
        assert endpoint.connections > 1
    judge.check_whole()
    assert len(judge.events) == 640
    assert judge.duplicates > 0


def test_small_receive_maximum_and_packets_are_obeyed(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    judge = Judge(device_key(folder))
    sizes = []

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        sizes.append(len(payload))
        return 0, judge.take(payload)

    properties = b"\x21\x00\x01" + b"\x27" + (8192).to_bytes(4, "big")  # Receive Maximum 1, Maximum Packet Size
    with Endpoint5(decide, properties) as endpoint:
        endpoint.one_at_a_time = True
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(*[b"x" * 1000] * 50, b"y" * 9000, b"z"))
        device.start()
        wait_until(lambda: device.status().buffered == 0, "the buffer empties")
        (rejection,) = device.rejections()
        device.stop()
    assert max(sizes) <= 8192
    assert "larger than" in rejection.reason
    assert len(judge.events) == 51


def _forged(message: Message, way: str) -> bytes:
    events = [Event.decode(data) for data in message.events]
    numbers = {(e.boot, e.seq): data for e, data in zip(events, message.events, strict=True)}
    ranges = ranges_of(numbers)
    match way:
        case "other key":
            return acknowledge(numbers, key=PrivateKey.generate(Algorithm.ED25519))
        case "wrong digest":
            return acknowledge({number: data + b"!" for number, data in numbers.items()})
        case "too long":
            return acknowledge(numbers | {(1, len(numbers)): b"never sent"})
        case "other source":
            return Acknowledgement("line-2", ORIGIN, 1, 1, bytes(32), ranges).sign(GATEWAY_KEY)
        case "other log":
            return Acknowledgement(SOURCE, "other.log", 1, 1, bytes(32), ranges).sign(GATEWAY_KEY)
    return b"\xff not cbor"


@pytest.mark.parametrize("way", ["other key", "wrong digest", "too long", "other source", "other log", "garbage"])
def test_false_acknowledgements_delete_nothing(tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = enrolled(tmp_path / "device")
    asked = []

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        message = Message.decode(payload)
        asked.append(message)
        return 0, _forged(message, way) if message.events else None

    with caplog.at_level(logging.ERROR), Endpoint5(decide) as endpoint:
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(*[b"x"] * 10))
        device.start()
        wait_until(lambda: len(asked) > 2, "asked again")  # the first answer was taken and not believed
        status = device.stop(0.0)
    assert (status.acknowledged, status.buffered) == (0, 10)
    judge = Judge(device_key(folder))
    with Endpoint5(lambda payload: (0, judge.take(payload))) as endpoint:
        device = _device(folder, endpoint, QUICK)
        device.start()
        assert device.stop().buffered == 0
    judge.check_whole()


def test_an_event_stays_until_its_seal_is_acknowledged(tmp_path: Path) -> None:
    folder = enrolled(tmp_path / "device")
    judge = Judge(device_key(folder))
    deaf = [True]

    def decide(payload: bytes) -> tuple[int, bytes | None]:
        receipt = judge.take(payload)
        numbers = {n: d for n, d in judge.events.items() if d in Message.decode(payload).events}
        return 0, acknowledge(numbers) if deaf[0] else receipt  # while deaf: events stored, no word of seals

    with Endpoint5(decide) as endpoint:
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(b"1", b"2"))
        device.start()
        wait_until(lambda: device.status().acknowledged == 2 and len(judge.seals) == 1, "both are stored")
        assert device.status().buffered == 2
        deaf[0] = False
        wait_until(lambda: device.status().buffered == 0, "the seal is acknowledged")
        device.stop()


def test_backoff_is_bounded_and_grows() -> None:
    backoff = Backoff(0.5, 60.0)
    for n in range(100):
        full = min(60.0, 0.5 * 2.0 ** min(n, 30))
        assert full / 2 <= backoff.next() <= full
    backoff.reset()
    assert backoff.next() <= 0.5


def _device(folder: Path, endpoint: Endpoint5, options: DeviceOptions) -> Device:
    """The device, its profile pointing to this endpoint's port."""
    profile = folder / "device.json"
    document = json.loads(profile.read_text())
    document["mqtt"]["port"] = endpoint.port
    profile.write_text(json.dumps(document))
    return Device(folder, options)


CUT = {
    "PUBACK": b"\x40\x01\x00", "PUBLISH": b"\x30\x01\x00", "PUBLISH, QoS 1": b"\x32\x04\x00\x01a\x00",
    "CONNACK": b"\x20\x01\x00", "SUBACK": b"\x90\x01\x00", "type 0": b"\x00\x00",
}  # fmt: skip


class _Cutting(Endpoint5):
    """Answers the first message with a packet that is cut."""

    cut = b""

    def _publish(self, out: socket.socket, body: bytes) -> bool:
        if self.cut:
            out.sendall(self.cut)
            self.cut = b""
            return True
        return super()._publish(out, body)


@pytest.mark.parametrize("cut", CUT.values(), ids=CUT.keys())
def test_a_packet_that_is_cut_ends_the_connection_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: bytes
) -> None:
    folder = enrolled(tmp_path / "device")
    judge = Judge(device_key(folder))
    with _Cutting(lambda payload: (0, judge.take(payload))) as endpoint:
        endpoint.cut = cut
        device = _device(folder, endpoint, QUICK)
        device.record_many(drafts(b"1", b"2"))
        device.start()
        wait_until(lambda: device.status().buffered == 0, "all is delivered by the next connection")
        device.stop()
    assert endpoint.connections == 2
    assert len(judge.events) == 2
    assert "a fault of the sender" not in caplog.text
