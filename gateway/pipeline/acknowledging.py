"""Tells sources what is stored: signed acknowledgements, many events in one, a few milliseconds after the commit.

Runs on the event loop. Losing one is harmless: the source sends again and is answered again. Bounded: sources
that are not connected are not remembered.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from chain.acknowledgement import MAX_RANGES, Acknowledgement, StoredRange
from chain.seal import FIRST_PREVIOUS
from crypto import bulk
from crypto.keys import PrivateKey
from crypto.merkle import HASH_BYTES

log = logging.getLogger(__name__)
DELAY_S = 0.02
MAX_DELAY_S = 0.15
BUSY_PAUSE = 9.0  # signing takes a tenth of the time, as far as the longest delay allows
AT_ONCE = 8  # sources told without a pause for anything else
MAX_WAITING_SOURCES = 10_000
TELL_AGAIN_S = 60.0  # of a change of key: behind a broker nobody sees who has missed it


class StoredNumbers(Struct):
    """What one commit stored of one source, and what it found stored: (boot, first number, joined content hashes)
    in order; the hash of its newest stored seal, the log's size and the time of the commit."""

    source: str
    events: list[tuple[int, int, bytes]]
    known: list[tuple[int, int, bytes]]
    sealed: bytes | None
    log_size: int
    logged_us: int
    session: bool = False  # they came in a session


class _Run(Struct):
    """Consecutive numbers. Repeats are not joined with new events: the source may have forgotten their bytes,
    and could then not check the digest of the whole."""

    boot: int
    first: int
    fresh: bool
    hashes: bytes

    @property
    def count(self) -> int:
        return len(self.hashes) // HASH_BYTES

    def continues(self, boot: int, seq: int, fresh: bool) -> bool:
        return (self.boot, self.first + self.count, self.fresh) == (boot, seq, fresh)


class _Waiting(Struct):
    runs: list[_Run] = []
    sealed: bytes = FIRST_PREVIOUS
    log_size: int = 0
    logged_us: int = 0
    session: bool = False

    def add(self, news: StoredNumbers) -> None:
        for numbers, fresh in ((news.events, True), (news.known, False)):
            for boot, seq, hashes in numbers:
                if self.runs and self.runs[-1].continues(boot, seq, fresh):
                    self.runs[-1].hashes += hashes
                else:
                    self.runs.append(_Run(boot, seq, fresh, hashes))
        self.sealed = news.sealed or self.sealed
        self.log_size, self.logged_us = news.log_size, news.logged_us
        self.session |= news.session


class Acknowledger:
    """Coalesces, signs and publishes acknowledgements."""

    def __init__(self, origin: str, key: PrivateKey, publish: Callable[[str, bytes, bool], Awaitable[bool]]
                 ) -> None:  # fmt: skip
        """`publish` is told the source, the signed bytes, and whether they are to go in a session."""
        self._origin = origin
        self._key = key
        self._publish = publish
        self._handovers: tuple[bytes, ...] = ()
        self._told: dict[str, float] = {}  # when each source was told of the changes of key
        self._waiting: dict[str, _Waiting] = {}
        self._wake = asyncio.Event()
        self._telling = False

    @property
    def idle(self) -> bool:
        """True while nobody waits to be told."""
        return not self._waiting and not self._telling

    def add(self, news: StoredNumbers) -> None:
        """Note what is stored; called on the event loop's thread."""
        if news.source in self._waiting or len(self._waiting) < MAX_WAITING_SOURCES:
            self._waiting.setdefault(news.source, _Waiting()).add(news)
            self._wake.set()

    def use(self, key: PrivateKey, handovers: Sequence[bytes]) -> None:
        """Sign with this key from now on. `handovers`: by which a source gets from any former key to it."""
        self._key, self._handovers = key, tuple(handovers)
        self._told.clear()

    def subscribed(self, source: str) -> None:
        """A source has come: it may have missed what it was told before."""
        self._told.pop(source, None)

    async def run(self) -> None:
        """Publish until cancelled."""
        took = 0.0
        while True:
            await self._wake.wait()
            # What is stored meanwhile shares the signature: the more sources there are to tell, the longer.
            await asyncio.sleep(min(max(DELAY_S, BUSY_PAUSE * took), MAX_DELAY_S))
            self._wake.clear()
            started = time.monotonic()
            await self._tell_all()
            took = time.monotonic() - started

    async def _tell_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._telling = True
        for number, (source, stored) in enumerate(waiting.items()):
            try:
                await self._tell(source, stored)
            except Exception:  # outermost boundary of this task: one source must not cost all others theirs
                log.exception("no acknowledgement to %s; it will ask again", source)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # sockets have their turn
        self._telling = False

    async def _tell(self, source: str, stored: _Waiting) -> None:
        await self._tell_of_key(source, stored.session)
        for at in range(0, max(len(stored.runs), 1), MAX_RANGES):
            signed = self._signed(source, stored, stored.runs[at : at + MAX_RANGES])
            await self._publish(source, signed, stored.session)

    async def _tell_of_key(self, source: str, session: bool) -> None:
        """Before the first acknowledgement under a new key, and now and then again: it may have been lost. By the
        way of the acknowledgement, for the source listens there."""
        now = time.monotonic()
        if not self._handovers or now - self._told.get(source, -TELL_AGAIN_S) < TELL_AGAIN_S:
            return
        if len(self._told) >= MAX_WAITING_SOURCES:
            self._told.clear()
        if all([await self._publish(source, handover, session) for handover in self._handovers]):
            self._told[source] = now

    def _signed(self, source: str, stored: _Waiting, runs: list[_Run]) -> bytes:
        ranges = tuple(StoredRange(r.boot, r.first, r.count, bulk.root(r.hashes)) for r in runs)
        news = Acknowledgement(source, self._origin, stored.log_size, stored.logged_us, stored.sealed, ranges)
        return news.sign(self._key)
