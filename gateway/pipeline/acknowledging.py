"""Tells sources what is stored: signed acknowledgements, many events in one, a few milliseconds after the commit.

Runs on the event loop. Losing one is harmless: the source sends again and is answered again. Bounded: sources
that are not connected are not remembered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chain.acknowledgement import MAX_RANGES, Acknowledgement, StoredRange
from chain.seal import FIRST_PREVIOUS
from crypto.keys import PrivateKey
from crypto.merkle import root_of

DELAY_S = 0.02
MAX_WAITING_SOURCES = 10_000


@dataclass(slots=True)
class StoredNumbers:
    """What one commit stored, or found stored, of one source: (boot, seq, content hash) in order, the hash of
    its newest stored seal, the log's size and the time of the commit."""

    source: str
    events: list[tuple[int, int, bytes]]
    sealed: bytes | None
    log_size: int
    logged_us: int


@dataclass(slots=True)
class _Waiting:
    runs: list[tuple[int, int, list[bytes]]] = field(default_factory=list)
    sealed: bytes = FIRST_PREVIOUS
    log_size: int = 0
    logged_us: int = 0

    def add(self, news: StoredNumbers) -> None:
        for boot, seq, content_hash in news.events:
            if self.runs and self.runs[-1][0] == boot and self.runs[-1][1] + len(self.runs[-1][2]) == seq:
                self.runs[-1][2].append(content_hash)
            else:
                self.runs.append((boot, seq, [content_hash]))
        self.sealed = news.sealed or self.sealed
        self.log_size, self.logged_us = news.log_size, news.logged_us


class Acknowledger:
    """Coalesces, signs and publishes acknowledgements."""

    def __init__(self, origin: str, key: PrivateKey, publish: Callable[[str, bytes], Awaitable[bool]]) -> None:
        self._origin = origin
        self._key = key
        self._publish = publish
        self._waiting: dict[str, _Waiting] = {}
        self._wake = asyncio.Event()

    def add(self, news: StoredNumbers) -> None:
        """Note what is stored; called on the event loop's thread."""
        if news.source in self._waiting or len(self._waiting) < MAX_WAITING_SOURCES:
            self._waiting.setdefault(news.source, _Waiting()).add(news)
            self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(DELAY_S)  # what else is stored meanwhile shares the signature
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            for source, stored in waiting.items():
                for at in range(0, max(len(stored.runs), 1), MAX_RANGES):
                    await self._publish(source, self._signed(source, stored, stored.runs[at : at + MAX_RANGES]))

    def _signed(self, source: str, stored: _Waiting, runs: list[tuple[int, int, list[bytes]]]) -> bytes:
        ranges = tuple(StoredRange(boot, first, len(hashes), root_of(hashes)) for boot, first, hashes in runs)
        news = Acknowledgement(source, self._origin, stored.log_size, stored.logged_us, stored.sealed, ranges)
        return news.sign(self._key)
