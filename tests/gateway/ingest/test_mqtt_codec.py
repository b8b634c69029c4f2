"""The MQTT parser and builders alone: laws, and every field that can be wrong."""

import contextlib
import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_support import connect, packet, publish, subscribe, unsubscribe

from gateway.ingest.mqtt import encode
from gateway.ingest.mqtt.decode import (
    MAX_FILTERS,
    read_connect,
    read_disconnect,
    read_frame,
    read_level,
    read_publish,
    read_subscribe,
    read_unsubscribe,
)
from gateway.ingest.mqtt.primitives import MAX_VARINT, Reader, write_binary, write_text, write_varint
from gateway.ingest.mqtt.properties import ALLOWED, TEXTS, WIDTHS, Place, Prop, Properties, read_properties
from gateway.ingest.mqtt.properties import write_properties as write
from gateway.ingest.mqtt.reason import MqttError, Reason

LIMIT = 1 << 20
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
TOPIC = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=40)


def body_of(whole: bytes) -> bytes:
    frame = read_frame(whole, 0, LIMIT)
    assert frame is not None
    assert frame[1] == len(whole)
    return whole[frame[0] :]


@st.composite
def property_lists(draw: st.DrawFn, place: Place) -> Properties:
    single = sorted(ALLOWED[place] - {Prop.USER_PROPERTY})
    chosen = draw(st.sets(st.sampled_from(single))) if single else set()
    found = Properties(user=draw(st.lists(st.tuples(TEXT, TEXT), max_size=3)))
    for prop in chosen:
        if prop in WIDTHS:
            top = 1 if WIDTHS[prop] == 1 else 256 ** WIDTHS[prop] - 1
            found.numbers[prop] = draw(st.integers(0 if WIDTHS[prop] == 1 else 1, top))
        elif prop is Prop.SUBSCRIPTION_ID:
            found.numbers[prop] = draw(st.integers(1, MAX_VARINT))
        elif prop in TEXTS:
            found.texts[prop] = draw(TOPIC)
        else:
            found.blobs[prop] = draw(st.binary(max_size=20))
    return found


@given(st.integers(0, MAX_VARINT))
def test_varint_round_trip(value: int) -> None:
    reader = Reader(write_varint(value))
    assert reader.varint() == value
    reader.finish()


@given(st.data(), st.sampled_from(list(Place)))
def test_properties_round_trip(data: st.DataObject, place: Place) -> None:
    properties = data.draw(property_lists(place))
    reader = Reader(write(properties))
    assert read_properties(reader, place) == properties
    reader.finish()


@given(TOPIC, st.binary(max_size=300), st.integers(1, 65535), st.booleans(), st.booleans(), st.data())
def test_publish_round_trip(topic: str, payload: bytes, number: int, dup: bool, v5: bool, data: st.DataObject) -> None:
    properties = data.draw(property_lists(Place.PUBLISH)) if v5 else Properties()
    first = 0x32 | (0x08 if dup else 0)
    read = read_publish(first, body_of(publish(topic, payload, number, v5=v5, first=first, properties=properties)), v5)
    alias = properties.numbers.get(Prop.TOPIC_ALIAS, 0)
    assert dataclasses.astuple(read) == (topic, number.to_bytes(2, "big"), payload, 1, False, dup, alias)


@given(TOPIC, st.binary(max_size=300), st.booleans())
def test_what_we_publish_can_be_read(topic: str, payload: bytes, v5: bool) -> None:
    whole = encode.publish_qos0(v5, topic, payload)
    read = read_publish(whole[0], body_of(whole), v5)
    assert (read.topic, read.payload, read.qos, read.packet_id) == (topic, payload, 0, b"")


@given(TEXT, st.booleans(), st.integers(0, 65535), st.booleans(), st.none() | st.tuples(TOPIC, st.binary(max_size=99)))
def test_connect_round_trip(
    client_id: str, clean: bool, keep_alive: int, v5: bool, will: tuple[str, bytes] | None
) -> None:
    body = body_of(connect("dev", v5=v5, client_id=client_id, clean=clean, keep_alive=keep_alive, will=will))
    read = read_connect(body)
    assert read_level(body) == (5 if v5 else 4)
    assert (read.v5, read.client_id, read.clean, read.keep_alive) == (v5, client_id, clean, keep_alive)
    assert (read.username, read.password) == ("dev", b"secret-dev")
    assert (read.will and (read.will.topic, read.will.payload)) == will


@given(st.lists(TOPIC, min_size=1, max_size=MAX_FILTERS), st.integers(1, 65535), st.booleans())
def test_subscribe_and_unsubscribe_round_trip(filters: list[str], number: int, v5: bool) -> None:
    wanted = number.to_bytes(2, "big")
    read = read_subscribe(body_of(subscribe(*filters, v5=v5, packet_id=number)), v5)
    assert (read.packet_id, read.filters) == (wanted, filters)
    gone = read_unsubscribe(body_of(unsubscribe(*filters, v5=v5, packet_id=number)), v5)
    assert (gone.packet_id, gone.filters) == (wanted, filters)


def parse_anything(data: bytes) -> None:
    """Put the bytes through every reader; only MqttError may come out."""
    readers: list[Callable[[], object]] = [lambda: read_frame(data, 0, LIMIT), lambda: read_level(data)]
    readers.append(lambda: read_connect(data))
    for v5 in (False, True):
        readers += [
            lambda v5=v5: read_publish(data[0] if data else 0x32, data, v5),  # type: ignore[misc]
            lambda v5=v5: read_subscribe(data, v5),  # type: ignore[misc]
            lambda v5=v5: read_unsubscribe(data, v5),  # type: ignore[misc]
            lambda v5=v5: read_disconnect(data, v5),  # type: ignore[misc]
        ]
    for read in readers:
        with contextlib.suppress(MqttError):
            read()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    parse_anything(data)


VALID = [
    body_of(whole)
    for v5 in (False, True)
    for whole in (
        connect("dev", v5=v5, will=("st/1/dev/status", b"gone")),
        publish("st/1/dev/events", b"payload", 7, v5=v5),
        subscribe("st/1/dev/receipts", "st/1/dev/#", v5=v5),
        unsubscribe("st/1/dev/receipts", v5=v5),
    )
]


@given(st.sampled_from(VALID), st.data())
def test_damaged_packets_raise_only_our_errors(body: bytes, data: st.DataObject) -> None:
    damaged = bytearray(body[: data.draw(st.integers(0, len(body)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    parse_anything(bytes(damaged))


@pytest.mark.parametrize("body", VALID, ids=range(len(VALID)))
def test_every_truncation_of_connect_and_subscribe_is_refused(body: bytes) -> None:
    if body[2:6] == b"MQTT":
        for cut in range(len(body)):
            with pytest.raises(MqttError):
                read_connect(body[:cut])


@given(st.binary(max_size=5), st.integers(1, 400))
def test_a_frame_is_complete_only_with_its_last_length_byte(tail: bytes, length: int) -> None:
    header = b"\x32" + write_varint(length)
    for cut in range(1, len(header)):
        assert read_frame(header[:cut], 0, LIMIT) is None
    assert read_frame(b"xx" + header + tail, 2, LIMIT) == (2 + len(header), 2 + len(header) + length)


ID = b"\0\x01"
T = write_text("st/1/dev/events")
MALFORMED, PROTOCOL = Reason.MALFORMED, Reason.PROTOCOL_ERROR


def connect_body(**options: object) -> bytes:
    return body_of(connect("dev", **options))  # type: ignore[arg-type]


def listed(raw: bytes) -> bytes:
    return write_varint(len(raw)) + raw


def connect_with(properties: bytes) -> bytes:
    return b"\0\x04MQTT\x05\xc2\0\x3c" + listed(properties) + b"\0\x01c\0\x03dev\0\x01p"


BAD: list[tuple[str, Callable[[], object], Reason]] = [
    ("remaining length of five bytes", lambda: read_frame(b"\x32\x80\x80\x80\x80\x01", 0, LIMIT), MALFORMED),
    ("remaining length not shortest", lambda: read_frame(b"\x32\x81\x00x", 0, LIMIT), MALFORMED),
    ("packet over the limit", lambda: read_frame(packet(0x32, bytes(99)), 0, 100), Reason.PACKET_TOO_LARGE),
    ("protocol name", lambda: read_level(connect_body(v5=True, name=b"MQTX")), MALFORMED),
    ("old name with new level", lambda: read_level(connect_body(v5=False, name=b"MQIsdp")), MALFORMED),
    ("connect reserved flag", lambda: read_connect(connect_body(v5=True, flags=0xC3)), MALFORMED),
    ("will QoS without will", lambda: read_connect(connect_body(v5=False, flags=0xCA)), MALFORMED),
    ("will retain without will", lambda: read_connect(connect_body(v5=False, flags=0xE2)), MALFORMED),
    (
        "will QoS 3",
        lambda: read_connect(connect_body(v5=True, flags=0xDE, will=("st/1/dev/status", b""))),
        MALFORMED,
    ),
    ("will topic empty", lambda: read_connect(connect_body(v5=False, will=("", b""))), MALFORMED),
    ("will topic wildcard", lambda: read_connect(connect_body(v5=True, will=("a/#", b""))), Reason.TOPIC_INVALID),
    ("3.1.1 password without name", lambda: read_connect(connect_body(v5=False, flags=0x42)), MALFORMED),
    ("bytes after CONNECT", lambda: read_connect(connect_body(v5=False) + b"x"), MALFORMED),
    ("client id with U+0000", lambda: read_connect(connect_body(v5=False, client_id="a\0b")), MALFORMED),
    (
        "client id not UTF-8",
        lambda: read_connect(connect_body(v5=False).replace(b"\0\x03dev", b"\0\x03d\xffv", 1)),
        MALFORMED,
    ),
    (
        "client id with surrogate",
        lambda: read_connect(connect_body(v5=False).replace(b"\0\x03dev", b"\0\x03\xed\xa0\x80", 1)),
        MALFORMED,
    ),
    ("unknown property", lambda: read_connect(connect_with(b"\x7f\0")), MALFORMED),
    ("property of another packet", lambda: read_connect(connect_with(b"\x23\0\x01")), MALFORMED),
    ("property twice", lambda: read_connect(connect_with(b"\x11\0\0\0\1" * 2)), PROTOCOL),
    ("receive maximum 0", lambda: read_connect(connect_with(b"\x21\0\0")), PROTOCOL),
    ("maximum packet size 0", lambda: read_connect(connect_with(b"\x27\0\0\0\0")), PROTOCOL),
    ("request problem information 2", lambda: read_connect(connect_with(b"\x17\x02")), PROTOCOL),
    ("auth data without method", lambda: read_connect(connect_with(b"\x16\0\x01x")), PROTOCOL),
    ("property cut short", lambda: read_connect(connect_with(b"\x11\0\0")), MALFORMED),
    ("property length not shortest", lambda: read_publish(0x32, T + ID + b"\x80\0", True), MALFORMED),
    ("property length too long", lambda: read_publish(0x32, T + ID + b"\x7f", True), MALFORMED),
    ("QoS 3", lambda: read_publish(0x36, T + ID, False), MALFORMED),
    ("DUP with QoS 0", lambda: read_publish(0x38, T, False), MALFORMED),
    ("packet identifier 0", lambda: read_publish(0x32, T + b"\0\0", False), PROTOCOL),
    ("packet identifier missing", lambda: read_publish(0x32, T + b"\0", False), MALFORMED),
    ("topic longer than packet", lambda: read_publish(0x32, b"\xff\xffabc", False), MALFORMED),
    ("topic wildcard", lambda: read_publish(0x30, write_text("st/+"), False), Reason.TOPIC_INVALID),
    ("topic with U+0000", lambda: read_publish(0x30, write_text("a\0"), False), MALFORMED),
    ("topic empty, 3.1.1", lambda: read_publish(0x32, b"\0\0" + ID, False), PROTOCOL),
    ("topic empty, no alias", lambda: read_publish(0x32, b"\0\0" + ID + b"\0", True), PROTOCOL),
    ("topic alias 0", lambda: read_publish(0x32, T + ID + listed(b"\x23\0\0"), True), Reason.ALIAS_INVALID),
    ("payload format 2", lambda: read_publish(0x32, T + ID + listed(b"\x01\x02"), True), PROTOCOL),
    (
        "response topic wildcard",
        lambda: read_publish(0x32, T + ID + listed(b"\x08" + write_text("#")), True),
        Reason.TOPIC_INVALID,
    ),
    ("subscription id in PUBLISH", lambda: read_publish(0x32, T + ID + listed(b"\x0b\x01"), True), PROTOCOL),
    ("subscribe without filter", lambda: read_subscribe(ID, False), PROTOCOL),
    ("subscribe to empty filter", lambda: read_subscribe(body_of(subscribe("", v5=True)), True), MALFORMED),
    ("subscribe with id 0", lambda: read_subscribe(body_of(subscribe("a", v5=True, packet_id=0)), True), PROTOCOL),
    ("subscribe QoS 3", lambda: read_subscribe(body_of(subscribe("a", v5=False, options=3)), False), MALFORMED),
    ("3.1.1 reserved options", lambda: read_subscribe(body_of(subscribe("a", v5=False, options=4)), False), MALFORMED),
    ("5 reserved options", lambda: read_subscribe(body_of(subscribe("a", v5=True, options=0x40)), True), MALFORMED),
    ("retain handling 3", lambda: read_subscribe(body_of(subscribe("a", v5=True, options=0x31)), True), PROTOCOL),
    ("no local, shared", lambda: read_subscribe(body_of(subscribe("$share/g/a", v5=True, options=5)), True), PROTOCOL),
    ("subscribe without options", lambda: read_subscribe(ID + write_text("a"), False), MALFORMED),
    ("subscription id 0", lambda: read_subscribe(ID + listed(b"\x0b\0") + write_text("a") + b"\1", True), PROTOCOL),
    (
        "too many filters",
        lambda: read_subscribe(body_of(subscribe(*"a" * (MAX_FILTERS + 1), v5=False)), False),
        Reason.QUOTA_EXCEEDED,
    ),
    ("unsubscribe without filter", lambda: read_unsubscribe(ID, False), PROTOCOL),
    ("unsubscribe cut short", lambda: read_unsubscribe(ID + b"\0\x05ab", False), MALFORMED),
    ("3.1.1 DISCONNECT with a body", lambda: read_disconnect(b"\0", False), MALFORMED),
    ("bytes after DISCONNECT", lambda: read_disconnect(b"\0\0x", True), MALFORMED),
    (
        "DISCONNECT with server reference",
        lambda: read_disconnect(b"\0" + listed(b"\x1c" + write_binary(b"x")), True),
        MALFORMED,
    ),
]


@pytest.mark.parametrize(("read", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_field_is_refused_with_its_reason(read: Callable[[], object], reason: Reason) -> None:
    with pytest.raises(MqttError) as caught:
        read()
    assert caught.value.reason == reason
