"""One target's queue: its oldest delivery is tried until it is taken, then the next.

A try that failed is made again after a pause that doubles up to a bound, with jitter. Targets whose last try failed
share few threads, the others have many: a dead one delays no other.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from crypto.errors import SealtrailError
from gateway.delivery import changes
from gateway.delivery.carriers import Line
from gateway.delivery.disk import Disk
from gateway.delivery.errors import SendError
from gateway.delivery.target import Delivery, Target
from gateway.device.backoff import Backoff

log = logging.getLogger(__name__)
_QUICK, _SLOW = 32, 8  # threads for targets whose last try worked, and for the others
_REFUSED_TRIES = 10  # a refusal of just this delivery must stay for so many tries


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: the pause after the first failure, the longest pause, how long one try may take, and how long a
    delivery that is refused itself (400, 413, 415, 422) holds up those behind it."""

    first_s: float = 1.0
    longest_s: float = 300.0
    try_s: float = 30.0
    refused_s: float = 3600.0


DAYS = Patience()


Alert = Callable[[str, str], Awaitable[None]]


class Lanes:
    """The threads in which lines send."""

    def __init__(self) -> None:
        self.quick, self.slow = ThreadPoolExecutor(_QUICK, "outbox"), ThreadPoolExecutor(_SLOW, "outbox-slow")

    async def close(self) -> None:
        for pool in (self.quick, self.slow):
            await asyncio.to_thread(pool.shutdown)


@dataclass(frozen=True, slots=True)
class Means:
    """What all queues share. `say_lost(name, text)`: deliveries of this target are gone for good."""

    disk: Disk
    lanes: Lanes
    patience: Patience
    open: Callable[[Target], Line]
    say_lost: Alert | None


class Serving:
    """Runs on the event loop while something waits. `failing_since_us` is 0 while its target takes what comes."""

    def __init__(self, target: Target, number: int, means: Means, failing_since_us: int = 0) -> None:
        self.target, self.number, self.failing_since_us = target, number, failing_since_us
        self.problem, self.lost = "", False  # whether deliveries were put out since the target took one
        self._means, self._backoff = means, Backoff(means.patience.first_s, means.patience.longest_s)
        self._line: Line | None = None
        self._task: asyncio.Task[None] | None = None
        self._more = self._ending = False
        self._nudge, self._asked_wait_s = asyncio.Event(), 0.0

    def wake(self) -> None:
        """Something was added."""
        self._more = True
        if self._task is None and not self._ending:
            self._task = asyncio.create_task(self._run())

    def retry(self) -> None:
        """Try now what would be tried after its pause."""
        self._nudge.set()

    async def change(self, target: Target) -> None:
        """The same queue with another URL, secret or bounds, from the next try on."""
        if target != self.target:
            self.target = target
            await self._close_line()

    async def note_lost(self, text: str) -> None:
        """Said once until the target takes something again; the counts say how many."""
        if not self.lost:
            self.lost = True
            log.error("%s: %s", self.target.name, text)
            if self._means.say_lost:
                with contextlib.suppress(SealtrailError):  # a disk that takes nothing; it is in the program's log
                    await self._means.say_lost(self.target.name, text)

    async def end(self, within_s: float) -> None:
        """What is being sent has so long to end."""
        self._ending = True
        self._nudge.set()
        if self._task:
            await asyncio.wait([self._task], timeout=within_s)
            if self._line:
                self._line.cut()
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close_line()

    async def _run(self) -> None:
        """Until nothing waits. No `await` stands between the last look and the end, so nothing is overlooked."""
        try:
            while not self._ending:
                self._more = False
                try:
                    if delivery := await self._means.disk.read(lambda: self._means.disk.store.next(self.number)):
                        await self._attempt(delivery)
                    elif not self._more:
                        return
                except SealtrailError as e:
                    self._failing(e)
                    await self._pause()
        finally:
            self._task = None

    async def _attempt(self, delivery: Delivery) -> None:
        """One try, and what follows from it."""
        try:
            await self._send(delivery)
        except SendError as e:
            self._failing(e)
            await self._failed(delivery, e)
            await self._pause()
            return
        await self._means.disk.write(changes.taken(self.number, delivery))
        if self.failing_since_us:
            log.info("%s takes deliveries again", self.target.name)
        self.failing_since_us, self.problem, self.lost = 0, "", False
        self._backoff.reset()

    async def _send(self, delivery: Delivery) -> None:
        lanes, loop = self._means.lanes, asyncio.get_running_loop()
        self._line = line = self._line or self._means.open(self.target)
        cut = loop.call_later(self._means.patience.try_s, line.cut)
        try:
            await loop.run_in_executor(lanes.slow if self.failing_since_us else lanes.quick, line.send, delivery)
        except SealtrailError:
            raise
        except OSError as e:
            raise SendError(str(e) or type(e).__name__) from e
        except Exception as e:  # a fault of the carrier: it must not end this target's queue
            log.exception("a delivery to %s failed", self.target.name)
            raise SendError(repr(e)) from e
        finally:
            cut.cancel()

    def _failing(self, error: SealtrailError) -> None:
        if not self.failing_since_us:
            self.failing_since_us = time.time_ns() // 1000
            log.warning("%s does not take deliveries: %s", self.target.name, error)
        self.problem = str(error)

    async def _failed(self, delivery: Delivery, error: SendError) -> None:
        self._asked_wait_s = error.wait_s
        if self._ending:
            return  # it may have been cut short by us
        reason = self._hopeless(delivery, refused=error.refused)
        if not reason:
            await self._means.disk.write(changes.failed(delivery))
            return
        await self._means.disk.write(changes.giving_up(self.number, delivery, f"{reason}: {error}"))
        await self.note_lost(f"a delivery was put out {reason}: {error}")

    def _hopeless(self, delivery: Delivery, *, refused: bool) -> str:
        """Why a delivery is given up after this try; empty where it is not. A clock that jumps puts out only what was
        tried first, one in each pause."""
        age_s, tries = time.time() - delivery.added_us / 1e6, delivery.tries + 1
        if age_s > self.target.bounds.age_s:
            return f"after {age_s / 86400:.1f} days"
        if refused and tries >= _REFUSED_TRIES and age_s > self._means.patience.refused_s:
            return f"after {tries} tries"
        return ""

    async def _pause(self) -> None:
        self._nudge.clear()
        if self._ending:
            return
        asked, self._asked_wait_s = min(self._asked_wait_s, self._means.patience.longest_s), 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self._backoff.next(), asked)):
                await self._nudge.wait()

    async def _close_line(self) -> None:
        line, self._line = self._line, None
        if line:
            line.cut()
            await asyncio.get_running_loop().run_in_executor(self._means.lanes.quick, line.close)
