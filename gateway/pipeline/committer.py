"""The one writer: takes what the doors brought, makes batches, commits each durably, then tells everybody.

A thread of its own owns the site's writing connection, so reading sockets and syncing the disk overlap and
each commit takes whatever arrived during the last one (group commit). Nothing is acknowledged before `COMMIT` has
returned with synchronous=FULL.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from chain.errors import DiskFullError, StoreError
from chain.seal import seal_hash
from chain.site import SiteWriter
from crypto.errors import SealtrailError
from gateway.ingest.inbound import Verdict
from gateway.pipeline.acknowledging import StoredNumbers
from gateway.pipeline.admission import PlainNumbers
from gateway.pipeline.batch import Batch
from gateway.pipeline.disk import DiskBound
from gateway.pipeline.group import Group, Judged, together
from gateway.pipeline.hashes import RecentHashes
from gateway.pipeline.inbox import Inbox
from gateway.pipeline.opening import Openers
from gateway.pipeline.overdue import OverdueSeals
from gateway.pipeline.sealing import Sealing
from gateway.pipeline.sources import SourceBook
from gateway.pipeline.watch import Watch
from gateway.pipeline.writing import write

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_BATCH_BYTES = 4 * 1024 * 1024
STALLED_S = 5.0  # a commit that takes longer is told as a problem
IDLE_S = 0.5  # how often pending seals and the disk are looked at when nothing arrives


@dataclass(slots=True)
class Counters:
    """Since the start; read by the status page, written by the committer only."""

    received: int = 0  # events admitted, duplicate or refused
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    commits: int = 0
    log_size: int = 0  # leaves that are durable


@dataclass(frozen=True, slots=True)
class Committed:
    """News for the event loop after a commit."""

    judged: list[Judged]
    stored: list[StoredNumbers] = field(default_factory=list)
    urgent: bool = False


class Committer:
    """The pipeline's writing thread. Doors put into its `inbox`."""

    def __init__(
        self, site: SiteWriter, book: SourceBook, disk: DiskBound, numbers: PlainNumbers, *,
        loop: asyncio.AbstractEventLoop, on_commit: Callable[[Committed], None], late_after_us: int,
        queue_bytes: int, seal_overdue_s: float = 300.0,
    ) -> None:  # fmt: skip
        self._site, self._book, self._disk, self._numbers = site, book, disk, numbers
        self._loop, self._on_commit = loop, on_commit
        self._late_after_us = late_after_us
        self.inbox = Inbox(loop, queue_bytes)
        self._recent = RecentHashes()
        self._openers = Openers(late_after_us)
        self._sealing = Sealing(site, self._recent)
        self._watch = Watch(site, self._sealing)
        self._overdue = OverdueSeals(site.notices, seal_overdue_s)
        self._writing = threading.Lock()  # held from the first look at a batch's sources to its commit
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self.counters = Counters(log_size=site.log.size)
        self.failure: SealtrailError | None = None
        self._since = 0.0  # when the commit that is being made began; 0 between commits

    # -- called on the event loop's thread

    def start(self) -> None:
        self._thread.start()

    @property
    def problem(self) -> str:
        """Why nothing is stored now; empty while all is well."""
        if self.failure:
            return str(self.failure)
        since = self._since  # read once: the committer's thread sets it
        if since and time.monotonic() - since > STALLED_S:
            seconds = f"{STALLED_S:.0f} s"
            return f"a commit takes longer than {seconds}: the disk is slow or hangs. New events wait at their sources"
        return ""

    async def settled(self) -> None:
        """Wait for the commit in flight: what is judged from now on is judged by the sources' present keys."""
        await asyncio.to_thread(self._wait_for_commit)

    def _wait_for_commit(self) -> None:
        with self._writing:
            pass

    def between_commits(self, work: Callable[[SiteWriter], T]) -> T:
        """Do something with the writing connection while no commit is in flight; on a thread that may wait. New events
        wait at their sources meanwhile."""
        with self._writing:
            try:
                return work(self._site)
            finally:
                self._site.forget_cached()
                self.counters.log_size = self._site.log.size

    def stop(self) -> None:
        """Commit what is queued, then end the thread."""
        self.inbox.close()
        if self._thread.is_alive():
            self._thread.join()
        self._sealing.close()

    # -- the committer's own thread

    def _run(self) -> None:
        while (came := self.inbox.take(MAX_BATCH_BYTES, IDLE_S)) is not None:
            taken = together(came)
            self._since = time.monotonic()
            try:
                with self._writing:
                    self._commit(taken)
            except Exception as e:  # the outermost boundary of this thread: it must outlive any one batch
                self._failed(taken, e)
            self._since = 0.0

    def _failed(self, taken: list[Judged], error: Exception) -> None:
        """The store failed, or the program has a fault: nothing of this batch is acknowledged, its sources
        keep it, readiness says why, and the next batch is tried after a pause."""
        failure = error if isinstance(error, SealtrailError) else StoreError(f"internal fault: {error!r}")
        if not _same(failure, self.failure):  # once, not twice a second while it lasts
            log.error("commit failed: %s", failure, exc_info=not isinstance(error, SealtrailError))
        self.failure = failure
        self._since = 0.0
        self._disk.look_again()
        for judged in taken:
            judged.verdicts[:] = [Verdict.QUOTA_EXCEEDED] * len(judged.payloads)
        self._tell(Committed(taken))
        time.sleep(IDLE_S)

    def _commit(self, taken: list[Judged]) -> None:
        if self._disk.exceeded():
            raise DiskFullError(self._disk.explain())
        batch = Batch(self._site, self._book, self._numbers, self._openers, self._sealing, self._late_after_us)
        logged_us = time.time_ns() // 1000
        try:
            for judged in taken:
                batch.judge(judged)
            batch.judge_seals()
            with self._site.db.transaction() as tx:
                first = self.counters.log_size
                batch.place(first)
                written = write(self._site, tx, batch, first, logged_us)
                self._watch.look(tx, batch, logged_us)
                self._overdue.tell(tx, logged_us)
                if self.failure:
                    self._site.db.touch(tx)
        except BaseException:
            self._undo(batch)
            raise
        if self.failure:
            log.info("events are stored again")
        self.failure = None
        self._count(batch, written)
        self._remember(batch)
        if taken:
            self._tell(Committed(taken, self._news(batch, logged_us), batch.urgent))

    def _undo(self, batch: Batch) -> None:
        """Nothing was written: memory must not know what the disk does not."""
        for name, group in batch.groups.items():
            if group.source.plain:
                self._numbers.give_back(name, group.count)
        self._site.forget_cached()
        self._watch.undo()
        self.counters.log_size = self._site.log.size

    def _count(self, batch: Batch, written: int) -> None:
        counters = self.counters
        counters.stored += batch.events
        counters.duplicates += batch.duplicates
        counters.rejected += len(batch.refused)
        counters.received += batch.events + batch.duplicates + len(batch.refused)
        counters.commits += bool(batch.groups or batch.refused)
        counters.log_size += written

    def _remember(self, batch: Batch) -> None:
        self._overdue.note(batch)
        for name, group in batch.groups.items():
            for stretch in group.stretches:
                self._recent.add(name, stretch.boot, stretch.first, stretch.hashes)
            for s in group.seals:
                self._recent.sealed(name, s.seal.boot, s.seal.first + s.seal.count)
            self._sealing.remember(group)

    def _news(self, batch: Batch, logged_us: int) -> list[StoredNumbers]:
        size = self.counters.log_size
        return [
            StoredNumbers(name, _numbers(group), group.known, self._sealed(group), size, logged_us, group.session)
            for name, group in batch.groups.items()
            if not group.source.plain
        ]

    def _sealed(self, group: Group) -> bytes | None:
        """Hash of the source's newest stored seal, so that it may forget what that covers; None for none."""
        newest = self._sealing.newest(group.source.name)
        return seal_hash(newest.signed.seal) if newest else None

    def _tell(self, news: Committed) -> None:
        self._loop.call_soon_threadsafe(self._on_commit, news)


def _same(failure: SealtrailError, before: SealtrailError | None) -> bool:
    """Whether this is what was told before. A full disk is told in figures that change."""
    return str(failure) == str(before) or (isinstance(failure, DiskFullError) and isinstance(before, DiskFullError))


def _numbers(group: Group) -> list[tuple[int, int, bytes]]:
    return [(stretch.boot, stretch.first, stretch.hashes) for stretch in group.stretches]
