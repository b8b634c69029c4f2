"""One MQTT 5 connection of a device, from CONNECT to its loss; the border to paho-mqtt.

Trust boundary: everything that arrives is untrusted bytes, bounded by the Maximum Packet Size that CONNECT
asks for. A connection is used by one thread and never again after it is lost, so paho keeps no messages of
its own from one to the next: what to send again is for the outbox to say.
"""

import selectors
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chain.acknowledgement import MAX_BYTES
from gateway.device.errors import ConnectionLostError
from gateway.device.identity import DeviceIdentity
from gateway.device.options import DeviceOptions
from gateway.ingest.mqtt.topics import frames_down, handshake_down, receipts_topic

if TYPE_CHECKING:
    from paho.mqtt.client import Client

DEFAULT_RECEIVE_MAXIMUM: Final = 65_535  # MQTT 5.0 section 3.2.2.3.3
DEFAULT_PACKET_BYTES: Final = 268_435_455
_TICK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Puback:
    """The endpoint's answer to one publication: packet identifier and reason code."""

    identifier: int
    code: int


@dataclass(frozen=True, slots=True)
class HandshakeMessage:
    """From the gateway's handshake topic."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class FrameBytes:
    """From the gateway's frames topic."""

    payload: bytes


class Connection:
    """`ready` once its topics are subscribed; `inbox` holds what arrived. With `session` these are the topics of a
    session, else the one of receipts, whose bytes stand in `inbox` as they are."""

    def __init__(self, identity: DeviceIdentity, options: DeviceOptions, *, session: bool = False) -> None:
        """Connect; raises ConnectionLostError. Blocks for `connect_timeout` at most, name resolution apart."""
        source = identity.source
        self._kinds: dict[str, type[bytes | HandshakeMessage | FrameBytes]] = {receipts_topic(source): bytes}
        if session:
            self._kinds = {handshake_down(source): HandshakeMessage, frames_down(source): FrameBytes}
        self.ready = False
        self.lost: str | None = None
        self.inbox: list[Puback | HandshakeMessage | FrameBytes | bytes] = []
        self.receive_maximum = DEFAULT_RECEIVE_MAXIMUM
        self.packet_bytes = DEFAULT_PACKET_BYTES
        self._tls = identity.profile.mqtt.tls
        self._unanswered: set[int] = set()
        self._ready_by = time.monotonic() + options.connect_timeout
        self._client = self._open(identity, options)

    def _open(self, identity: DeviceIdentity, options: DeviceOptions) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        client = Client(CallbackAPIVersion.VERSION2, identity.source, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(identity.source, identity.password)
        client.will_set(f"st/1/{identity.source}/status", b"lost")  # a silent death shows at once
        client.max_inflight_messages_set(DEFAULT_RECEIVE_MAXIMUM)
        client.connect_timeout = options.connect_timeout
        client.on_connect, client.on_subscribe, client.on_disconnect = self._connected, self._subscribed, self._gone
        client.on_publish, client.on_message = self._published, self._received
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = MAX_BYTES + 1024
        mqtt = identity.profile.mqtt
        try:
            if mqtt.tls:
                from crypto.tls.client import TlsClient

                client.tls_set_context(TlsClient(identity.ca_file))  # type: ignore[arg-type]  # what paho uses of one
            client.connect(mqtt.host, mqtt.port, options.keepalive, clean_start=True, properties=properties)
        except (OSError, ValueError) as e:
            raise ConnectionLostError(f"cannot connect to {mqtt.host}:{mqtt.port}: {e}") from e
        return client

    @property
    def has_room(self) -> bool:
        """False while the endpoint's Receive Maximum is used up."""
        return self.ready and self.lost is None and len(self._unanswered) < self.receive_maximum

    @property
    def tls_group(self) -> str:
        """The key exchange group that TLS took; empty without TLS."""
        sock: Any = self._client.socket()
        return sock.group if self._tls and sock is not None else ""

    def publish(self, topic: str, message: bytes) -> int:
        """Send with QoS 1; the packet identifier."""
        info = self._client.publish(topic, message, qos=1)
        self._unanswered.add(info.mid)
        return info.mid

    def wait(self, wake: socket.socket, timeout: float) -> None:
        """Read and write until something came, `wake` is readable, or `timeout` seconds passed.

        Raises:
            ConnectionLostError: the connection is gone.
        """
        sock: Any = self._client.socket()
        if sock is not None:
            pending = self._tls and sock.pending() > 0
            readable = self._select(sock, wake, 0.0 if pending else min(timeout, _TICK_S))
            self._exchange(readable or pending)
        if not self.ready and time.monotonic() > self._ready_by:
            raise ConnectionLostError("the endpoint did not answer CONNECT and SUBSCRIBE in time")
        if self.lost is not None or self._client.socket() is None:
            raise ConnectionLostError(self.lost or "the connection was closed")

    def _select(self, sock: Any, wake: socket.socket, timeout: float) -> bool:
        """True when the socket can be read. `select` itself cannot watch descriptors above 1023."""
        write = selectors.EVENT_WRITE if self._client.want_write() else 0
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ | write)
            selector.register(wake, selectors.EVENT_READ)
            return any(key.fileobj is sock and mask & selectors.EVENT_READ for key, mask in selector.select(timeout))

    def _exchange(self, readable: bool) -> None:
        from paho.mqtt import MQTTException

        try:
            if readable:
                self._client.loop_read()
            if self._client.want_write():
                self._client.loop_write()
            self._client.loop_misc()
        except (MQTTException, OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as e:
            raise ConnectionLostError(f"the endpoint sent what is not MQTT: {e!r}") from e  # what paho's parser raises

    def close(self) -> None:
        """Say goodbye if the line still stands."""
        if self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        if (sock := self._client.socket()) is not None:  # it would not even take the goodbye
            sock.close()

    def _connected(self, client: "Client", _: Any, __: Any, reason: Any, properties: Any) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        if reason.is_failure:
            self.lost = f"the endpoint refused the connection: {reason}"
            return
        self.receive_maximum = getattr(properties, "ReceiveMaximum", DEFAULT_RECEIVE_MAXIMUM)
        self.packet_bytes = getattr(properties, "MaximumPacketSize", DEFAULT_PACKET_BYTES)
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._kinds])

    def _subscribed(self, _: Any, __: Any, ___: Any, reasons: Any, ____: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self.lost = f"the endpoint refused the subscription to {' and '.join(self._kinds)}: {reasons[0]}"
        else:
            self.ready = True

    def _gone(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        self.lost = self.lost or f"the connection is lost: {reason}"

    def _published(self, _: Any, __: Any, identifier: int, reason: Any, ___: Any) -> None:
        self._unanswered.discard(identifier)
        self.inbox.append(Puback(identifier, reason.value))

    def _received(self, _: Any, __: Any, message: Any) -> None:
        if (kind := self._kinds.get(message.topic)) is not None:
            self.inbox.append(kind(bytes(message.payload)))
