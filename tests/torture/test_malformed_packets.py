"""Malformed MQTT packets at a running gateway: the connection ends with the reason that the specification has for it,
and no other connection notices."""

import random
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.programs import Up
from tests.gateway.ingest.mqtt_support import DISCONNECT, PINGREQ, Raw, packet, publish, subscribe, unsubscribe
from tests.support.source import Source
from tests.torture.bad_messages import damaged
from tests.torture.doors import Device, enrolled, unshaken
from tests.torture.malformed import ROWS, SILENCE, Row
from tests.torture.scale import scaled

CASES = scaled(1_000, 300_000)
CONNACK_3 = {0x84: 1}  # 3.2.2.3 of MQTT 3.1.1 has no code for what is malformed: the network connection is closed


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with unshaken(tmp_path_factory.mktemp("malformed")) as running:
        yield running


@pytest.fixture(scope="module")
def device(gateway: Up) -> Device:
    return enrolled(gateway, Source("dev"))


@pytest.fixture(scope="module")
def neighbour(gateway: Up) -> Iterator[tuple[Device, Raw]]:
    """Another source, whose connection outlives all the bad ones."""
    other = enrolled(gateway, Source("other"))
    with other.login() as client:
        yield other, client


def answers(port: int, stream: bytes) -> list[tuple[int, bytes]]:
    """All packets that come back for a stream, after which we say nothing more."""
    found = []
    with Raw(port) as client:
        try:
            client.send(stream)
            client.socket.shutdown(socket.SHUT_WR)
            while True:
                found.append(client.read())
        except (ConnectionError, AssertionError):  # closed: reset where it did not read what we still sent
            return found


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_field_malformed(gateway: Up, device: Device, row: Row) -> None:
    before = b"" if row.first else device.connect(v5=row.v5)
    found = answers(int(gateway.where["mqtt_port"]), before + row.whole + PINGREQ)
    if not row.first:
        assert found.pop(0)[0] == 0x20
    if row.reason == SILENCE:
        assert found == []
    elif not row.v5 or row.reason < 0:  # a level below 5 is answered in the words of 3.1.1
        code = CONNACK_3.get(abs(row.reason))
        assert found == ([(0x20, bytes((0, code)))] if code and row.first else [])
    else:
        ((first, body),) = found
        assert (first, body[1] if row.first else body[0]) == (0x20 if row.first else 0xE0, row.reason)


def test_the_neighbour_of_all_these_is_served(neighbour: tuple[Device, Raw]) -> None:
    other, client = neighbour
    other.send_one(client)


def _whole_packets(device: Device, v5: bool) -> list[bytes]:
    topic = f"st/1/{device.source.name}/events"
    return [
        device.connect(v5=v5), device.connect(v5=v5, will=(f"st/1/{device.source.name}/status", b"gone")),
        publish(topic, b"payload", 7, v5=v5), publish(topic, b"payload", v5=v5, first=0x30), PINGREQ, DISCONNECT,
        subscribe(f"st/1/{device.source.name}/receipts", v5=v5), unsubscribe("st/1/dev/#", v5=v5),
        publish("st/1/other/events", b"x", 9, v5=v5), packet(0xE0, b"\x04" if v5 else b""), packet(0x40, b"\0\7"),
    ]  # fmt: skip


def _is_whole(stream: bytes) -> bool:
    """Whether its last packet is complete, by the lengths that it says itself."""
    at = 0
    while at < len(stream):
        length = shift = 0
        at += 1
        while True:
            if at >= len(stream):
                return False
            byte = stream[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += length
    return at == len(stream)


def test_damaged_packets_end_with_a_reason(gateway: Up, device: Device, neighbour: tuple[Device, Raw]) -> None:
    """Every end is one of: all was answered, the device said goodbye, the stream broke off, or a reason code."""
    rng, port, ends = random.Random(20261123), int(gateway.where["mqtt_port"]), Counter[str]()
    other, client = neighbour
    for number in range(CASES):
        bad = b"".join(damaged(rng, rng.choice(_whole_packets(device, True))) for _ in range(rng.randint(1, 3)))
        found = answers(port, device.connect() + bad + PINGREQ)
        assert found.pop(0)[0] == 0x20, bad
        first, body = found[-1] if found else (0, b"")
        if first == 0xE0:
            assert body[0] >= 0x80, (bad, body)
            ends[f"reason {body[0]:#x}"] += 1
        elif (0xD0, b"") in found:
            ends["answered"] += 1
        else:
            assert b"\xe0" in bad or not _is_whole(bad), (bad, found)  # where not, the ping was taken for its end
            ends["broken off, or a goodbye"] += 1
        if number % 100 == 0:
            other.send_one(client)
    print(dict(ends.most_common()))
    assert {"answered", "reason 0x81", "reason 0x82", "reason 0x95"} <= set(ends)
