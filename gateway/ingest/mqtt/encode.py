"""Building the packets that the front door sends, for MQTT 5 and 3.1.1. Input is our own; nothing is trusted.

Sources: MQTT 5.0 sections 3.2, 3.3, 3.9, 3.11 and 3.14; MQTT 3.1.1 the same sections.
"""

from collections.abc import Sequence
from typing import Final

from gateway.ingest.mqtt.primitives import write_text, write_varint
from gateway.ingest.mqtt.properties import Prop, Properties, write_properties
from gateway.ingest.mqtt.reason import CONNACK_V3, Reason

PUBACK_STORED: Final = b"\x40\x02"  # followed by the packet identifier; the same bytes in both versions
PUBACK_REASON: Final = b"\x40\x03"  # followed by packet identifier and reason code, MQTT 5 only
PINGRESP: Final = b"\xd0\x00"


def packet(first: int, body: bytes) -> bytes:
    """A whole packet: first byte, Remaining Length, body."""
    return bytes((first,)) + write_varint(len(body)) + body


def connack(v5: bool, present: bool, properties: Properties) -> bytes:
    """The CONNACK that accepts; MQTT 3.1.1 has no properties."""
    body = bytes((present, Reason.SUCCESS))
    return packet(0x20, body + write_properties(properties) if v5 else body)


def connack_refused(v5: bool, reason: Reason, text: str) -> bytes:
    """The CONNACK that refuses; empty where MQTT 3.1.1 has no code for the reason and just closes."""
    if v5:
        return packet(0x20, bytes((0, reason)) + write_properties(_reason_string(text)))
    code = CONNACK_V3.get(reason)
    return b"" if code is None else packet(0x20, bytes((0, code)))


def publish_qos0(v5: bool, topic: str, payload: bytes) -> bytes:
    """A PUBLISH with QoS 0 and no properties."""
    return packet(0x30, write_text(topic) + (b"\0" if v5 else b"") + payload)


def pubacks(identifiers: bytes) -> list[bytes]:
    """The PUBACK of each identifier (two bytes) of what is stored, in two pieces."""
    out = [PUBACK_STORED] * len(identifiers)
    out[1::2] = [identifiers[i : i + 2] for i in range(0, len(identifiers), 2)]
    return out


def suback(v5: bool, packet_id: bytes, codes: Sequence[int]) -> bytes:
    """One code for each filter; MQTT 3.1.1 knows only 0x80 for failure."""
    if v5:
        return packet(0x90, packet_id + b"\0" + bytes(codes))
    return packet(0x90, packet_id + bytes(min(code, 0x80) for code in codes))


def unsuback(v5: bool, packet_id: bytes, codes: Sequence[int]) -> bytes:
    """MQTT 3.1.1 has no codes here."""
    return packet(0xB0, packet_id + b"\0" + bytes(codes) if v5 else packet_id)


def disconnect_v5(reason: Reason, text: str, limit: int) -> bytes:
    """DISCONNECT from the server, MQTT 5 only; the reason string is left out if the peer could not take it."""
    full = packet(0xE0, bytes((reason,)) + write_properties(_reason_string(text)))
    return full if len(full) <= limit else packet(0xE0, bytes((reason,)))


def _reason_string(text: str) -> Properties:
    return Properties(texts={Prop.REASON_STRING: text}) if text else Properties()
