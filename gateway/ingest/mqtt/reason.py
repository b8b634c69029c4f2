"""MQTT reason codes, and the errors that carry them to the peer.

Source: MQTT 5.0 (OASIS, 2019) section 2.4; MQTT 3.1.1 section 3.2.2.3. Holds no data, so trusts none.
"""

from enum import IntEnum

from crypto.errors import FormatError


class Reason(IntEnum):
    """The reason codes this endpoint sends or understands (MQTT 5.0 section 2.4)."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED = 0x80
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_VERSION = 0x84
    BAD_CLIENT_ID = 0x85
    BAD_LOGIN = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SHUTTING_DOWN = 0x8B
    BAD_AUTH_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    TAKEN_OVER = 0x8E
    FILTER_INVALID = 0x8F
    TOPIC_INVALID = 0x90
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    SHARED_NOT_SUPPORTED = 0x9E
    SUBSCRIPTION_ID_NOT_SUPPORTED = 0xA1


# MQTT 3.1.1 section 3.2.2.3 has five refusals; for any other reason the connection is closed without CONNACK.
CONNACK_V3 = {
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.BAD_CLIENT_ID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.QUOTA_EXCEEDED: 3,
    Reason.BAD_LOGIN: 4,
    Reason.NOT_AUTHORIZED: 5,
}


class MqttError(FormatError):
    """A packet that ends the connection; `reason` is what an MQTT 5 peer is told."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MalformedPacketError(MqttError):
    """Bytes that are no MQTT packet (MQTT 5.0 section 4.13.1)."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(reason, message)


class ProtocolError(MqttError):
    """A well-formed packet that is not allowed here or now."""

    def __init__(self, message: str, reason: Reason = Reason.PROTOCOL_ERROR) -> None:
        super().__init__(reason, message)


class RefusedError(MqttError):
    """A correct request that this endpoint does not grant: login, capacity, an unoffered feature."""
