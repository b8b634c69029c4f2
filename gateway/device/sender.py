"""The sender: one thread that seals, connects, publishes and takes acknowledgements, and never gives up.

Trust boundary: acknowledgements, in the clear or in a frame, are verified under the pinned gateway key, and must be
about this source and this log, before the buffer hears of them. In a session a PUBACK, which is anybody's word, can
only put things off: what the gateway refuses it says in a frame.
"""

import contextlib
import logging
import socket
import threading
import time
from typing import Final

from chain.acknowledgement import Acknowledgement, open_acknowledgement
from chain.handover import Handover, is_handover
from crypto.errors import SealtrailError
from crypto.keys import SIGNATURE_BYTES
from crypto.session.frames import FrameType
from crypto.session.messages import open_refused
from gateway.device.backoff import Backoff
from gateway.device.buffer import Buffer
from gateway.device.connection import Connection, FrameBytes, HandshakeMessage, Puback
from gateway.device.errors import ConnectionLostError
from gateway.device.identity import DeviceIdentity, pin
from gateway.device.options import DeviceOptions
from gateway.device.outbox import FAILED, Answer, Outbox
from gateway.device.sealer import Sealer
from gateway.device.session import DeviceSession
from gateway.device.storage import Storage
from gateway.ingest.mqtt.topics import events_topic, frames_up, handshake_up

MAX_NUMBERS: Final = 4096
NOT_NOW: Final = 0x97  # quota exceeded (MQTT 5.0 section 3.4.2.1)
SEAL_BODY_BYTES: Final = 256  # a seal without its signature, at most
_REST_S: Final = 1.0
_LOG = logging.getLogger(__name__)


class Sender:
    """Started once, stopped once. `connected` and `sent` (events, repeats counted) may be read at any time."""

    def __init__(self, identity: DeviceIdentity, buffer: Buffer, sealer: Sealer, options: DeviceOptions,
                 session: DeviceSession | None = None) -> None:  # fmt: skip
        """`session`: send in it and nowhere else; None: in the clear."""
        self._session = session
        self._numbers: dict[int, int] = {}  # of frames that may still be refused → packet identifiers
        self._identity, self._buffer, self._sealer, self._options = identity, buffer, sealer, options
        self._gateway_key = identity.gateway_key
        self._storage = Storage(buffer, options.max_rejected)
        seal_bytes = SEAL_BODY_BYTES + SIGNATURE_BYTES[identity.key.public.algorithm]
        self._outbox = Outbox(self._storage, options, seal_bytes)
        self._backoff = Backoff(options.backoff_first, options.backoff_max)
        self._connection: Connection | None = None
        self._fresh_connection = False
        self._pause_until = 0.0
        self._stop_by: float | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"sealtrail-{identity.source}", daemon=True)
        self.sent = 0
        self.tls_group = ""  # of the newest connection

    @property
    def connected(self) -> bool:
        connection = self._connection
        return connection is not None and connection.ready

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        with contextlib.suppress(OSError):  # it was woken many times already, or has ended
            self._wake_write.send(b"\0")

    def stop(self, drain_timeout: float) -> None:
        """Seal everything, send until the gateway has all or `drain_timeout` seconds are over, disconnect."""
        self._stop_by = time.monotonic() + drain_timeout
        self.wake()
        self._thread.join()
        self._wake_read.close()
        self._wake_write.close()

    def _run(self) -> None:
        while not self._finished():
            try:
                self._turn()
            except ConnectionLostError as e:
                self._step_back(f"{e}")
            except SealtrailError as e:
                self._step_back(f"cannot go on: {e}")
                self._rest()
            except Exception:  # outermost boundary of the thread: a fault here must not end sealing and sending
                _LOG.exception("%s: a fault of the sender; it goes on after a pause", self._identity.source)
                self._step_back("after a fault")
                self._rest()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _finished(self) -> bool:
        if self._stop_by is None:
            return False
        return time.monotonic() >= self._stop_by or (self._buffer.unsealed_since is None and self._buffer.is_empty())

    def _turn(self) -> None:
        now = time.monotonic()
        if self._stop_by is None:
            self._sealer.seal_due(now)
        else:
            self._sealer.seal_everything()
        if self._connection is None and now >= self._pause_until:
            self._fresh_connection = True
            self._connection = Connection(self._identity, self._options, session=self._session is not None)
            self.tls_group = self._connection.tls_group
        if self._connection is not None:
            self._send(self._connection, now)
        self._wait(self._timeout(now))
        if self._connection is not None:
            self._receive(self._connection)

    def _send(self, connection: Connection, now: float) -> None:
        if connection.ready and self._fresh_connection:
            self._fresh_connection = False
            self._start_over(connection.packet_bytes)
            if self._session is not None:
                self._session.connected()
        if self._session is not None and not self._in_session(self._session, connection, now):
            return
        self._outbox.expire(now)
        while connection.has_room and now >= self._pause_until:
            composed = self._outbox.compose()
            if composed is None:
                return
            parcel, message = composed
            self.sent += len(parcel.events)
            self._outbox.sent(self._publish(connection, message.encode(), now), parcel, now)

    def _in_session(self, session: DeviceSession, connection: Connection, now: float) -> bool:
        """Whether frames may be sent; makes a session where one is due."""
        if connection.ready and (message := session.due(now)) is not None:
            connection.publish(handshake_up(self._identity.source), message)
        if session.fresh:
            session.fresh = False
            self._start_over(connection.packet_bytes)
        return session.ready

    def _publish(self, connection: Connection, message: bytes, now: float) -> int:
        if self._session is None:
            return connection.publish(events_topic(self._identity.source), message)
        seq, frame = self._session.seal(message, now)
        identifier = connection.publish(frames_up(self._identity.source), frame)
        self._numbers[seq] = identifier
        if len(self._numbers) > MAX_NUMBERS:
            del self._numbers[next(iter(self._numbers))]
        return identifier

    def _timeout(self, now: float) -> float:
        times = [now + 1.0, self._sealer.next_due(), self._outbox.next_deadline(), self._stop_by]
        times += [self._pause_until] if self._pause_until > now else []
        if self._session is not None and self.connected:
            times.append(self._session.next_due())
        return max(0.0, min(t for t in times if t is not None) - now)

    def _wait(self, timeout: float) -> None:
        if self._connection is not None:
            self._connection.wait(self._wake_read, timeout)
        else:
            self._wake_read.settimeout(timeout or 0.001)
            try:
                self._wake_read.recv(1)
            except TimeoutError:
                return
            finally:
                self._wake_read.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass

    def _receive(self, connection: Connection) -> None:
        inbox, connection.inbox = connection.inbox, []
        acknowledgements = []
        for item in inbox:
            if isinstance(item, Puback):
                self._answered(item)
            elif isinstance(item, HandshakeMessage):
                self._handshake(connection, item.payload)
            elif isinstance(item, FrameBytes):
                acknowledgements += self._from_frame(item.payload)
            elif is_handover(item):
                self._follow(item)
            elif (acknowledgement := self._opened(item)) is not None:
                acknowledgements.append(acknowledgement)
        if acknowledgements:
            confirmed, last_seal = self._storage.acknowledge(acknowledgements)
            self._outbox.confirmed(confirmed, last_seal, time.monotonic())
            self._backoff.reset()

    def _handshake(self, connection: Connection, message: bytes) -> None:
        assert self._session is not None
        if (answer := self._session.take(message, time.monotonic())) is not None:
            connection.publish(handshake_up(self._identity.source), answer)

    def _from_frame(self, data: bytes) -> list[Acknowledgement]:
        """The acknowledgement in a frame, if one is; what the gateway refuses is put aside here."""
        frame = self._session.open(data) if self._session is not None else None
        if frame is None:
            return []
        if frame.type is FrameType.REFUSED:
            seq, code = open_refused(frame.plaintext)
            if (identifier := self._numbers.pop(seq, None)) is not None:
                self._outbox.answered(identifier, code)
                _LOG.error("%s: a message was refused (0x%02x)", self._identity.source, code)
            return []
        if is_handover(frame.plaintext):
            self._follow(frame.plaintext)
            return []
        found = self._opened(frame.plaintext)
        return [] if found is None else [found]

    def _answered(self, puback: Puback) -> None:
        code = puback.code
        if self._session is not None and code >= FAILED:
            code = NOT_NOW
        answer = self._outbox.answered(puback.identifier, code)
        if answer is Answer.LATER and time.monotonic() >= self._pause_until:  # many answers, one step back
            self._pause(f"the gateway cannot take more now (0x{puback.code:02x})")
        elif answer is Answer.REFUSED:
            _LOG.error("%s: a message was refused (0x%02x)", self._identity.source, puback.code)

    def _follow(self, data: bytes) -> None:
        """Pin the gateway's next key, where the pinned one and the next one say so. Changes that were taken before
        come again, and are passed by."""
        try:
            change = Handover.decode(data)
            if change.old_kid != self._gateway_key.kid:
                return
            change.verify(self._gateway_key, self._identity.origin)
            if self._identity.folder is not None:
                pin(self._identity.folder, change.new)
        except SealtrailError as e:
            _LOG.warning("%s: the gateway's key stays pinned: %s", self._identity.source, e)
            return
        self._gateway_key = change.new
        if self._session is not None:
            self._session.gateway_key = change.new
        _LOG.warning("%s: the gateway signs with key %s… now", self._identity.source, change.new.kid.hex()[:16])

    def _opened(self, data: bytes) -> Acknowledgement | None:
        """A verified acknowledgement for this source and log; None, and a warning, for anything else."""
        try:
            acknowledgement = open_acknowledgement(data, self._gateway_key)
        except SealtrailError as e:
            _LOG.warning("%s: not an acknowledgement of the pinned gateway: %s", self._identity.source, e)
            return None
        if (acknowledgement.source, acknowledgement.origin) != (self._identity.source, self._identity.origin):
            _LOG.warning("%s: an acknowledgement for another source or log was ignored", self._identity.source)
            return None
        return acknowledgement

    def _step_back(self, reason: str) -> None:
        """Drop the connection and wait. Back-off starts over only once the gateway acknowledged something."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._start_over(self._options.message_bytes)
        self._pause(reason)

    def _start_over(self, packet_bytes: int) -> None:
        """Send everything again. Packet identifiers will be given anew: a refusal of an earlier frame is of nothing."""
        self._outbox.reset(packet_bytes)
        self._numbers.clear()

    def _pause(self, reason: str) -> None:
        delay = self._backoff.next()
        self._pause_until = time.monotonic() + delay
        _LOG.warning("%s: %s; again in %.1f s", self._identity.source, reason, delay)

    def _rest(self) -> None:
        """After a fault that the next turn would meet at once again."""
        until = self._pause_until if self._stop_by is None else min(self._pause_until, self._stop_by)
        time.sleep(max(0.0, min(_REST_S, until - time.monotonic())))
