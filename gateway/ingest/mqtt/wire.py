"""One socket of the front door: buffering, framing, holding back, timers, closing. No MQTT meaning in here.

Trust boundary: bytes from anyone. At most one packet and one read are buffered, and a fault in one connection
ends that connection only.
"""

import asyncio
import logging
import socket
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Final, cast

from gateway.ingest.mqtt.decode import read_frame
from gateway.ingest.mqtt.limits import FrontDoorCounters, FrontDoorLimits
from gateway.ingest.mqtt.reason import MqttError, Reason

log = logging.getLogger(__name__)

# Why a connection does not read now; a set of bits, because IntFlag is slow on the hot path.
CONGESTED: Final = 1  # the sink is full
UNACKED: Final = 2  # too much without verdict
WRITING: Final = 4  # the peer does not read what we wrote
CROWDED: Final = 8  # the sink has its source's share
TURN: Final = 16  # it had its turn; the others have theirs first
PACKETS_A_TURN: Final = 1024  # one read may hold 131,072 packets of two bytes
_SHORTEST: Final = 2  # bytes of the shortest packet


class Wire(asyncio.Protocol):
    """The transport side of a connection; subclasses give the packets their meaning."""

    def __init__(self, limits: FrontDoorLimits, counters: FrontDoorCounters) -> None:
        self._limits = limits
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self.made = False  # whether the transport exists: after the TLS handshake, if there is one
        self._rest = bytearray()  # received and not parsed yet
        self._need = _SHORTEST  # worth parsing again from so many bytes on
        self._packet_limit = limits.connect_packet
        self._hold = 0
        self._reading = True
        self._busy = False
        self._ended = False
        self._last_seen = 0.0
        self._received_us = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    @abstractmethod
    def _on_packet(self, data: bytes, pos: int, body: int, end: int) -> None:
        """One whole packet: first byte at `pos`, body from `body` to `end`."""

    @abstractmethod
    def _on_burst(self, data: bytes, pos: int) -> int:
        """Handle the whole packets from `pos` on that can be handled many at once; returns where they end."""

    @abstractmethod
    def _on_partial(self, first: int) -> None:
        """A packet with this first byte has begun; may raise instead of waiting for the rest."""

    @abstractmethod
    def _on_error(self, error: MqttError) -> None:
        """The peer broke a rule, or we have a fault of our own: answer and end."""

    @abstractmethod
    def _on_end(self, reason: str) -> None:
        """The connection is over; called exactly once."""

    @abstractmethod
    def _write_acks(self) -> None:
        """Write the acknowledgements that are due; may lift UNACKED from `_hold`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = True
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)
        self._last_seen = self._loop.time()
        _watch_for_dead_peer(self._transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._last_seen = self._loop.time()
        self._received_us = time.time_ns() // 1000
        self._counters.bytes_in += len(data)
        if self._rest or self._hold:
            self._rest += data
            self._go_on()
        else:
            self._pump(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish("connection lost")
        for handle in (self._timer, self._stall):
            if handle is not None:
                handle.cancel()

    def pause_writing(self) -> None:
        self._stall = self._loop.call_later(self._limits.write_stall_s, self._on_stall)
        self.hold(WRITING)

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self.release(WRITING)

    def hold(self, why: int) -> None:
        """Stop parsing and reading for this reason."""
        self._hold |= why
        self._steer()

    def release(self, why: int) -> None:
        """This reason is gone. The time we did not read does not count against the peer's keep-alive."""
        self._hold &= ~why
        self._last_seen = self._loop.time()
        self._go_on()

    def _go_on(self) -> None:
        if self._busy or self._ended:
            return
        if not self._hold and len(self._rest) >= self._need:
            data = bytes(self._rest)
            self._rest.clear()
            self._pump(data)
        else:
            self._steer()

    def _pump(self, data: bytes) -> None:
        """Parse until the bytes end or a hold stops us. Acknowledging may lift the hold: then go on."""
        self._busy = True
        try:
            while not self._ended:
                self._rest += data[self._parse(data) :]
                self._write_acks()
                if self._hold or len(self._rest) < self._need:
                    break
                data = bytes(self._rest)
                self._rest.clear()
        except MqttError as error:
            self._on_error(error)
        except Exception:  # outermost boundary of a connection: a fault must end this one and hurt no other
            self._counters.internal_errors += 1
            if self._counters.internal_errors.bit_count() == 1:  # 1st, 2nd, 4th ...: no flood of logs
                log.exception("fault %d of the front door; the connection is closed", self._counters.internal_errors)
            self._on_error(MqttError(Reason.SERVER_UNAVAILABLE, "internal fault of the gateway"))
        finally:
            self._busy = False
        self._steer()

    def _parse(self, data: bytes) -> int:
        """Handle whole packets; return where the first one begins that is not handled."""
        pos, size, left = 0, len(data), PACKETS_A_TURN
        self._need = _SHORTEST
        while size - pos >= _SHORTEST and not self._hold and not self._ended:
            start, pos = pos, self._on_burst(data, pos)
            if pos > start:
                continue
            frame = read_frame(data, pos, self._packet_limit)
            if frame is None:
                self._on_partial(data[pos])
                self._need = size - pos + 1
                break
            body, end = frame
            if end > size:
                self._on_partial(data[pos])
                self._need = end - pos
                break
            self._on_packet(data, pos, body, end)
            pos = end
            left -= 1
            if not left:
                self._hold |= TURN
                self._loop.call_soon(self.release, TURN)
        return pos

    def _say(self, data: bytes) -> None:
        """Write, unless the connection is lost: asyncio logs a warning for every write to one, and a peer that sends
        a hundred thousand pings and hangs up would fill the log."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def _steer(self) -> None:
        """Make the transport's reading agree with `_hold`."""
        if self._ended or self._reading == (not self._hold):
            return
        self._reading = not self._hold
        if self._reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _arm(self, delay_s: float, call: Callable[[], None]) -> None:
        """Set the connection's one timer: first for CONNECT, then keep-alive, last for closing."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, call)

    def _on_stall(self) -> None:
        self._counters.write_stalls += 1
        self._finish("does not read")
        self._transport.abort()

    def end(self, reason: str, last_word: bytes = b"") -> None:
        """Say a last word, then close; by force if the peer does not take it in time."""
        if self._ended:
            return
        self._finish(reason)
        if last_word:
            self._transport.write(last_word)
        self._transport.close()
        self._arm(self._limits.close_timeout_s, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        self._finish("aborted")
        self._transport.abort()

    def _finish(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self._rest.clear()
            self._on_end(reason)


def _watch_for_dead_peer(sock: socket.socket) -> None:
    """TCP keep-alive finds a peer that vanished even when its MQTT keep-alive is off (within two minutes)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):  # not every platform has all three
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
