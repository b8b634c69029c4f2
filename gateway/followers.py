"""Keeps the indexes of a running gateway behind its log, off the hot path."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import closing

from chain.site import SiteReader
from crypto.errors import SealtrailError
from gateway.events.follower import EventIndex
from gateway.index import Index
from gateway.index.following import LogIndex
from gateway.service import Gateway

log = logging.getLogger(__name__)
FOLLOW_S = 0.25
BUSY_PAUSE = 9.0
STEP = 512  # leaves: while a step has the interpreter's lock, some milliseconds, commits wait for it


class Follower:
    """Keeps one index behind the log."""

    def __init__(self, gateway: Gateway, index: LogIndex) -> None:
        self._index = index
        self._reader = SiteReader.open(gateway.folder)
        self._health, self._committer = gateway.health, gateway.committer
        self._problem = ""
        self.position = self._index.position

    @property
    def erasures(self) -> int:
        return self._index.erasures

    async def run(self) -> None:
        """Follow until cancelled."""
        step = asyncio.ensure_future(asyncio.to_thread(self._step))
        try:
            while True:
                started, size = time.monotonic(), self._committer.counters.log_size
                done = await asyncio.shield(step)
                arrived = self._committer.counters.log_size > size or self._committer.inbox.at_work
                await asyncio.sleep(self._pause(done, time.monotonic() - started, arrived))
                step = asyncio.ensure_future(asyncio.to_thread(self._step))
        finally:
            await asyncio.wait([step])  # its thread uses what is closed next
            self._index.close()
            self._reader.close()

    def forget_cached(self) -> None:
        self._reader.payloads.forget_cached()

    def _pause(self, done: int, took: float, arrived: bool) -> float:
        """While events arrive, an index takes at most a tenth of the time; what is left over it catches up later. That
        a large message is being committed counts too: the log grows only at its end."""
        behind = done == STEP or (done > 0 and self._index.cut)
        return max(BUSY_PAUSE * took if arrived else 0.0, 0.0 if behind else FOLLOW_S)

    def _step(self) -> int:
        try:
            done = self._index.follow(self._reader, STEP)
        except Exception as e:  # outermost boundary: an index can always be rebuilt, so it never stops the gateway
            if self._problem != str(e):
                log.warning("the %s waits: %s", self._index.what, e, exc_info=not isinstance(e, SealtrailError))
            self._problem = self._health.waiting[self._index.what] = str(e) or repr(e)
            return 0
        self._problem = self._health.waiting[self._index.what] = ""
        self.position = self._index.position
        return done


class Followers:
    """All indexes of a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        indexes = (Index(gateway.folder, gateway.access.settings), EventIndex(gateway.folder))
        self._all: Sequence[Follower] = [Follower(gateway, index) for index in indexes]

    async def run(self) -> None:
        """Follow until cancelled."""
        await asyncio.gather(*(one.run() for one in self._all))

    @property
    def position(self) -> int:
        """How many leaves of the log are in every index."""
        return min(one.position for one in self._all)

    async def caught_up(self, size: int) -> None:
        """Wait until every index holds this many leaves."""
        while self.position < size:
            await asyncio.sleep(FOLLOW_S / 5)

    async def forgot(self) -> None:
        """Wait until no index holds anything of what is erased by now."""
        with closing(SiteReader.open(self._gateway.folder)) as reader:
            erasures = reader.erasures.destroyed()
        while min(one.erasures for one in self._all) < erasures:
            await asyncio.sleep(FOLLOW_S / 5)
        for one in self._all:
            one.forget_cached()
