"""From a parsed CONNECT to an admitted source, or a refusal.

Trust boundary: before `admit` returns, the peer is nobody. Its name is what the authenticator says, never what
the packet says. Sources: MQTT 5.0 section 3.1.4, MQTT 3.1.1 section 3.1.4.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from gateway.ingest.inbound import Login
from gateway.ingest.mqtt.limits import MIN_PEER_PACKET, FrontDoorLimits
from gateway.ingest.mqtt.packets import Connect, Will
from gateway.ingest.mqtt.properties import Prop, Properties
from gateway.ingest.mqtt.reason import Reason, RefusedError
from gateway.ingest.mqtt.registry import Registry
from gateway.ingest.mqtt.session import SessionKey
from gateway.ingest.mqtt.topics import is_source, status_topic

MAX_NAME: Final = 256  # characters of a client identifier or user name
NO_LIMIT: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted client. `keep_alive_s` 0 = none; `peer_packet` the largest packet it takes, in bytes."""

    key: SessionKey
    assigned: bool  # the client identifier was made by us
    keep_alive_s: int
    expiry_s: int
    peer_packet: int
    will: bytes | None


def admit(connect: Connect, certificate_name: str | None, registry: Registry) -> Admission:
    """Check a CONNECT in order; raises RefusedError with the reason for CONNACK."""
    # 1. What we never offer, before any work.
    _check_features(connect)
    # 2. Names within bounds.
    client_id = _client_id(connect)
    # 3. Who is it?
    source = _authenticate(connect, client_id, certificate_name, registry)
    # 4. A will speaks only for its own source.
    will = _own_will(connect.will, source)
    # 5. Room.
    key = SessionKey(source, client_id)
    if not registry.has_room(key):
        raise RefusedError(Reason.QUOTA_EXCEEDED, "the gateway has no room for another connection; retry later")
    limits = registry.limits
    peer_packet = connect.properties.numbers.get(Prop.MAXIMUM_PACKET_SIZE, NO_LIMIT)
    return Admission(
        key, not connect.client_id, _keep_alive(connect, limits), _expiry(connect, limits), peer_packet, will
    )


def _check_features(connect: Connect) -> None:
    if Prop.AUTH_METHOD in connect.properties.texts:
        raise RefusedError(Reason.BAD_AUTH_METHOD, "no enhanced authentication here; use password or certificate")
    if connect.properties.numbers.get(Prop.MAXIMUM_PACKET_SIZE, NO_LIMIT) < MIN_PEER_PACKET:
        raise RefusedError(Reason.PACKET_TOO_LARGE, f"Maximum Packet Size must be {MIN_PEER_PACKET} or more")
    will = connect.will
    if will is not None and connect.v5 and will.qos > 1:
        raise RefusedError(Reason.QOS_NOT_SUPPORTED, "Will QoS must be 0 or 1")
    if will is not None and connect.v5 and will.retain:
        raise RefusedError(Reason.RETAIN_NOT_SUPPORTED, "Will Retain must be 0")


def _client_id(connect: Connect) -> str:
    if len(connect.client_id) > MAX_NAME:
        raise RefusedError(Reason.BAD_CLIENT_ID, f"the client identifier has more than {MAX_NAME} characters")
    if connect.client_id:
        return connect.client_id
    if not connect.v5 and not connect.clean:
        raise RefusedError(Reason.BAD_CLIENT_ID, "a session that is kept needs a client identifier")
    return f"auto-{secrets.token_hex(8)}"


def _authenticate(connect: Connect, client_id: str, certificate_name: str | None, registry: Registry) -> str:
    """A verified certificate goes before a password: it is the stronger claim."""
    username = connect.username or ""
    if len(username) > MAX_NAME:
        raise RefusedError(Reason.BAD_LOGIN, f"the user name has more than {MAX_NAME} characters")
    password = connect.password if certificate_name is None else None
    if certificate_name is None and password is None:
        raise RefusedError(Reason.NOT_AUTHORIZED, "expected a password or a client certificate, neither came")
    source = registry.authenticator.authenticate(Login(client_id, username, password, certificate_name))
    if source is None or not is_source(source):
        reason = Reason.BAD_LOGIN if certificate_name is None else Reason.NOT_AUTHORIZED
        raise RefusedError(reason, "unknown source or wrong credentials")
    return source


def _own_will(will: Will | None, source: str) -> bytes | None:
    if will is None:
        return None
    if will.topic != status_topic(source):
        raise RefusedError(Reason.NOT_AUTHORIZED, f"the will topic must be {status_topic(source)}")
    return will.payload


def _keep_alive(connect: Connect, limits: FrontDoorLimits) -> int:
    """MQTT 5 lets the server decide (section 3.2.2.3.14); MQTT 3.1.1 leaves it to the client."""
    if connect.v5 and not 0 < connect.keep_alive <= limits.keep_alive_s:
        return limits.keep_alive_s
    return connect.keep_alive


def _expiry(connect: Connect, limits: FrontDoorLimits) -> int:
    if not connect.v5:
        return 0 if connect.clean else limits.session_expiry_s
    return min(connect.properties.numbers.get(Prop.SESSION_EXPIRY, 0), limits.session_expiry_s)


def connack_properties(connect: Connect, admission: Admission, limits: FrontDoorLimits) -> Properties:
    """What MQTT 5 clients are told about this endpoint (section 3.2.2.3)."""
    numbers = {
        Prop.RECEIVE_MAXIMUM: limits.receive_maximum,
        Prop.MAXIMUM_QOS: 1,
        Prop.RETAIN_AVAILABLE: 0,
        Prop.MAXIMUM_PACKET_SIZE: limits.packet,
        Prop.TOPIC_ALIAS_MAXIMUM: limits.topic_aliases,
        Prop.WILDCARD_AVAILABLE: 1,
        Prop.SUBSCRIPTION_ID_AVAILABLE: 0,
        Prop.SHARED_AVAILABLE: 0,
    }
    if admission.keep_alive_s != connect.keep_alive:
        numbers[Prop.SERVER_KEEP_ALIVE] = admission.keep_alive_s
    if admission.expiry_s != connect.properties.numbers.get(Prop.SESSION_EXPIRY, 0):
        numbers[Prop.SESSION_EXPIRY] = admission.expiry_s
    texts = {Prop.ASSIGNED_CLIENT_ID: admission.key.client_id} if admission.assigned else {}
    return Properties(numbers=numbers, texts=texts)
