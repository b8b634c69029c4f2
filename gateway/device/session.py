"""The device's end of its session with the gateway: when to make one, and what comes and goes in it. No network, no
clock; the sender has both.

Trust boundary: what arrives is untrusted. A refusal is anybody's word, so it makes a new handshake begin and ends
nothing. The session lives in memory only; formats and rules: docs/formats/session.md.
"""

import logging
from collections.abc import Callable
from typing import Final

from crypto.errors import SealtrailError
from crypto.session import messages
from crypto.session.errors import SessionEndedError, SessionError
from crypto.session.frames import Frame, FrameType
from crypto.session.handshake import DeviceHandshake, Session
from crypto.session.messages import ANNOUNCEMENT, ASK, M2, M4, REFUSAL, Hello, Terms
from crypto.session.static import StaticKey, open_announcement
from gateway.device.backoff import Backoff
from gateway.device.identity import DeviceIdentity
from gateway.device.options import DeviceOptions
from gateway.ingest.mqtt.topics import frames_down, frames_up

HINT_EVERY_S: Final = 5.0
SILENCES: Final = 2  # timeouts without a frame from the gateway, before its session is thought gone
ASK_AFTER: Final = 2  # failed handshakes, before the device asks whether the gateway has another key
_LOG = logging.getLogger(__name__)


class DeviceSession:
    """Asked by the sender at each turn. `ready`: frames may be sent. `fresh`: a new session took the place of one that
    was lost, so what was on its way is to be sent again; the sender clears it."""

    def __init__(self, identity: DeviceIdentity, boot: int, options: DeviceOptions, pin: Callable[[StaticKey], None],
                 welcomed: Callable[[Terms], None] = lambda terms: None) -> None:  # fmt: skip
        """`pin` keeps a later static key of the gateway; `welcomed` hears the terms of each session."""
        self._identity, self._hello = identity, Hello(identity.source, identity.key.public.kid, boot)
        self._static, self._options, self._pin, self._welcomed = identity.session_key, options, pin, welcomed
        self.gateway_key = identity.gateway_key  # the sender follows its changes
        self._up, self._down = frames_up(identity.source), frames_down(identity.source)
        self._session: Session | None = None
        self._renew_s = 0.0  # when the session gets a follower
        self._handshake: DeviceHandshake | None = None
        self._until_s = self._not_before_s = self._next_hint_s = 0.0
        self._lost = False  # the gateway seems not to know the session
        self._silent_since: float | None = None  # the first frame that nothing came after
        self._backoff = Backoff(options.backoff_first, options.backoff_max)
        self._failures = 0
        self.fresh = False

    @property
    def ready(self) -> bool:
        return self._session is not None

    def connected(self) -> None:
        """A new connection: what a handshake had sent on the last one may be lost, and the gateway may be a new one."""
        self._handshake = None
        self._not_before_s = self._next_hint_s = 0.0

    def due(self, now: float) -> bytes | None:
        """A handshake message to publish now."""
        if self._handshake is not None and now >= self._until_s:
            self._failed("the gateway did not answer in time", now)
        if self._handshake is not None or now < self._not_before_s or not self._wanted(now):
            return None
        if self._static is None or self._failures >= ASK_AFTER:
            self._failures = 0
            self._not_before_s = now + min(HINT_EVERY_S, self._options.ack_timeout)
            return messages.encode(ASK, {})
        self._handshake = DeviceHandshake(self._static.key, self._identity.key, self._hello)
        self._until_s = now + self._options.ack_timeout
        return self._handshake.hello

    def next_due(self) -> float | None:
        """When `due` may have something."""
        if self._handshake is not None:
            return self._until_s
        if self._session is None or self._lost:
            return self._not_before_s
        return max(self._not_before_s, min(self._renew_s, self._silent_until()))

    def _wanted(self, now: float) -> bool:
        if now >= self._silent_until():
            self._lost = True
        return self._session is None or self._lost or now >= self._renew_s

    def _silent_until(self) -> float:
        if self._silent_since is None:
            return float("inf")
        return self._silent_since + SILENCES * self._options.ack_timeout

    def _failed(self, reason: str, now: float) -> None:
        self._handshake = None
        self._failures += 1
        delay = self._backoff.next()
        self._not_before_s = now + delay
        _LOG.warning("%s: no session: %s; again in %.1f s", self._identity.source, reason, delay)

    def take(self, message: bytes, now: float) -> bytes | None:
        """What to publish in answer to a handshake message. What is not right is passed over, with a warning."""
        kind, handshake = messages.kind_of(message), self._handshake
        try:
            if kind == M2 and handshake is not None:
                return handshake.answer(message)
            if kind == M4 and handshake is not None:
                self._begin(handshake.finish(message), now)
            elif kind == REFUSAL:
                self._refused(messages.decode(message, REFUSAL)[3], now)
            elif kind == ANNOUNCEMENT:
                self._announced(message)
        except SealtrailError as e:
            _LOG.warning("%s: a handshake message is passed over: %s", self._identity.source, e)
        return None

    def _begin(self, session: Session, now: float) -> None:
        self.fresh = self._session is None or self._lost
        self._session, self._handshake, self._lost = session, None, False
        self._renew_s = now + min(session.terms.session_s, self._options.session_seconds)
        self._silent_since = None
        self._failures = 0
        self._backoff.reset()
        self._welcomed(session.terms)

    def _refused(self, about: bytes, now: float) -> None:
        if self._handshake is not None and about in (self._handshake.nonce, self._handshake.sid):
            self._failed("the gateway refused the handshake", now)
        elif self._session is not None and about == self._session.sid and now >= self._next_hint_s:
            self._next_hint_s = now + HINT_EVERY_S
            self._lost = True

    def _announced(self, message: bytes) -> None:
        after = self._static.serial if self._static else -1
        self._static = open_announcement(message, self.gateway_key, self._identity.origin, after)
        self._pin(self._static)
        self._not_before_s = 0.0

    def seal(self, message: bytes, now: float) -> tuple[int, bytes]:
        """A frame around a message, and its number; only while `ready`. SessionEndedError: make a new session."""
        if self._session is None:
            raise SessionEndedError("there is no session")
        try:
            found = self._session.sealer.seal(FrameType.MESSAGE, self._up, message, now)
        except SessionEndedError:
            self._session = None
            raise
        self._silent_since = now if self._silent_since is None else self._silent_since
        return found

    def open(self, frame: bytes) -> Frame | None:
        """What the gateway says in a frame; None for what is not one of this session, or came before."""
        if self._session is None:
            return None
        try:
            opened = self._session.opener.open(self._down, frame)
        except SessionError as e:
            _LOG.debug("%s: a frame is passed over: %s", self._identity.source, e)
            return None
        self._silent_since = None
        return opened
