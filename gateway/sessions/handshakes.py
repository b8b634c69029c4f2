"""The gateway's answers to handshake messages.

Trust boundary: untrusted until `_proof` has verified the device's signature. A source's name is only what the topic
says; where a password or a certificate stood behind it, the door has seen to that. A failure has one answer, or
none, its reason goes to the log, and what is over the budget has no answer at all. No key is touched before the budget
was.
"""

import logging
from collections.abc import Callable

from crypto.errors import SealtrailError
from crypto.kem import KemPrivateKey
from crypto.keys import PublicKey
from crypto.session import messages
from crypto.session.errors import HandshakeError
from crypto.session.handshake import GatewayHandshake
from crypto.session.messages import ASK, M1, M3, REFUSAL, Terms
from gateway.pipeline.sources import EnrolledSource, SourceBook
from gateway.sessions.limits import Bucket, Budget, SessionCounters, SessionLimits
from gateway.sessions.table import HalfOpenTable, SessionTable

log = logging.getLogger(__name__)


class Handshakes:
    """From the first message to an open session in `table`."""

    def __init__(self, key: KemPrivateKey, announcement: bytes, book: SourceBook, table: SessionTable,
                 counters: SessionCounters, limits: SessionLimits, terms: Callable[[], Terms],
                 log_size: Callable[[], int], now_s: float) -> None:  # fmt: skip
        """`announcement`: the signed static key, for devices that ask. `terms` and `log_size`: those of now."""
        self._key, self.announcement, self._book, self._table = key, announcement, book, table
        self._counters, self._terms, self._log_size = counters, terms, log_size
        self._waiting = HalfOpenTable(limits)
        whole = Bucket(2 * limits.per_second + 1, 1 / limits.per_second, now_s)
        self._budget = Budget(limits.source_burst, limits.source_every_s, whole)

    def answer(self, source: str, door: str, message: bytes, now_s: float) -> bytes | None:
        """What to send back; None where nothing is."""
        # 1. Somebody we know, of a kind we answer; the third message only to an open handshake.
        known, kind = self._book.get(source), messages.kind_of(message)
        if known is None or known.plain or known.revoked or kind not in (M1, M3, ASK):
            self._counters.limited += 1
            return None
        # 2. No repeat of a third message that was taken: carriers make them, and a refusal would say "no such session".
        about = _about(message, kind)
        if kind == M3 and self._table.find(about, source, now_s) is not None:
            return None
        # 3. Within the budget; a third message was paid for with its first.
        handshake = self._waiting.take(about, source, now_s) if kind == M3 else None
        if handshake is None and not self._budget.take(source, now_s):
            self._counters.limited += 1
            return None
        # 4. Its own rules. A wrong third message may be anybody's, so the handshake waits for another.
        try:
            if kind == ASK:
                return self.announcement
            if kind == M1:
                return self._hello(known, message, now_s)
            return self._proof(known, door, handshake, message, now_s)
        except SealtrailError as e:
            self._counters.refused += 1
            log.info("a handshake of %s is refused: %s", source, e)
            return messages.encode(REFUSAL, {3: about}) if about and handshake is None else None

    def _hello(self, source: EnrolledSource, message: bytes, now_s: float) -> bytes:
        handshake = GatewayHandshake(self._key, message)
        hello = handshake.hello
        if hello.source != source.name:
            raise HandshakeError(f"it came by the topic of {source.name} and is of {hello.source[:80]!r}")
        self._present_key(source, hello.kid)
        welcome = handshake.welcome(self._terms())
        self._waiting.add(handshake, source.name, now_s)
        return welcome

    def _proof(self, source: EnrolledSource, door: str, handshake: GatewayHandshake | None, message: bytes,
               now_s: float) -> bytes:  # fmt: skip
        if handshake is None:
            raise HandshakeError("no handshake waits for this third message")
        key = self._present_key(source, handshake.hello.kid)  # it may have changed since the first message
        confirmation, session = handshake.finish(message, key)
        self._waiting.end(session.sid)
        self._table.add(session, door, now_s)
        self._counters.handshakes += 1
        return confirmation

    def _present_key(self, source: EnrolledSource, kid: bytes) -> PublicKey:
        """The key of this id, if it counts where the log stands, or is the next one."""
        known = source.key(kid)
        if known is None or not (known.until is None or known.valid_at(self._log_size())):
            raise HandshakeError(f"{source.name} names key {kid.hex()[:16]}…, which is not its present one")
        return known.key

    def tidy(self, now_s: float) -> None:
        """Forget the secrets of what is over."""
        self._waiting.tidy(now_s)

    def drop(self, source: str) -> None:
        """The source was revoked, or its key changed."""
        self._waiting.drop(source)


def _about(message: bytes, kind: int) -> bytes:
    """What a refusal repeats: the nonce of a first message, the session of a third. Empty where the form is wrong."""
    try:
        item = messages.decode(message, kind)
    except SealtrailError:
        return b""
    nonce: bytes = item[4] if kind == M1 else item.get(3, b"")
    return nonce
