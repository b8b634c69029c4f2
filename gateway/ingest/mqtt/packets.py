"""The packets of MQTT 5 and 3.1.1 that a client sends, parsed. Plain values; `decode` makes them."""

from dataclasses import dataclass

from gateway.ingest.mqtt.properties import Properties


@dataclass(frozen=True, slots=True)
class Will:
    """What a client asks to be told to others when it dies."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """CONNECT (section 3.1). `keep_alive` in seconds, 0 = none asked. `clean` is Clean Start / Clean Session."""

    v5: bool
    client_id: str
    clean: bool
    keep_alive: int
    username: str | None
    password: bytes | None
    will: Will | None
    properties: Properties


@dataclass(frozen=True, slots=True)
class Publish:
    """PUBLISH (section 3.3). `packet_id` is two bytes as sent, empty for QoS 0; `alias` 0 = none."""

    topic: str
    packet_id: bytes
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    alias: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE (section 3.8): filters in order; the options byte of each has been checked."""

    packet_id: bytes
    filters: list[str]
    has_identifier: bool


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE (section 3.10)."""

    packet_id: bytes
    filters: list[str]


@dataclass(frozen=True, slots=True)
class Disconnect:
    """DISCONNECT (section 3.14). `expiry_s` is None when the client does not change its session expiry."""

    reason: int
    expiry_s: int | None
