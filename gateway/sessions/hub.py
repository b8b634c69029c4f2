"""Where the doors' messages pass by on their way to the pipeline: frames are opened here, handshakes answered.

Trust boundary: what leaves `submit` with `session` set was sealed by the enrolled device that made the session,
whoever carried it. Event loop's thread only. A message that is in no session costs one comparison.
"""

import logging
import time
from collections.abc import Callable

from crypto.kem import KemPrivateKey
from crypto.session import messages
from crypto.session.errors import ReplayedError, SessionError
from crypto.session.frames import Frame, FrameType, sid_of
from crypto.session.messages import REFUSAL, Terms
from gateway.ingest.inbound import Channel, Inbound, Sink, Verdict
from gateway.ingest.mqtt.topics import frames_down, frames_up, handshake_down
from gateway.pipeline.sources import SourceBook
from gateway.sessions.handshakes import Handshakes
from gateway.sessions.limits import Budget, SessionCounters, SessionLimits
from gateway.sessions.table import Live, SessionTable

log = logging.getLogger(__name__)
_FRAMES, _HANDSHAKE = Channel.FRAMES, Channel.HANDSHAKE
Post = Callable[[str, str, str, bytes], bool]  # source, door, topic, payload → whether it was sent


class Sessions:
    """A Sink before the pipeline's own."""

    def __init__(self, sink: Sink, book: SourceBook, key: KemPrivateKey, announcement: bytes, post: Post, *,
                 limits: SessionLimits | None = None, checkpoint: Callable[[], bytes] = bytes,
                 log_size: Callable[[], int] = int, clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        limits = limits or SessionLimits()
        self._sink, self._post, self._clock = sink, post, clock
        self._limits, self._checkpoint = limits, checkpoint
        self.congested, self.crowded, self.on_relief = sink.congested, sink.crowded, sink.on_relief
        self.counters, self.table = SessionCounters(), SessionTable(limits)
        self._handshakes = Handshakes(
            key, announcement, book, self.table, self.counters, limits, self._terms, log_size, clock()
        )  # fmt: skip
        self._hints = Budget(1.0, limits.hints_every_s)

    def submit(self, inbound: Inbound) -> None:
        """See Sink."""
        if inbound.channel is _FRAMES:
            self._frames(inbound)
        elif inbound.channel is _HANDSHAKE:
            self._handshake(inbound)
        else:
            self._sink.submit(inbound)

    def answer(self, source: str, payload: bytes) -> bool:
        """Send an acknowledgement in the session in which the source was heard last. False: there is none, or its
        device is not there; it will send again and be answered again."""
        live = self.table.active(source)
        return live is not None and self._send(live, FrameType.ACKNOWLEDGEMENT, payload)

    def announce(self, announcement: bytes) -> None:
        """The static key signed by the gateway's key of now, for devices that ask."""
        self._handshakes.announcement = announcement

    def drop(self, source: str) -> None:
        """End all of a source that was revoked, or whose key changed."""
        self.table.drop(source)
        self._handshakes.drop(source)

    def tidy(self) -> None:
        """Forget the keys of what is over; to be called now and then."""
        self.table.tidy(self._clock())
        self._handshakes.tidy(self._clock())

    def _terms(self) -> Terms:
        note = self._checkpoint()
        note = note if len(note) <= messages.CHECKPOINT else b""
        return Terms(session_s=self._limits.session_s, time_us=time.time_ns() // 1000, checkpoint=note)

    def _handshake(self, inbound: Inbound) -> None:
        for message in inbound.payloads:
            answer = self._handshakes.answer(inbound.source, inbound.door, message, self._clock())
            if answer is not None:
                self._post(inbound.source, inbound.door, handshake_down(inbound.source), answer)
        inbound.done([Verdict.STORED] * len(inbound.payloads))

    def _frames(self, inbound: Inbound) -> None:
        """Hand on what opens; what does not is taken from its carrier and forgotten."""
        found, places = list[bytes](), list[tuple[int, Live, int]]()
        topic, sid, live = frames_up(inbound.source), b"", None
        for place, frame in enumerate(inbound.payloads):
            if live is None or frame[2:18] != sid:  # most are of the session of the one before
                sid, live = frame[2:18], self._find(inbound, frame)
            opened = self._opened(live, topic, frame) if live is not None else None
            if live is not None and opened is not None:
                found.append(opened.plaintext)
                places.append((place, live, opened.seq))
        for live in {id(live): live for _, live, _ in places}.values():
            self.table.heard(live, inbound.door)
        if not found:
            inbound.done([Verdict.STORED] * len(inbound.payloads))
            return
        self._sink.submit(Inbound(
            inbound.source, True, Channel.EVENTS, "", found, sum(map(len, found)), inbound.received_us, inbound.door,
            lambda verdicts: self._judged(inbound, places, verdicts), True,
        ))  # fmt: skip

    def _find(self, inbound: Inbound, frame: bytes) -> Live | None:
        """The session of a frame; where there is none, its device is told so now and then."""
        source, counters, now_s = inbound.source, self.counters, self._clock()
        sid = sid_of(frame)
        live = self.table.find(sid, source, now_s) if sid else None
        if live is None:
            counters.unknown += 1
            if sid and self._hints.take(source, now_s):
                self._post(source, inbound.door, handshake_down(source), messages.encode(REFUSAL, {3: sid}))
        return live

    def _opened(self, live: Live, topic: str, frame: bytes) -> Frame | None:
        counters = self.counters
        try:
            opened = live.session.opener.open(topic, frame)
        except ReplayedError:
            counters.repeated += 1
            return None
        except SessionError as e:
            counters.false += 1
            log.debug("a frame of %s: %s", live.session.source, e)
            return None
        if opened.type is not FrameType.MESSAGE:
            counters.false += 1
            return None
        counters.opened += 1
        return opened

    def _judged(self, inbound: Inbound, places: list[tuple[int, Live, int]], verdicts: list[Verdict]) -> None:
        """A PUBACK is nobody's word, so what is refused for good is said in a frame; "not now" may be a PUBACK."""
        out = [Verdict.STORED] * len(inbound.payloads)
        for (place, live, seq), verdict in zip(places, verdicts, strict=True):
            if verdict is Verdict.QUOTA_EXCEEDED:
                out[place] = verdict
            elif verdict is not Verdict.STORED:
                self._send(live, FrameType.REFUSED, messages.refused(seq, int(verdict)))
        inbound.done(out)

    def _send(self, live: Live, kind: FrameType, payload: bytes) -> bool:
        source = live.session.source
        topic = frames_down(source)
        try:
            _, frame = live.session.sealer.seal(kind, topic, payload, self._clock())
        except SessionError as e:
            log.warning("the session of %s ends: %s", source, e)
            self.table.drop(source)
            return False
        return self._post(source, live.door, topic, frame)
