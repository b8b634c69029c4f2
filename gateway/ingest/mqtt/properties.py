"""MQTT 5 properties: which exist, where they may stand, how they are read and written.

Trust boundary: reads untrusted bytes. Bad encodings and identifiers that do not exist or do not belong in their
packet are malformed (0x81, section 2.2.2.2); duplicates and values the specification forbids are protocol errors
(0x82).
Source: MQTT 5.0 section 2.2.2 and table 2-4.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from typing import Final

from gateway.ingest.mqtt.primitives import Reader, write_binary, write_text, write_varint
from gateway.ingest.mqtt.reason import MalformedPacketError, ProtocolError, Reason


class Prop(IntEnum):
    """Property identifiers."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTH_METHOD = 0x15
    AUTH_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_ID_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


class Place(Enum):
    """Where a property list stands. The first six come from clients, CONNACK is ours."""

    CONNECT = auto()
    WILL = auto()
    PUBLISH = auto()
    SUBSCRIBE = auto()
    UNSUBSCRIBE = auto()
    DISCONNECT = auto()
    CONNACK = auto()


WIDTHS: Final = {
    Prop.PAYLOAD_FORMAT: 1,
    Prop.MESSAGE_EXPIRY: 4,
    Prop.SESSION_EXPIRY: 4,
    Prop.SERVER_KEEP_ALIVE: 2,
    Prop.REQUEST_PROBLEM_INFORMATION: 1,
    Prop.WILL_DELAY: 4,
    Prop.REQUEST_RESPONSE_INFORMATION: 1,
    Prop.RECEIVE_MAXIMUM: 2,
    Prop.TOPIC_ALIAS_MAXIMUM: 2,
    Prop.TOPIC_ALIAS: 2,
    Prop.MAXIMUM_QOS: 1,
    Prop.RETAIN_AVAILABLE: 1,
    Prop.MAXIMUM_PACKET_SIZE: 4,
    Prop.WILDCARD_AVAILABLE: 1,
    Prop.SUBSCRIPTION_ID_AVAILABLE: 1,
    Prop.SHARED_AVAILABLE: 1,
}
TEXTS: Final = frozenset(
    {
        Prop.CONTENT_TYPE,
        Prop.RESPONSE_TOPIC,
        Prop.ASSIGNED_CLIENT_ID,
        Prop.AUTH_METHOD,
        Prop.REASON_STRING,
    }
)
_MESSAGE: Final = frozenset(
    {
        Prop.PAYLOAD_FORMAT,
        Prop.MESSAGE_EXPIRY,
        Prop.CONTENT_TYPE,
        Prop.RESPONSE_TOPIC,
        Prop.CORRELATION_DATA,
        Prop.USER_PROPERTY,
    }
)
ALLOWED: Final = {
    Place.CONNECT: frozenset(
        {
            Prop.SESSION_EXPIRY,
            Prop.AUTH_METHOD,
            Prop.AUTH_DATA,
            Prop.REQUEST_PROBLEM_INFORMATION,
            Prop.REQUEST_RESPONSE_INFORMATION,
            Prop.RECEIVE_MAXIMUM,
            Prop.TOPIC_ALIAS_MAXIMUM,
            Prop.USER_PROPERTY,
            Prop.MAXIMUM_PACKET_SIZE,
        }
    ),
    Place.WILL: _MESSAGE | {Prop.WILL_DELAY},
    Place.PUBLISH: _MESSAGE | {Prop.TOPIC_ALIAS},
    Place.SUBSCRIBE: frozenset({Prop.SUBSCRIPTION_ID, Prop.USER_PROPERTY}),
    Place.UNSUBSCRIBE: frozenset({Prop.USER_PROPERTY}),
    Place.DISCONNECT: frozenset({Prop.SESSION_EXPIRY, Prop.REASON_STRING, Prop.USER_PROPERTY}),
    Place.CONNACK: frozenset(
        {
            Prop.SESSION_EXPIRY,
            Prop.ASSIGNED_CLIENT_ID,
            Prop.SERVER_KEEP_ALIVE,
            Prop.REASON_STRING,
            Prop.RECEIVE_MAXIMUM,
            Prop.TOPIC_ALIAS_MAXIMUM,
            Prop.MAXIMUM_QOS,
            Prop.RETAIN_AVAILABLE,
            Prop.USER_PROPERTY,
            Prop.MAXIMUM_PACKET_SIZE,
            Prop.WILDCARD_AVAILABLE,
            Prop.SUBSCRIPTION_ID_AVAILABLE,
            Prop.SHARED_AVAILABLE,
        }
    ),
}
# Every property of one byte is 0 or 1.
_FLAGS: Final = frozenset(prop for prop, width in WIDTHS.items() if width == 1)
_NOT_ZERO: Final = {
    Prop.RECEIVE_MAXIMUM: Reason.PROTOCOL_ERROR,
    Prop.MAXIMUM_PACKET_SIZE: Reason.PROTOCOL_ERROR,
    Prop.SUBSCRIPTION_ID: Reason.PROTOCOL_ERROR,
    Prop.TOPIC_ALIAS: Reason.ALIAS_INVALID,
}


@dataclass(frozen=True, slots=True)
class Properties:
    """One property list, by type of value. User properties keep their order and may repeat."""

    numbers: dict[Prop, int] = field(default_factory=dict)
    texts: dict[Prop, str] = field(default_factory=dict)
    blobs: dict[Prop, bytes] = field(default_factory=dict)
    user: list[tuple[str, str]] = field(default_factory=list)


def read_properties(reader: Reader, place: Place) -> Properties:
    """Read a property length and the properties under it, strictly."""
    inner = Reader(reader.take(reader.varint()))
    found = Properties()
    while inner.left:
        identifier = inner.varint()
        try:
            prop = Prop(identifier)
        except ValueError as e:
            raise MalformedPacketError(f"property 0x{identifier:02x} does not exist in MQTT 5") from e
        if prop is Prop.SUBSCRIPTION_ID and place is Place.PUBLISH:  # may stand there, but not from a client
            raise ProtocolError("a client must not send a Subscription Identifier in PUBLISH; leave it out")
        if prop not in ALLOWED[place]:
            raise MalformedPacketError(f"property {prop.name} may not stand in {place.name}; leave it out")
        if prop in found.numbers or prop in found.texts or prop in found.blobs:
            raise ProtocolError(f"property {prop.name} stands twice in {place.name}; send it once")
        _read_value(inner, prop, found)
    return found


def _read_value(reader: Reader, prop: Prop, found: Properties) -> None:
    if prop in WIDTHS or prop is Prop.SUBSCRIPTION_ID:
        value = reader.varint() if prop is Prop.SUBSCRIPTION_ID else reader.number(WIDTHS[prop])
        _check_number(prop, value)
        found.numbers[prop] = value
    elif prop in TEXTS:
        found.texts[prop] = reader.text()
    elif prop is Prop.USER_PROPERTY:
        found.user.append((reader.text(), reader.text()))
    else:
        found.blobs[prop] = reader.binary()


def _check_number(prop: Prop, value: int) -> None:
    if value > 1 and prop in _FLAGS:
        raise ProtocolError(f"property {prop.name} must be 0 or 1, not {value}")
    if value == 0 and prop in _NOT_ZERO:
        raise ProtocolError(f"property {prop.name} must not be 0", _NOT_ZERO[prop])


def write_properties(properties: Properties) -> bytes:
    """The property length and the properties; the mirror of `read_properties`."""
    out = bytearray()
    for prop, number in properties.numbers.items():
        out.append(prop)
        out += write_varint(number) if prop is Prop.SUBSCRIPTION_ID else number.to_bytes(WIDTHS[prop], "big")
    for prop, text in properties.texts.items():
        out.append(prop)
        out += write_text(text)
    for prop, blob in properties.blobs.items():
        out.append(prop)
        out += write_binary(blob)
    for name, value in properties.user:
        out.append(Prop.USER_PROPERTY)
        out += write_text(name) + write_text(value)
    return write_varint(len(out)) + bytes(out)
