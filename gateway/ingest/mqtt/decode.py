"""Strict parsing of what MQTT 5 and 3.1.1 clients send.

Trust boundary: input is untrusted; every function either returns a packet that obeys the specification or
raises an `MqttError` with the reason code for the peer. Lengths are checked before anything is copied.
Sources: MQTT 5.0 sections 2 and 3; MQTT 3.1.1 sections 2 and 3.
"""

from typing import Final

from gateway.ingest.mqtt.packets import Connect, Disconnect, Publish, Subscribe, Unsubscribe, Will
from gateway.ingest.mqtt.primitives import Reader
from gateway.ingest.mqtt.properties import Place, Prop, Properties, read_properties
from gateway.ingest.mqtt.reason import MalformedPacketError, ProtocolError, Reason

V3: Final = 4  # protocol level of MQTT 3.1.1
V5: Final = 5
MAX_FILTERS: Final = 16  # per SUBSCRIBE or UNSUBSCRIBE; a source has two topics to ask for
_RESERVED_OPTIONS_V5: Final = 0xC0
NO_PACKET_ID: Final = b"\0\0"


def read_frame(data: bytes, pos: int, limit: int) -> tuple[int, int] | None:
    """Where the body of the packet at `pos` begins and ends, or None while its length is not complete.

    The end may lie beyond `data`. Raises when the whole packet would exceed `limit` bytes (0x95).
    """
    size = len(data)
    length = shift = 0
    at = pos + 1
    while at < size:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise MalformedPacketError("the Remaining Length is longer than needed; use the shortest form")
            if at + length - pos > limit:
                raise MalformedPacketError(
                    f"the packet has {at + length - pos} bytes, the limit is {limit}; send smaller packets",
                    Reason.PACKET_TOO_LARGE,
                )
            return at, at + length
        shift += 7
        if shift > 21:
            raise MalformedPacketError("the Remaining Length is longer than four bytes")
    return None


def read_level(body: bytes) -> int:
    """The protocol level of a CONNECT, supported or not. 3 is MQTT 3.1 under its old name."""
    reader = Reader(body)
    name = reader.binary()
    level = reader.number(1)
    if name != b"MQTT" and (name, level) != (b"MQIsdp", 3):
        raise MalformedPacketError("the protocol name is not MQTT")
    return level


def read_connect(body: bytes) -> Connect:
    """CONNECT of a supported level; check that with `read_level` first."""
    reader = Reader(body)
    reader.binary()
    v5 = reader.number(1) == V5
    flags = reader.number(1)
    _check_connect_flags(flags, v5)
    keep_alive = reader.number(2)
    properties = read_properties(reader, Place.CONNECT) if v5 else Properties()
    if Prop.AUTH_DATA in properties.blobs and Prop.AUTH_METHOD not in properties.texts:
        raise ProtocolError("Authentication Data without Authentication Method")
    client_id = reader.text()
    will = _read_will(reader, flags, v5) if flags & 0x04 else None
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.finish()
    return Connect(v5, client_id, bool(flags & 0x02), keep_alive, username, password, will, properties)


def _check_connect_flags(flags: int, v5: bool) -> None:
    if flags & 0x01:
        raise MalformedPacketError("the reserved CONNECT flag must be 0")
    if not flags & 0x04 and flags & 0x38:
        raise MalformedPacketError("Will QoS and Will Retain must be 0 without a will")
    if flags & 0x18 == 0x18:
        raise MalformedPacketError("Will QoS must be 0, 1 or 2, not 3")
    if not v5 and flags & 0xC0 == 0x40:
        raise MalformedPacketError("MQTT 3.1.1 allows a password only with a user name")


def _read_will(reader: Reader, flags: int, v5: bool) -> Will:
    if v5:
        _check_response_topic(read_properties(reader, Place.WILL))
    topic = _topic_name(reader.text())
    if not topic:
        raise MalformedPacketError("the will topic must not be empty")
    return Will(topic, reader.binary(), flags >> 3 & 0x03, bool(flags & 0x20))


def read_publish(first: int, body: bytes, v5: bool) -> Publish:
    """PUBLISH. With MQTT 5 an empty topic needs an alias; whether the alias is known is for the caller."""
    qos = first >> 1 & 0x03
    if qos == 3:
        raise MalformedPacketError("QoS must be 0, 1 or 2, not 3")
    if qos == 0 and first & 0x08:
        raise MalformedPacketError("DUP must be 0 with QoS 0")
    reader = Reader(body)
    topic = _topic_name(reader.text())
    packet_id = _packet_id(reader) if qos else b""
    alias = 0
    if v5:
        properties = read_properties(reader, Place.PUBLISH)
        _check_response_topic(properties)
        alias = properties.numbers.get(Prop.TOPIC_ALIAS, 0)
    if not topic and not alias:
        raise ProtocolError("a PUBLISH needs a topic name or, in MQTT 5, a topic alias")
    return Publish(topic, packet_id, reader.rest(), qos, bool(first & 0x01), bool(first & 0x08), alias)


def read_subscribe(body: bytes, v5: bool) -> Subscribe:
    """SUBSCRIBE; at least one filter, at most MAX_FILTERS."""
    reader = Reader(body)
    packet_id = _packet_id(reader)
    properties = read_properties(reader, Place.SUBSCRIBE) if v5 else Properties()
    filters = []
    while reader.left:
        filters.append(reader.text())
        _check_options(reader.number(1), filters[-1], v5)
    _check_filters(filters)
    return Subscribe(packet_id, filters, Prop.SUBSCRIPTION_ID in properties.numbers)


def _check_options(options: int, topic_filter: str, v5: bool) -> None:
    if options & 0x03 == 3 or options & (_RESERVED_OPTIONS_V5 if v5 else 0xFC):
        raise MalformedPacketError(f"subscription options 0x{options:02x} set reserved bits or QoS 3")
    if options & 0x30 == 0x30:
        raise ProtocolError("Retain Handling must be 0, 1 or 2, not 3")
    if options & 0x04 and topic_filter.startswith("$share/"):
        raise ProtocolError("No Local must be 0 on a shared subscription")


def read_unsubscribe(body: bytes, v5: bool) -> Unsubscribe:
    """UNSUBSCRIBE; at least one filter, at most MAX_FILTERS."""
    reader = Reader(body)
    packet_id = _packet_id(reader)
    if v5:
        read_properties(reader, Place.UNSUBSCRIBE)
    filters = []
    while reader.left:
        filters.append(reader.text())
    _check_filters(filters)
    return Unsubscribe(packet_id, filters)


def read_disconnect(body: bytes, v5: bool) -> Disconnect:
    """DISCONNECT; MQTT 5 may leave out the reason (0x00) and the properties."""
    reader = Reader(body)
    reason = reader.number(1) if v5 and body else 0
    expiry = None
    if v5 and reader.left:
        expiry = read_properties(reader, Place.DISCONNECT).numbers.get(Prop.SESSION_EXPIRY)
    reader.finish()
    return Disconnect(reason, expiry)


def _packet_id(reader: Reader) -> bytes:
    packet_id = reader.take(2)
    if packet_id == NO_PACKET_ID:
        raise ProtocolError("the packet identifier must not be 0")
    return packet_id


def _topic_name(topic: str) -> str:
    if "+" in topic or "#" in topic:
        raise ProtocolError("a topic name must not hold wildcards", Reason.TOPIC_INVALID)
    return topic


def _check_response_topic(properties: Properties) -> None:
    topic = properties.texts.get(Prop.RESPONSE_TOPIC)
    if topic is not None and not _topic_name(topic):
        raise ProtocolError("a Response Topic must not be empty; leave the property out")


def _check_filters(filters: list[str]) -> None:
    if not filters:
        raise ProtocolError("expected at least one topic filter, none came")
    if len(filters) > MAX_FILTERS:
        raise ProtocolError(f"{len(filters)} topic filters, the limit is {MAX_FILTERS}", Reason.QUOTA_EXCEEDED)
    if "" in filters:
        raise MalformedPacketError("a topic filter must not be empty")
