"""Watches the shipments under way that concern this gateway, each in a task of its own.

Of those whose loggers report here it makes reports. Of the others it watches the clock: a reporter that falls silent is
called overdue by whoever has a stake in the goods, and the contract holds them.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from chaincode.coldchain.holding import due_us
from chaincode.errors import Code, ContractError
from crypto.errors import SealtrailError
from gateway.coldchain.collector import Room
from gateway.coldchain.ledger_view import LedgerView
from gateway.coldchain.reporting import Reporter
from gateway.coldchain.store import ShipmentStore, Tracked
from gateway.device.backoff import Backoff
from gateway.pipeline.committer import Committed
from gateway.supply.ground import Ground
from gateway.supply.proving import Prover

log = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 0.5, 60.0  # pauses while the ledger or the log is away
_SHARE = 4  # after a look one rests so many times as long as it took, a second at most: many readings, few looks
_MARGIN_S = 5.0  # behind its time a report is called overdue within so long: partners do not all call at once
Watch = Callable[[bytes, str], Awaitable[int]]  # logs that a shipment is watched


@dataclass(slots=True)
class _Watched:
    tracked: Tracked
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    problem: str = ""
    reporter: Reporter | None = None


class Watching:
    """On the event loop."""

    def __init__(
        self, ground: Ground, view: LedgerView, store: ShipmentStore, watch: Watch, prover: Prover
    ) -> None:  # fmt: skip
        """`watch(shipment id, act)` makes a record of the gateway's own and returns its index."""
        self._ground, self._view, self._store, self._watch = ground, view, store, watch
        self._prover, self._room = prover, Room()
        self._watched: dict[bytes, _Watched] = {}
        self._by_source: dict[str, set[bytes]] = defaultdict(set)

    def add(self, tracked: Tracked) -> None:
        """Watch it from now on."""
        if tracked.id in self._watched or tracked.done:
            return
        one = self._watched[tracked.id] = _Watched(tracked)
        if self._reports(tracked):
            for logger in tracked.shipment.loggers:
                self._by_source[logger.source].add(tracked.id)
        one.task = asyncio.create_task(self._run(one))

    async def drop(self, shipment_id: bytes) -> None:
        """Watch it no more."""
        if (one := self._watched.get(shipment_id)) and one.task:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)
            self._forget(one)

    def committed(self, news: Committed) -> None:
        """Readings of watched loggers may be among these."""
        if self._by_source:
            for source in {judged.came.source for judged in news.judged} & self._by_source.keys():
                for shipment_id in self._by_source[source]:
                    self.wake(shipment_id)

    def wake(self, shipment_id: bytes) -> None:
        if one := self._watched.get(shipment_id):
            one.woken.set()

    def problems(self) -> dict[bytes, str]:
        """Why shipments cannot be reported now, by their ids."""
        return {one.tracked.id: one.problem for one in self._watched.values() if one.problem}

    async def close(self) -> None:
        tasks = [one.task for one in self._watched.values() if one.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _reports(tracked: Tracked) -> bool:
        return tracked.first is not None

    async def _run(self, one: _Watched) -> None:
        look: Callable[[], Awaitable[int | None]] | None = None
        backoff = Backoff(_FIRST_S, _LONGEST_S)
        while True:
            one.woken.clear()
            began = time.monotonic()
            try:
                look = look or await self._opened(one)
                again_us = await look()
                one.problem = ""
                backoff.reset()
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if one.problem != str(e):
                    known = isinstance(e, SealtrailError)
                    log.warning("shipment %s waits: %s", one.tracked.id.hex()[:16], e, exc_info=not known)
                one.problem = str(e) or repr(e)
                await asyncio.sleep(backoff.next())
                continue
            if again_us is None:
                await self._finish(one)
                return
            await asyncio.sleep(min(1.0, _SHARE * (time.monotonic() - began)) if one.woken.is_set() else 0)
            await _until(one.woken, again_us)

    async def _opened(self, one: _Watched) -> Callable[[], Awaitable[int | None]]:
        tracked = one.tracked
        if not self._reports(tracked):
            return lambda: self._look_at_others(tracked)
        if tracked.leaf is None:
            leaf = await self._watch(tracked.id, "watch")
            tracked = one.tracked = replace(tracked, leaf=leaf)
            await asyncio.to_thread(self._store.put, tracked)
        assert tracked.leaf is not None
        one.reporter = Reporter(self._ground, self._view, self._prover, tracked, tracked.leaf, self._room)
        return one.reporter.look

    async def _look_at_others(self, tracked: Tracked) -> int | None:
        """Call it overdue where it is; when to look again."""
        shipment, progress = await self._view.shipment(tracked.id)
        if progress.complete:
            return None
        due, now_us = due_us(shipment, progress, tracked.policy), time.time_ns() // 1000
        if now_us <= due:
            return due + round(random.uniform(0.05, 1.0) * self._margin_s(tracked) * 1e6)  # noqa: S311
        try:
            await self._ground.ledger.submit("coldchain.overdue", tracked.id)
        except ContractError as e:
            if e.code is not Code.NOT_OVERDUE:
                raise
        return now_us + tracked.policy.interval_s * 1_000_000

    @staticmethod
    def _margin_s(tracked: Tracked) -> float:
        return min(_MARGIN_S, tracked.policy.interval_s / 4)

    async def _finish(self, one: _Watched) -> None:
        tracked = one.tracked
        await asyncio.to_thread(self._store.put, replace(tracked, done=True))
        self._forget(one)

    def _forget(self, one: _Watched) -> None:
        tracked = one.tracked
        self._watched.pop(tracked.id, None)
        if one.reporter:
            one.reporter.close()
        for logger in tracked.shipment.loggers:
            if known := self._by_source.get(logger.source):
                known.discard(tracked.id)
                if not known:
                    del self._by_source[logger.source]


async def _until(woken: asyncio.Event, at_us: int) -> None:
    try:
        async with asyncio.timeout(max(0.0, at_us / 1e6 - time.time())):
            await woken.wait()
    except TimeoutError:
        pass
