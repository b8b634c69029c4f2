"""What the front door offers and refuses, byte by byte, against a real FrontDoor."""

import pytest
from mqtt_support import (
    DISCONNECT,
    PINGREQ,
    Gateway,
    Raw,
    connect,
    packet,
    publish,
    subscribe,
    unsubscribe,
    wait_until,
)

from gateway.ingest.inbound import Channel, Verdict
from gateway.ingest.mqtt.limits import FrontDoorLimits
from gateway.ingest.mqtt.primitives import Reader, write_text
from gateway.ingest.mqtt.properties import Place, Prop, Properties, read_properties
from gateway.ingest.mqtt.reason import Reason

EVENTS = "st/1/dev/events"
STATUS = "st/1/dev/status"
RECEIPTS = "st/1/dev/receipts"
both = pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])


def puback(number: int, reason: int = 0) -> tuple[int, bytes]:
    return 0x40, number.to_bytes(2, "big") + (bytes((reason,)) if reason else b"")


def reason_of(client: Raw, first: int = 0xE0) -> int:
    """The reason code of the DISCONNECT (or CONNACK) that comes next, after which the gateway closes."""
    got, body = client.read()
    assert got == first, f"got packet 0x{got:02x}"
    assert client.closed()
    return body[0] if first == 0xE0 else body[1]


# Publishing


@both
def test_messages_reach_the_sink_as_they_were_sent(gateway: Gateway, v5: bool) -> None:
    with Raw(gateway.port).login(v5=v5) as client:
        client.send(
            publish(EVENTS, b"one", 1, v5=v5),
            publish(EVENTS, b"two", 2, v5=v5, first=0x3A),
            publish("st/1/dev/plain/reading", b"{}", 3, v5=v5),
            publish(EVENTS, b"no answer", v5=v5, first=0x30),
            publish(EVENTS, b"", 4, v5=v5),
        )
        assert [client.read() for _ in range(4)] == [puback(n) for n in (1, 2, 3, 4)]
    seen = [(m.channel, m.kind, m.payload) for m in gateway.sink.messages]
    assert seen == [
        (Channel.EVENTS, "", b"one"),
        (Channel.EVENTS, "", b"two"),
        (Channel.PLAIN, "reading", b"{}"),
        (Channel.EVENTS, "", b"no answer"),
        (Channel.EVENTS, "", b""),
    ]
    assert {(m.source, m.authenticated, m.door) for m in gateway.sink.messages} == {("dev", True, "front")}
    assert all(m.received_us > 1_700_000_000_000_000 for m in gateway.sink.messages)


@both
def test_packets_may_be_cut_anywhere(gateway: Gateway, v5: bool) -> None:
    stream = connect(v5=v5) + b"".join(publish(EVENTS, bytes(200), n, v5=v5) for n in (1, 2)) + DISCONNECT
    with Raw(gateway.port) as client:
        for offset in range(len(stream)):
            client.send(stream[offset : offset + 1])
        assert client.read()[0] == 0x20
        assert [client.read() for _ in range(2)] == [puback(1), puback(2)]
        assert client.closed()
    assert gateway.sink.payloads() == [bytes(200)] * 2


@both
def test_puback_only_after_done_and_in_order(gateway: Gateway, v5: bool) -> None:
    gateway.sink.verdict = None
    with Raw(gateway.port).login(v5=v5) as client:
        client.send(*(publish(EVENTS, b"x", number, v5=v5) for number in (11, 12, 13)))
        wait_until(lambda: len(gateway.sink.waiting) == 3)
        assert client.silent(0.1)
        gateway.thread.call(gateway.sink.answer, 1)
        gateway.thread.call(gateway.sink.answer, 2)
        assert client.silent(0.1), "12 and 13 are done, but 11 is not"
        gateway.thread.call(gateway.sink.answer, 0)
        assert [client.read() for _ in range(3)] == [puback(11), puback(12), puback(13)]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_v5_puback_carries_the_verdict(gateway: Gateway, verdict: Verdict) -> None:
    gateway.sink.verdict = verdict
    with Raw(gateway.port).login(v5=True) as client:
        client.send(publish(EVENTS, b"x", 5, v5=True), publish(EVENTS, b"x", 6, v5=True))
        assert [client.read(), client.read()] == [puback(5, verdict), puback(6, verdict)]


@pytest.mark.parametrize("verdict", [Verdict.NOT_AUTHORIZED, Verdict.REJECTED])
def test_v3_dead_letters_are_acknowledged(gateway: Gateway, verdict: Verdict) -> None:
    gateway.sink.verdict = verdict
    with Raw(gateway.port).login(v5=False) as client:
        assert client.send(publish(EVENTS, b"x", 5, v5=False)).read() == puback(5)


def test_v3_quota_exceeded_closes_without_puback(gateway: Gateway) -> None:
    gateway.sink.verdict = None
    with Raw(gateway.port).login(v5=False) as client:
        client.send(*(publish(EVENTS, b"x", number, v5=False) for number in (1, 2, 3)))
        wait_until(lambda: len(gateway.sink.waiting) == 3)
        for index, verdict in enumerate((Verdict.STORED, Verdict.QUOTA_EXCEEDED, Verdict.STORED)):
            gateway.thread.call(gateway.sink.answer, index, verdict)
        assert client.read() == puback(1)
        assert client.closed()
    assert gateway.door.counters.quota_refusals == 1


def test_verdicts_after_the_client_left_do_no_harm(gateway: Gateway) -> None:
    gateway.sink.verdict = None
    with Raw(gateway.port).login(v5=True) as client:
        client.send(publish(EVENTS, b"x", 1, v5=True))
        wait_until(lambda: len(gateway.sink.waiting) == 1)
    wait_until(lambda: not gateway.door.connected_sources())
    gateway.thread.call(gateway.sink.answer_all)
    with Raw(gateway.port).login(v5=True) as client:
        assert client.send(PINGREQ).read() == (0xD0, b"")


def test_topic_aliases(gateway: Gateway) -> None:
    alias = Properties(numbers={Prop.TOPIC_ALIAS: 3})
    with Raw(gateway.port).login(v5=True) as client:
        client.send(
            publish(EVENTS, b"first", 1, v5=True, properties=alias), publish("", b"2", 2, v5=True, properties=alias)
        )
        assert [client.read(), client.read()] == [puback(1), puback(2)]
    assert gateway.sink.payloads() == [b"first", b"2"]


def test_status_is_acknowledged_and_not_stored(gateway: Gateway) -> None:
    with Raw(gateway.port).login(v5=False) as client:
        assert client.send(publish(STATUS, b"up", 1, v5=False)).read() == puback(1)
    assert gateway.sink.messages == []
    assert gateway.door.counters.status_messages == 1


# Refusing


FOREIGN = [
    "st/1/other/events",
    "st/1/dev/receipts",
    "st/1/dev/plain",
    "a",
    "$SYS/x",
    "st/1/dev/events/",
    "st/1/other/status",
]


@pytest.mark.parametrize("topic", FOREIGN)
def test_foreign_topics_are_refused(gateway: Gateway, topic: str) -> None:
    with Raw(gateway.port).login(v5=True) as client:
        assert client.send(publish(topic, b"x", 1, v5=True)).read() == puback(1, 0x87)
        assert client.send(publish(EVENTS, b"x", 2, v5=True)).read() == puback(2)
    with Raw(gateway.port).login(v5=False) as client:
        client.send(publish(topic, b"x", 1, v5=False))
        assert client.closed()
    assert gateway.door.counters.refused_topics == 2
    assert len(gateway.sink.messages) == 1


BAD_PACKETS = [
    ("reserved type 0", b"\x00\x00", Reason.MALFORMED),
    ("length of five bytes", b"\x32\x80\x80\x80\x80\x01", Reason.MALFORMED),
    ("QoS 3", packet(0x36, write_text(EVENTS) + b"\0\1\0"), Reason.MALFORMED),
    ("SUBSCRIBE flags", packet(0x80, b"\0\1\0"), Reason.MALFORMED),
    ("UNSUBSCRIBE flags", packet(0xA0, b"\0\1\0"), Reason.MALFORMED),
    ("PINGREQ with body", b"\xc0\x01x", Reason.MALFORMED),
    ("DISCONNECT flags", b"\xe1\x00", Reason.MALFORMED),
    ("second CONNECT", connect(v5=True), Reason.PROTOCOL_ERROR),
    ("CONNACK from a client", b"\x20\x02\0\0", Reason.PROTOCOL_ERROR),
    ("PUBACK of nothing", b"\x40\x02\0\1", Reason.PROTOCOL_ERROR),
    ("PUBREL of nothing", b"\x62\x02\0\1", Reason.PROTOCOL_ERROR),
    ("AUTH", b"\xf0\x00", Reason.PROTOCOL_ERROR),
    ("packet identifier 0", publish(EVENTS, b"x", 0, v5=True), Reason.PROTOCOL_ERROR),
    ("topic not UTF-8", packet(0x32, b"\0\1\xff\0\1\0"), Reason.MALFORMED),
    ("topic with wildcard", publish("st/1/dev/+", b"x", v5=True), Reason.TOPIC_INVALID),
    ("packet too large", b"\x32\xff\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
]


@pytest.mark.parametrize(("bad", "reason"), [c[1:] for c in BAD_PACKETS], ids=[c[0] for c in BAD_PACKETS])
def test_bad_packets_end_their_connection_and_no_other(gateway: Gateway, bad: bytes, reason: Reason) -> None:
    with Raw(gateway.port).login("other", v5=True) as neighbour:
        with Raw(gateway.port).login(v5=True) as client:
            assert client.send(publish(EVENTS, b"good", 9, v5=True), bad).read() == puback(9)
            assert reason_of(client) == reason
        with Raw(gateway.port).login(v5=False) as client:
            assert client.send(publish(EVENTS, b"good", 9, v5=False), bad).read() == puback(9)
            assert client.closed()
        assert neighbour.send(PINGREQ).read() == (0xD0, b"")
    counters = gateway.door.counters
    assert counters.malformed + counters.protocol_errors == 2
    assert counters.internal_errors == 0


NOT_OFFERED = [
    ("QoS 2", publish(EVENTS, b"x", 1, v5=True, first=0x34), Reason.QOS_NOT_SUPPORTED),
    ("retain", publish(EVENTS, b"x", 1, v5=True, first=0x33), Reason.RETAIN_NOT_SUPPORTED),
    (
        "alias over the maximum",
        publish(EVENTS, b"x", v5=True, properties=Properties(numbers={Prop.TOPIC_ALIAS: 17})),
        Reason.ALIAS_INVALID,
    ),
    (
        "alias without topic",
        publish("", b"x", v5=True, properties=Properties(numbers={Prop.TOPIC_ALIAS: 1})),
        Reason.PROTOCOL_ERROR,
    ),
    (
        "subscription identifier",
        subscribe(RECEIPTS, v5=True, identifier=4),
        Reason.SUBSCRIPTION_ID_NOT_SUPPORTED,
    ),
    ("session prolonged at the end", packet(0xE0, b"\0\x05\x11\0\0\0\x09"), Reason.PROTOCOL_ERROR),
]


@pytest.mark.parametrize(("request_", "reason"), [c[1:] for c in NOT_OFFERED], ids=[c[0] for c in NOT_OFFERED])
def test_what_is_not_offered_is_said_with_its_reason(gateway: Gateway, request_: bytes, reason: Reason) -> None:
    with Raw(gateway.port).login(v5=True) as client:
        client.send(request_)
        assert reason_of(client) == reason
    assert gateway.sink.messages == []


def test_v3_qos2_closes_and_retain_is_ignored(gateway: Gateway) -> None:
    with Raw(gateway.port).login(v5=False) as client:
        assert client.send(publish(EVENTS, b"kept", 1, v5=False, first=0x33)).read() == puback(1)
        client.send(publish(EVENTS, b"x", 2, v5=False, first=0x34))
        assert client.closed()
    assert gateway.sink.payloads() == [b"kept"]


@both
def test_only_own_receipts_can_be_subscribed(gateway: Gateway, v5: bool) -> None:
    filters = (RECEIPTS, "st/1/dev/#", "#", "st/1/+/receipts", "st/1/other/receipts", "$share/g/st/1/dev/#", "a#")
    with Raw(gateway.port).login(v5=v5) as client:
        first, body = client.send(subscribe(*filters, v5=v5, packet_id=77)).read()
        codes = [0, 0, 0x87, 0x87, 0x87, 0x9E, 0x8F] if v5 else [0, 0, 0x80, 0x80, 0x80, 0x80, 0x80]
        assert (first, body) == (0x90, b"\0\x4d" + (b"\0" if v5 else b"") + bytes(codes))
        wait_until(lambda: gateway.subscribed == ["dev"])
        assert gateway.receipt("dev", b"receipt")
        first, body = client.read()
        assert (first, body) == (0x30, write_text(RECEIPTS) + (b"\0" if v5 else b"") + b"receipt")
        first, body = client.send(unsubscribe(RECEIPTS, "x", "st/1/dev/#", v5=v5, packet_id=78)).read()
        assert (first, body) == (0xB0, b"\0\x4e" + (b"\0\0\x11\0" if v5 else b""))
        assert not gateway.receipt("dev", b"receipt")
        assert not gateway.receipt("nobody", b"receipt")
    assert gateway.door.counters.receipts_dropped == 2


# Connecting


def connack_of(client: Raw) -> tuple[int, int, Properties]:
    first, body = client.read()
    assert first == 0x20
    return body[0], body[1], read_properties(Reader(body[2:]), Place.CONNACK)


def test_v5_connack_tells_what_is_offered(gateway: Gateway) -> None:
    with Raw(gateway.port).send(connect(v5=True, client_id="", keep_alive=0)) as client:
        present, reason, properties = connack_of(client)
        assert (present, reason) == (0, 0)
        assert properties.numbers == {
            Prop.RECEIVE_MAXIMUM: 2048,
            Prop.MAXIMUM_QOS: 1,
            Prop.RETAIN_AVAILABLE: 0,
            Prop.MAXIMUM_PACKET_SIZE: 262_144,
            Prop.TOPIC_ALIAS_MAXIMUM: 16,
            Prop.WILDCARD_AVAILABLE: 1,
            Prop.SUBSCRIPTION_ID_AVAILABLE: 0,
            Prop.SHARED_AVAILABLE: 0,
            Prop.SERVER_KEEP_ALIVE: 300,
        }
        assert properties.texts[Prop.ASSIGNED_CLIENT_ID].startswith("auto-")


def with_number(prop: Prop, value: int) -> Properties:
    return Properties(numbers={prop: value})


REFUSED = [
    ("wrong password", connect(v5=True, password=b"guess"), connect(v5=False, password=b"guess"), 0x86, 4),
    ("no login", connect(v5=True, flags=2)[:-17], connect(v5=False, flags=2)[:-17], 0x87, 5),
    (
        "will of another source",
        connect(v5=True, will=("st/1/other/status", b"")),
        connect(v5=False, will=("st/1/other/status", b"")),
        0x87,
        5,
    ),
    ("client id too long", connect(v5=True, client_id="x" * 257), connect(v5=False, client_id="x" * 257), 0x85, 2),
    ("fault of ours", connect("fault", v5=True), connect("fault", v5=False), 0x88, 3),
    ("unknown level", connect(v5=True, level=6), connect(v5=False, level=3, name=b"MQIsdp"), 0x84, 1),
]


def fixed_length(whole: bytes) -> bytes:
    """Repair the one-byte Remaining Length after a CONNECT was shortened."""
    return whole if whole[1] & 0x80 else whole[:1] + bytes((len(whole) - 2,)) + whole[2:]


@pytest.mark.parametrize(("new", "old", "reason", "code"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused_connects(gateway: Gateway, new: bytes, old: bytes, reason: int, code: int) -> None:
    with Raw(gateway.port).send(fixed_length(new)) as client:
        assert reason_of(client, 0x20) == reason
    with Raw(gateway.port).send(fixed_length(old)) as client:
        assert client.read() == (0x20, bytes((0, code)))
        assert client.closed()
    assert gateway.liveness.events == []
    wait_until(lambda: gateway.door.connections() == 0)


V5_REFUSED = [
    ("enhanced authentication", connect(v5=True, properties=Properties(texts={Prop.AUTH_METHOD: "x"})), 0x8C),
    ("tiny packets", connect(v5=True, properties=with_number(Prop.MAXIMUM_PACKET_SIZE, 20)), 0x95),
    ("will QoS 2", connect(v5=True, flags=0xD6, will=(STATUS, b"")), 0x9B),
    ("will retain", connect(v5=True, flags=0xE6, will=(STATUS, b"")), 0x9A),
    ("malformed", connect(v5=True, flags=0xC3), 0x81),
    ("protocol error", connect(v5=True, properties=with_number(Prop.RECEIVE_MAXIMUM, 0)), 0x82),
]


@pytest.mark.parametrize(("whole", "reason"), [c[1:] for c in V5_REFUSED], ids=[c[0] for c in V5_REFUSED])
def test_v5_refused_connects(gateway: Gateway, whole: bytes, reason: int) -> None:
    with Raw(gateway.port).send(whole) as client:
        assert reason_of(client, 0x20) == reason


@pytest.mark.parametrize(
    "whole",
    [
        publish(EVENTS, b"x", v5=False),
        PINGREQ,
        b"GET / HTTP/1.1\r\n\r\n",
        connect(v5=False, name=b"NOPE"),
        b"\x10\xff\x7f",
    ],
    ids=["publish first", "ping first", "another protocol", "protocol name", "huge CONNECT"],
)
def test_what_is_no_connect_is_closed_in_silence(gateway: Gateway, whole: bytes) -> None:
    with Raw(gateway.port).send(whole) as client:
        assert client.closed()


def test_v3_empty_client_id_needs_a_clean_session(gateway: Gateway) -> None:
    with Raw(gateway.port).send(connect(v5=False, client_id="", clean=False)) as client:
        assert client.read() == (0x20, b"\0\x02")
    with Raw(gateway.port).login(v5=False, client_id="") as client:
        assert client.send(PINGREQ).read() == (0xD0, b"")


def test_v3_session_is_kept_and_told_truthfully(gateway: Gateway) -> None:
    with Raw(gateway.port).login(v5=False, clean=False) as client:
        client.send(subscribe(RECEIPTS, v5=False), DISCONNECT).read()
        assert client.closed()
    with Raw(gateway.port).send(connect(v5=False, clean=False)) as client:
        assert client.read() == (0x20, b"\x01\0")
        assert gateway.receipt("dev", b"r")
        assert client.read()[0] == 0x30
    assert gateway.subscribed == ["dev", "dev"], "the gateway can state its position to a resumed session"
    with Raw(gateway.port).send(connect(v5=False, clean=True)) as client:
        assert client.read() == (0x20, b"\0\0")
        assert not gateway.receipt("dev", b"r")


def test_v5_session_lives_as_long_as_its_expiry(gateway: Gateway) -> None:
    kept = with_number(Prop.SESSION_EXPIRY, 60)
    with Raw(gateway.port).login(v5=True, properties=kept) as client:
        client.send(subscribe(RECEIPTS, v5=True), DISCONNECT).read()
        assert client.closed()
    with Raw(gateway.port).send(connect(v5=True, clean=False, properties=kept)) as client:
        assert connack_of(client)[0] == 1
        client.send(packet(0xE0, b"\0\x05\x11\0\0\0\0"))  # DISCONNECT with Session Expiry 0: forget me
        assert client.closed()
    with Raw(gateway.port).send(connect(v5=True, clean=False)) as client:
        assert connack_of(client)[0] == 0


def test_session_expiry_is_bounded_and_told() -> None:
    with (
        Gateway(FrontDoorLimits(session_expiry_s=100)) as gateway,
        Raw(gateway.port).send(connect(v5=True, properties=with_number(Prop.SESSION_EXPIRY, 0xFFFFFFFF))) as client,
    ):
        assert connack_of(client)[2].numbers[Prop.SESSION_EXPIRY] == 100


# Ending


def test_liveness_hears_of_clean_ends_and_wills(gateway: Gateway) -> None:
    will = (STATUS, b"died")
    with Raw(gateway.port).login(v5=False, will=will) as client:
        assert client.send(DISCONNECT).closed()
    with Raw(gateway.port).login(v5=True, will=will) as client:
        assert client.send(packet(0xE0, b"\x04")).closed()
    with Raw(gateway.port).login(v5=True, will=will):
        pass
    wait_until(lambda: len(gateway.liveness.events) == 6)
    assert gateway.liveness.events == [
        ("dev", "connected front", None),
        ("dev", "disconnected by the device", None),
        ("dev", "connected front", None),
        ("dev", "disconnected by the device", b"died"),
        ("dev", "connected front", None),
        ("dev", "connection lost", b"died"),
    ]


@both
def test_a_second_connection_takes_over(gateway: Gateway, v5: bool) -> None:
    with Raw(gateway.port).login(v5=v5, will=(STATUS, b"died")) as old, Raw(gateway.port).login(v5=v5) as new:
        if v5:
            assert reason_of(old) == Reason.TAKEN_OVER
        else:
            assert old.closed()
        assert new.send(publish(EVENTS, b"x", 1, v5=v5)).read() == puback(1)
        assert [event[1:] for event in gateway.liveness.events] == [
            ("connected front", None),
            ("taken over by another connection", b"died"),
            ("connected front", None),
        ]
        assert gateway.door.connected_sources() == {"dev"}


def test_a_revoked_source_is_put_out_and_nobody_else(gateway: Gateway) -> None:
    with Raw(gateway.port).login("dev", v5=True) as revoked, Raw(gateway.port).login("other", v5=True) as other:
        gateway.thread.call(gateway.door.put_out, "dev")
        assert reason_of(revoked) == Reason.NOT_AUTHORIZED
        assert other.send(PINGREQ).read() == (0xD0, b"")
        assert gateway.door.connected_sources() == {"other"}


def test_another_source_cannot_take_over(gateway: Gateway) -> None:
    with (
        Raw(gateway.port).login("dev", v5=True, client_id="same") as one,
        Raw(gateway.port).login("other", v5=True, client_id="same"),
    ):
        assert one.send(PINGREQ).read() == (0xD0, b"")
        assert gateway.door.connected_sources() == {"dev", "other"}


def test_stopping_says_so_and_sends_no_will() -> None:
    gateway = Gateway()
    with Raw(gateway.port).login(v5=True, will=(STATUS, b"died")) as client, Raw(gateway.port):
        gateway.close()
        assert reason_of(client) == Reason.SHUTTING_DOWN
    assert gateway.liveness.events[-1] == ("dev", "the gateway is stopping", None)
