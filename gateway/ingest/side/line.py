"""One connection to a broker. Runs of messages are read here, many at once; every other packet is paho's.

paho takes some thirty microseconds for a message, so it is given what only it knows: CONNECT, subscriptions,
keep-alive, receipts, and messages in a form that `burst` does not take. It sees a socket that never blocks; the real
one, with TLS, is the event loop's.

Trust boundary: bytes from a broker. At most one packet and one read are buffered, and what is not MQTT ends the
connection. Source: MQTT 5.0 sections 2.1 and 3.3.
"""

import asyncio
import contextlib
import functools
import logging
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from paho.mqtt import MQTTException
from paho.mqtt.client import Client

from gateway.ingest.mqtt.burst import burst
from gateway.ingest.mqtt.decode import read_frame
from gateway.ingest.mqtt.encode import PINGRESP
from gateway.ingest.mqtt.reason import MalformedPacketError, MqttError
from gateway.ingest.mqtt.topics import Target, target_of

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

log = logging.getLogger(__name__)

CLOSE_S: Final = 5.0  # from the last word to a forced close
_PUBLISH: Final = 0x32  # QoS 1, not retained
_TOPIC_BYTES: Final = 160  # ours are shorter; nobody shall fill the cache with long ones
# where bytes are not MQTT
_PAHO_RAISES: Final = (MQTTException, OSError, ValueError, KeyError, IndexError, TypeError, struct.error)


class Paho(Client):
    """paho on connections that the event loop makes."""

    line: "Line"

    def _create_socket(self) -> "SocketLike":
        """What `reconnect` asks for; a private name of paho's, which the tests would miss."""
        return self.line


class Taking(Protocol):
    """Who takes the messages of a connection."""

    def room(self) -> int:
        """How many messages it would take now. When there is room again it calls `go_on`."""

    def take(self, target: Target, identifiers: bytes, payloads: list[bytes], size: int) -> None:
        """Messages with QoS 1 to one topic; identifiers of two bytes each, joined. `size` in bytes of payload."""


class Line(asyncio.Protocol):
    """From the connection that was made to its loss. To paho it is a socket: `recv`, `send`, `close` and so on."""

    def __init__(self, client: Paho, taking: Callable[["Line"], Taking], limit: int) -> None:
        """`limit`: bytes of a packet that we told the broker."""
        self._loop = asyncio.get_running_loop()
        self._client, self._limit = client, limit
        self._taking = taking(self)
        self._transport: asyncio.Transport
        self._rest = b""  # received and not parsed yet
        self._reading = True
        self._choked = False  # the broker does not read what we wrote
        self._heard = False  # anything, since we last looked
        self._packet = b""  # for paho to read
        self.lost: asyncio.Future[None] = self._loop.create_future()

    # Of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._client.line = self
        self._client.reconnect()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        self._rest += data
        self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._packet = b""
        self.lost.set_result(None)
        with contextlib.suppress(*_PAHO_RAISES):  # what it could not read before it cannot read now
            self._client.loop_read()  # reads the end of the connection

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self.go_on()

    def go_on(self) -> None:
        """Parse what is there as far as there is room for messages, and read on only then."""
        if self.closing:
            return
        try:
            self._rest = self._rest[self._parse(self._rest) :]
        except MqttError as error:
            log.warning("the connection to the broker is closed: %s", error)
            self._transport.abort()
        self._steer(reading=self._room() > 0)

    def _steer(self, *, reading: bool) -> None:
        if self._reading != reading and not self.closing:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _room(self) -> int:
        return 0 if self._choked else self._taking.room()

    def _parse(self, data: bytes) -> int:
        """Handle whole packets; return where the first one begins that is not handled."""
        pos = 0
        while not self.closing and (room := self._room()) > 0:
            frame = read_frame(data, pos, self._limit)
            if frame is None or frame[1] > len(data):
                break
            start, pos = pos, self._burst(data, pos, frame[0], room)
            if pos == start:
                pos = frame[1]
                self._hand(data[start:pos])
        return pos

    def _burst(self, data: bytes, pos: int, body: int, room: int) -> int:
        """Take the messages from `pos` on that have one topic; returns where they end."""
        if data[pos] & 0xF7 != _PUBLISH:
            return pos
        topic = data[body : body + 2 + int.from_bytes(data[body : body + 2], "big")]
        target = _target(topic) if len(topic) <= _TOPIC_BYTES else None
        if target is None:
            return pos
        payloads, identifiers, size, end = burst(data, pos, topic, True, room, len(data), self._limit)
        if payloads:
            self._taking.take(target, identifiers, payloads, size)
        return end

    def _hand(self, packet: bytes) -> None:
        """One whole packet for paho, and what it has to say to that."""
        self._packet = packet
        try:
            self._client.loop_read()
            self._client.loop_write()
        except _PAHO_RAISES as e:
            raise MalformedPacketError(f"expected an MQTT 5 packet, paho cannot read what came ({e!r})") from e

    # Of whoever holds it

    def vouch(self) -> None:
        """Tell paho's keep-alive, as a PINGRESP would, that the broker lives: paho sees few of its packets, and
        none while we have no room for messages."""
        if not self.closing and (self._heard or not (self._reading or self._choked)):
            self._heard = False
            self._hand(PINGRESP)

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport.is_closing()

    def send(self, data: bytes | bytearray) -> int:
        """Write now or soon; what is said to a connection that is lost is lost. Returns the number of bytes."""
        if not self.closing:
            self._transport.write(bytes(data))
        return len(data)

    # Of paho's socket

    def recv(self, size: int) -> bytes:
        """The next bytes of the packet; empty at the end of the connection."""
        if not self._packet and not self.closing:
            raise BlockingIOError
        found, self._packet = self._packet[:size], self._packet[size:]
        return found

    def close(self) -> None:
        """Close when all is written, by force if the broker does not take it in time."""
        if not self.closing:
            self._transport.close()
            abort = self._loop.call_later(CLOSE_S, self._transport.abort)
            self.lost.add_done_callback(lambda _: abort.cancel())

    def fileno(self) -> int:
        """paho selects on it only in loops of its own."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""


@functools.lru_cache(maxsize=4096)
def _target(topic: bytes) -> Target | None:
    """What a topic as on the wire means to us."""
    try:
        return target_of(topic[2:].decode())
    except UnicodeDecodeError:
        return None
