"""Garbage and damaged packets at a real front door: it answers by its rules and never by a fault of its own."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mqtt_support import DISCONNECT, Gateway, Raw, connect, packet, publish, subscribe, unsubscribe

from gateway.ingest.mqtt.decode import read_frame, read_publish
from gateway.ingest.mqtt.reason import MqttError
from gateway.ingest.mqtt.topics import target_of

EVENTS = "st/1/dev/events"


@pytest.fixture(scope="module")
def shared_gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


def exchange(gateway: Gateway, stream: bytes) -> None:
    """Send all, then read until the gateway closes."""
    with Raw(gateway.port) as client:
        try:
            client.send(stream)
            while client.socket.recv(65536):
                pass
        except ConnectionError:
            pass  # closed while we were still sending


def still_well(gateway: Gateway) -> None:
    with Raw(gateway.port).login("neighbour", v5=True) as client:
        client.send(publish("st/1/neighbour/events", b"x", 1, v5=True))
        assert client.read() == (0x40, b"\0\1")
    assert gateway.door.counters.internal_errors == 0


quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(st.binary(max_size=300), st.booleans())
def test_garbage_before_and_after_connect(shared_gateway: Gateway, garbage: bytes, v5: bool) -> None:
    # The last packet has a bad type, so that the gateway closes whatever the garbage was.
    exchange(shared_gateway, garbage + bytes(8) + b"\xff" * 8192)
    exchange(shared_gateway, connect(v5=v5) + garbage + bytes(300_000))
    still_well(shared_gateway)


@st.composite
def damaged_packets(draw: st.DrawFn, v5: bool) -> bytes:
    whole = draw(
        st.sampled_from(
            [
                publish(EVENTS, b"payload", 7, v5=v5),
                publish("st/1/dev/plain/reading", b"{}", 8, v5=v5),
                subscribe("st/1/dev/receipts", v5=v5),
                unsubscribe("st/1/dev/#", v5=v5),
            ]
        )
    )
    body = bytearray(whole[2:])
    for _ in range(draw(st.integers(0, 2))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return packet(whole[0], bytes(body[: draw(st.integers(0, len(body)))]))


@quick
@given(st.data(), st.booleans())
def test_damaged_packets(shared_gateway: Gateway, data: st.DataObject, v5: bool) -> None:
    good = publish(EVENTS, b"good", 1, v5=v5)
    packets = data.draw(st.lists(damaged_packets(v5), max_size=5))
    exchange(shared_gateway, connect(v5=v5) + good + b"".join(packets) + DISCONNECT)
    still_well(shared_gateway)


@quick
@given(st.data(), st.booleans())
def test_the_fast_way_takes_only_what_the_strict_way_takes(
    shared_gateway: Gateway, data: st.DataObject, v5: bool
) -> None:
    """After a first good PUBLISH the topic is known, and further ones may take the fast way."""
    damaged = data.draw(damaged_packets(v5).filter(lambda whole: whole[0] == 0x32))
    before = len(shared_gateway.sink.messages)
    stream = publish(EVENTS, b"good", 1, v5=v5) + publish("st/1/dev/plain/reading", b"good", 2, v5=v5)
    exchange(shared_gateway, connect(v5=v5) + stream + damaged + DISCONNECT)
    taken = [(m.channel, m.kind, m.payload) for m in shared_gateway.sink.messages[before + 2 :]]
    try:
        frame = read_frame(damaged, 0, 1 << 20)
        assert frame is not None
        strict = read_publish(damaged[0], damaged[frame[0] :], v5)
    except MqttError:
        assert taken == []
        return
    target = target_of(strict.topic)
    if not strict.alias:
        own = target is not None and target.source == "dev"
        assert taken == ([(target.channel, target.kind, strict.payload)] if target and own else [])
