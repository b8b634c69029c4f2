"""The front door under pressure: congestion, bounds, slow and silent clients."""

import contextlib
import time

import pytest
from mqtt_support import Gateway, Raw, connect, packet, publish, subscribe, wait_until

from gateway.ingest.inbound import Verdict
from gateway.ingest.mqtt.limits import FrontDoorLimits
from gateway.ingest.mqtt.primitives import Reader
from gateway.ingest.mqtt.properties import Place, read_properties
from gateway.ingest.mqtt.reason import Reason
from gateway.ingest.mqtt.wire import PACKETS_A_TURN

EVENTS = "st/1/dev/events"
STATUS = "st/1/dev/status"
RECEIPTS = "st/1/dev/receipts"
ONE_READ = 262_144  # bytes that asyncio reads at once
both = pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])


def stuff(client: Raw, data: bytes) -> int:
    """Send until neither we nor the kernel's buffers can take more for a while; the number of bytes taken."""
    client.socket.settimeout(0.3)
    sent = 0
    try:
        while sent < len(data):
            sent += client.socket.send(data[sent : sent + 65536])
    except TimeoutError:
        pass
    client.socket.settimeout(15)
    return sent


@both
def test_congestion_stops_the_bytes_and_relief_lets_them_flow(v5: bool) -> None:
    limits = FrontDoorLimits(receive_maximum=65535, unacked_messages=65535)
    count, size = 3000, 4000
    stream = b"".join(publish(EVENTS, n.to_bytes(size, "big"), n + 1, v5=v5) for n in range(count))
    with (
        Gateway(limits) as gateway,
        Raw(gateway.port).login(v5=v5) as client,
        Raw(gateway.port).login("other", v5=v5) as neighbour,
    ):
        gateway.sink.full_after = 100
        taken = stuff(client, stream)
        assert taken < len(stream), "the kernel's buffers took all: the stream is too short for this test"
        at_bound = len(gateway.sink.messages)
        assert 100 <= at_bound <= 100 + ONE_READ // size, "not more than one read beyond the sink's bound"
        stopped_at = gateway.door.counters.bytes_in
        neighbour.send(publish("st/1/other/events", b"x", 1, v5=v5))
        assert stuff(client, stream[taken:]) == 0
        assert gateway.door.counters.bytes_in == stopped_at, "bytes flowed while the sink was full"
        gateway.thread.call(gateway.sink.relieve, at_bound + 100)
        wait_until(lambda: len(gateway.sink.messages) >= at_bound + 100)
        gateway.thread.call(gateway.sink.relieve)
        client.send(stream[taken:])
        wait_until(lambda: len(gateway.sink.messages) == count + 1)
        own = [m.payload for m in gateway.sink.messages if m.source == "dev"]
        assert own == [n.to_bytes(size, "big") for n in range(count)]
        assert gateway.door.counters.congestion_pauses == 2


def test_each_relief_serves_all_connections_in_turn(gateway: Gateway) -> None:
    names = ["a", "b", "c"]
    clients = [Raw(gateway.port).login(name, v5=False) for name in names]
    gateway.sink.full_after = 0
    clients[0].send(publish("st/1/a/events", b"x", 1, v5=False))
    wait_until(lambda: gateway.door.counters.congestion_pauses == 1)
    for client, name in zip(clients, names, strict=True):
        client.send(*(publish(f"st/1/{name}/events", b"x", n, v5=False) for n in range(1, 9)))
    for round_ in range(5):  # a relief is used up by one connection: a all, then b and c one and the rest
        pauses = gateway.door.counters.congestion_pauses
        gateway.thread.call(gateway.sink.relieve, len(gateway.sink.messages) + 1)
        wait_until(lambda pauses=pauses: gateway.door.counters.congestion_pauses > pauses, f"round {round_}")  # type: ignore[misc]
    served = [m.source for m in gateway.sink.messages[1:]]
    assert {source: served.count(source) for source in names} == dict.fromkeys(names, 8)
    for client in clients:
        client.close()


@both
def test_a_source_with_its_share_of_the_queue_waits_alone(v5: bool) -> None:
    with (
        Gateway() as gateway,
        Raw(gateway.port).login(v5=v5) as crowded,
        Raw(gateway.port).login("other", v5=v5) as neighbour,
    ):
        gateway.sink.crowded_lanes = {"dev"}
        crowded.send(*(publish(EVENTS, b"x", n, v5=v5) for n in range(1, 101)))
        assert crowded.read()[1] == b"\0\1"
        for n in range(1, 51):
            assert neighbour.send(publish("st/1/other/events", b"x", n, v5=v5)).read()[1] == n.to_bytes(2, "big")
        assert [m.source for m in gateway.sink.messages].count("dev") == 1
        gateway.sink.crowded_lanes = set()
        gateway.thread.call(gateway.sink.relieve)
        assert [crowded.read()[1] for _ in range(99)] == [n.to_bytes(2, "big") for n in range(2, 101)]
        assert (gateway.door.counters.crowded_pauses, gateway.door.counters.congestion_pauses) == (1, 0)


def test_a_read_full_of_tiny_packets_is_handled_in_turns(gateway: Gateway) -> None:
    """256 KiB of packets of two bytes would keep all others waiting for half a second, again and again."""
    count = 3 * PACKETS_A_TURN + 7
    with Raw(gateway.port).login(v5=True) as client:
        (connection,) = gateway.door._open

        def receive() -> int:
            connection.data_received(publish(STATUS, b"", v5=True, first=0x30) * count)
            return gateway.door.counters.status_messages

        assert gateway.thread.call(receive) == PACKETS_A_TURN, "then the others have their turn"
        wait_until(lambda: gateway.door.counters.status_messages == count)
        assert client.send(b"\xc0\0").read() == (0xD0, b"")


def test_v5_receive_maximum_is_enforced() -> None:
    with Gateway(FrontDoorLimits(receive_maximum=5)) as gateway, Raw(gateway.port).login(v5=True) as client:
        gateway.sink.verdict = None
        client.send(*(publish(EVENTS, b"x", n, v5=True) for n in range(1, 6)))
        wait_until(lambda: len(gateway.sink.messages) == 5)
        client.send(publish(EVENTS, b"x", 6, v5=True))
        first, body = client.read()
        assert (first, body[0]) == (0xE0, Reason.RECEIVE_MAXIMUM_EXCEEDED)
        assert "Receive Maximum" in read_properties(Reader(body[1:]), Place.DISCONNECT).texts.popitem()[1]
        assert client.closed()
        assert len(gateway.sink.messages) == 5


BOUNDS = [FrontDoorLimits(unacked_messages=4), FrontDoorLimits(unacked_bytes=400)]


@pytest.mark.parametrize("limits", BOUNDS, ids=["messages", "bytes"])
def test_v3_reading_pauses_at_the_unacked_bound(limits: FrontDoorLimits) -> None:
    with Gateway(limits) as gateway, Raw(gateway.port).login(v5=False) as client:
        gateway.sink.verdict = None
        client.send(*(publish(EVENTS, bytes(100), n, v5=False) for n in range(1, 21)))
        wait_until(lambda: gateway.door.counters.unacked_pauses == 1)
        assert client.silent(0.05)
        for handed in (4, 8, 12, 16, 20):
            wait_until(lambda handed=handed: len(gateway.sink.messages) == handed)  # type: ignore[misc]
            gateway.thread.call(gateway.sink.answer_all)
        assert [client.read()[1] for _ in range(20)] == [n.to_bytes(2, "big") for n in range(1, 21)]


def test_a_bound_of_one_message_still_lets_all_through() -> None:
    limits = FrontDoorLimits(unacked_messages=1)
    with Gateway(limits) as gateway, Raw(gateway.port).login(v5=False) as client:
        client.send(*(publish(EVENTS, b"x", n, v5=False) for n in range(1, 3001)))
        assert [client.read()[1] for _ in range(3000)] == [n.to_bytes(2, "big") for n in range(1, 3001)]


def test_v5_flood_of_qos0_is_bounded_too() -> None:
    limits = FrontDoorLimits(unacked_messages=10, receive_maximum=2)
    with Gateway(limits) as gateway, Raw(gateway.port).login(v5=True) as client:
        gateway.sink.verdict = None
        client.send(*[publish(EVENTS, b"x", v5=True, first=0x30)] * 50)
        wait_until(lambda: gateway.door.counters.unacked_pauses == 1)
        assert len(gateway.sink.messages) == 12
        gateway.sink.verdict = Verdict.STORED
        gateway.thread.call(gateway.sink.answer_all)
        wait_until(lambda: len(gateway.sink.messages) == 50)


def test_slow_loris_is_closed() -> None:
    with Gateway(FrontDoorLimits(connect_timeout_s=0.3)) as gateway:
        with Raw(gateway.port) as silent, Raw(gateway.port).send(connect(v5=True)[:-1]) as almost:
            assert silent.closed()
            assert almost.closed()
        assert gateway.door.counters.connect_timeouts == 2


def test_idle_sockets_do_not_lock_a_device_out() -> None:
    with Gateway(FrontDoorLimits(waiting=3)) as gateway:
        waiting = [Raw(gateway.port) for _ in range(3)]
        with Raw(gateway.port).login("other", v5=True) as other:
            assert waiting[0].closed(), "the one that waited longest"
            waiting[1].login(v5=True)
            assert gateway.door.connected_sources() == {"dev", "other"}
            more = [Raw(gateway.port) for _ in range(9)]
            assert waiting[2].closed()
            assert [client.closed() for client in more[:6]] == [True] * 6
            assert other.send(publish("st/1/other/events", b"x", 1, v5=True)).read() == (0x40, b"\0\1")
        more[8].login("last", v5=True)
        assert gateway.door.counters.refused_full == 8
        for client in waiting + more:
            client.close()


def test_connections_are_bounded_but_a_takeover_needs_no_room() -> None:
    with Gateway(FrontDoorLimits(connections=1)) as gateway, Raw(gateway.port).login("dev", v5=True) as first:
        with Raw(gateway.port).send(connect("other", v5=True)) as refused:
            assert refused.read()[1][1] == Reason.QUOTA_EXCEEDED
            assert refused.closed()
        with Raw(gateway.port).send(connect("other", v5=False)) as refused:
            assert refused.read() == (0x20, b"\0\x03")
        with Raw(gateway.port).login("dev", v5=True):
            assert first.read()[1][0] == Reason.TAKEN_OVER
        assert gateway.door.counters.refused_full == 2


def test_a_source_with_too_many_connections_loses_its_oldest() -> None:
    with (
        Gateway(FrontDoorLimits(connections_per_source=2)) as gateway,
        Raw(gateway.port).login(v5=True, client_id="a") as oldest,
        Raw(gateway.port).login(v5=True, client_id="b"),
        Raw(gateway.port).login(v5=True, client_id="c"),
    ):
        assert oldest.read()[1][0] == Reason.TAKEN_OVER
        assert [event[1] for event in gateway.liveness.events] == ["connected front"]


def test_connect_packet_and_packet_bounds() -> None:
    limits = FrontDoorLimits(connect_packet=200, packet=500)
    with Gateway(limits) as gateway:
        with Raw(gateway.port).send(connect(v5=True, password=bytes(200))) as client:
            assert client.closed()
        with Raw(gateway.port).login(v5=True) as client:
            client.send(publish(EVENTS, bytes(400), 1, v5=True))
            assert client.read()[0] == 0x40
            client.send(publish(EVENTS, bytes(500), 2, v5=True)[:5])
            assert client.read()[1][0] == Reason.PACKET_TOO_LARGE


@both
def test_keep_alive_expires_with_the_will(v5: bool) -> None:
    with (
        Gateway() as gateway,
        Raw(gateway.port).login(v5=v5, keep_alive=1, will=(STATUS, b"died")) as client,
    ):
        begin = time.monotonic()
        if v5:
            assert client.read()[1][0] == Reason.KEEP_ALIVE_TIMEOUT
        assert client.closed()
        assert time.monotonic() - begin > 1.4
        wait_until(lambda: len(gateway.liveness.events) == 2)
        assert gateway.liveness.events[1] == ("dev", "keep-alive expired", b"died")


def test_keep_alive_does_not_expire_while_the_gateway_does_not_read(gateway: Gateway) -> None:
    with Raw(gateway.port).login(v5=True, keep_alive=1) as client:
        gateway.sink.full_after = 1
        client.send(publish(EVENTS, b"x", 1, v5=True))
        assert client.read()[0] == 0x40
        assert client.silent(1.8)
        gateway.thread.call(gateway.sink.relieve)
        client.send(publish(EVENTS, b"x", 2, v5=True))
        assert client.read() == (0x40, b"\0\x02")


def test_receipts_are_dropped_when_the_source_does_not_read() -> None:
    limits = FrontDoorLimits(write_buffer=50_000, write_stall_s=10)
    with Gateway(limits) as gateway, Raw(gateway.port, receive_buffer=2048).login(v5=True) as client:
        client.send(subscribe(RECEIPTS, v5=True))
        assert client.read()[0] == 0x90
        sent = 0
        while gateway.receipt("dev", bytes(20_000)):
            sent += 1
            assert sent < 2000, "a client that reads nothing took 40 MB"
        assert gateway.door.counters.receipts_dropped == 1
        client.send(publish(EVENTS, b"still served", 1, v5=True))
        wait_until(lambda: len(gateway.sink.messages) == 1)


def test_a_peer_that_never_reads_is_cut_off() -> None:
    limits = FrontDoorLimits(write_buffer=10_000, write_stall_s=0.3)
    with Gateway(limits) as gateway, Raw(gateway.port, receive_buffer=2048).login(v5=False) as client:

        def ping_without_reading() -> bool:
            with contextlib.suppress(ConnectionError):
                stuff(client, b"\xc0\x00" * 500_000)
            return gateway.door.counters.write_stalls == 1

        wait_until(ping_without_reading)
        wait_until(lambda: not gateway.door.connected_sources())


def test_receipts_larger_than_the_peer_takes_are_dropped(gateway: Gateway) -> None:
    body = b"\0\x04MQTT\x05\xc2\0\x3c\x05\x27\0\0\0\x80\0\x03dev\0\x03dev\0\x0asecret-dev"
    with Raw(gateway.port).send(packet(0x10, body)) as client:
        assert client.read()[1][1] == 0
        client.send(subscribe(RECEIPTS, v5=True))
        assert client.read()[0] == 0x90
        assert gateway.receipt("dev", bytes(90))
        assert not gateway.receipt("dev", bytes(110))
