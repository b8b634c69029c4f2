"""Runs of PUBLISH packets as devices send them: QoS 1, one topic, no properties; by the native core where it was built.

Trust boundary: untrusted bytes. What is not in this form is left where it is, for the strict way. Sources: MQTT 5.0
and 3.1.1 section 3.3.
"""

from gateway.ingest.mqtt.decode import NO_PACKET_ID, read_frame
from gateway.ingest.mqtt.reason import MqttError


def _burst(
    data: bytes, pos: int, topic: bytes, v5: bool, most: int, room: int, limit: int
) -> tuple[list[bytes], bytes, int, int]:
    """The payloads from `pos` on, their packet identifiers joined, bytes of the payloads, and where the first packet
    begins that is of another form, not whole, or one too many. `topic` is as on the wire; at most `most` packets of
    at most `limit` bytes each, and none more once their payloads have `room` bytes."""
    payloads: list[bytes] = []
    identifiers: list[bytes] = []
    size = 0
    while len(payloads) < most and size < room and (packet := _publish(data, pos, topic, v5, limit)):
        identifier, payload, pos = packet
        identifiers.append(identifier)
        payloads.append(payload)
        size += len(payload)
    return payloads, b"".join(identifiers), size, pos


def _publish(data: bytes, pos: int, topic: bytes, v5: bool, limit: int) -> tuple[bytes, bytes, int] | None:
    """Identifier, payload, and the end of one packet."""
    try:
        frame = read_frame(data, pos, limit)
    except MqttError:
        return None
    if frame is None or frame[1] > len(data) or data[pos] & 0xF7 != 0x32 or not data.startswith(topic, frame[0]):
        return None
    at, end = frame[0] + len(topic), frame[1]
    identifier, payload = data[at : at + 2], at + 2 + v5
    if payload > end or identifier == NO_PACKET_ID or (v5 and data[payload - 1]):
        return None
    return identifier, data[payload:end], end


try:
    from crypto.sealtrail_native import burst as burst
except ImportError:  # no Rust compiler was there: slower, not different
    burst = _burst
