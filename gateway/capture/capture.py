"""Captures documents: what is new goes into the log in one commit, what is there already is told.

Captures that wait together are stored together. Steps for each group:
 1. What of it is in the log already (gateway.capture.known), or twice in the group.
 2. The jobs are noted as running, with the hashes of what is being stored: durable.
 3. All new events go through the pipeline as one message: durable, all or none. Only then is anybody answered.
 4. What came of them is told from then on, and noted with the next group, or soon where there is none.
A gateway killed between 2 and 4 finds the running jobs at its next start and asks the index what of them was stored.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from crypto.errors import SealtrailError
from gateway.access import now_us
from gateway.capture.errors import BusyCaptureError
from gateway.capture.jobs import HASH_BYTES, Job, Jobs, Refused
from gateway.capture.known import Candidate, Known
from gateway.capture.sorting import records, sorted_out, spans
from gateway.device.backoff import Backoff

log = logging.getLogger(__name__)
GROUP_EVENTS = 2000
GROUP_BYTES = 4 * 2**20
MAX_WAITING_BYTES = 64 * 2**20
OVERHEAD = 4096  # bytes counted for each that waits, beside its events
NOTED_WITHIN_S = 0.02
_RECOVERY_PAUSE_S = 0.25
MAX_RECOVERY_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Captured:
    """A finished job, and for each of its events in order the record, and whether it was there already."""

    job: Job
    records: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class _Waiting:
    job: Job
    candidates: Sequence[Candidate]
    answer: "asyncio.Future[Captured]"

    @property
    def size(self) -> int:
        return OVERHEAD + sum(len(candidate.payload) for candidate in self.candidates)


class _Begun(NamedTuple):
    """found: the record of each that is known. new: the places of those to be stored; first_of: of those that come
    twice, where they came first."""

    found: Sequence[int | None]
    new: Sequence[int]
    first_of: Mapping[int, int]
    jobs: Sequence[Job]


class Capture:
    """`append` makes durable records of payloads and gives their indexes: gateway.own_log."""

    def __init__(self, jobs: Jobs, known: Known, append: Callable[[Sequence[bytes]], Awaitable[list[int]]],
                 log_size: Callable[[], int]) -> None:  # fmt: skip
        self.jobs = jobs
        self._known, self._append, self._log_size = known, append, log_size
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self.problem = ""  # what keeps captures from being taken, in words
        self._not_yet = ""  # why none is taken now
        self.size = 0  # one more than the newest record that was captured here

    async def take(self, job: Job, candidates: Sequence[Candidate]) -> Captured:
        """Store these events as this job; returns when all are durable and the job is finished.

        Raises:
            BusyCaptureError: not now; nothing of it was stored.
            StoreError: the disk does not take it; the job says so.
        """
        if self._not_yet:
            raise BusyCaptureError(self._not_yet)
        waiting = _Waiting(job, candidates, asyncio.get_running_loop().create_future())
        self._known.require_room()
        if self._waiting_bytes + waiting.size > MAX_WAITING_BYTES:
            raise BusyCaptureError("too many captures wait for the disk; try again in a few seconds")
        self._waiting.append(waiting)
        self._waiting_bytes += waiting.size
        self._wake.set()
        return await waiting.answer

    async def run(self) -> None:
        """Store what waits, group by group, until cancelled."""
        await self._recover()
        try:
            while True:
                await self._store_waiting()
                await self._note_finished()
                await self._wake.wait()
        finally:
            await self._write_finished()

    async def _note_finished(self) -> None:
        """Unless others come meanwhile, with whom it costs nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTED_WITHIN_S):
                await self._wake.wait()
                return
        await self._write_finished()

    async def _write_finished(self) -> None:
        try:
            await asyncio.to_thread(self.jobs.finish)
        except SealtrailError as e:  # it is told all the same, and noted with the next ones or at the next start
            log.warning("what came of captures is not noted yet: %s", e)

    async def _store_waiting(self) -> None:
        self._wake.clear()
        while self._waiting:
            group = self._next_group()
            try:
                await self._store(group)
            except Exception as e:  # told to whoever waits; the next group is tried as if nothing was
                if not isinstance(e, SealtrailError):
                    log.exception("a capture failed")
                for one in group:
                    if not one.answer.done():
                        one.answer.set_exception(e)

    def _next_group(self) -> list[_Waiting]:
        events = size = 0
        group: list[_Waiting] = []
        while self._waiting and (not group or (events < GROUP_EVENTS and size < GROUP_BYTES)):
            one = self._waiting.pop(0)
            self._waiting_bytes -= one.size
            events, size = events + len(one.candidates), size + one.size
            group.append(one)
        return group

    async def _store(self, group: Sequence[_Waiting]) -> None:
        # 1. What is new.
        candidates = [candidate for one in group for candidate in one.candidates]
        found, new, first_of, jobs = await asyncio.to_thread(self._begin, group, candidates)
        # 3. Durable, all or none.
        try:
            leaves = await self._append([candidates[at].payload for at in new]) if new else []
        except SealtrailError as e:
            self.jobs.finish_later([_failed(job, f"not stored: {e}") for job in jobs])
            raise
        self.size = max(leaves, default=self.size - 1) + 1
        self._known.add((candidates[at], leaf) for at, leaf in zip(new, leaves, strict=True))
        # 4. What came of them.
        self._finish(group, jobs, records(found, dict(zip(new, leaves, strict=True)), first_of))

    def _begin(self, group: Sequence[_Waiting], candidates: Sequence[Candidate]) -> "_Begun":
        """Steps 1 and 2."""
        found = self._known.look(candidates)
        new, first_of = sorted_out(candidates, found)
        jobs, at, stored = list[Job](), 0, set(new)
        for one in group:
            own = [i for i in range(at, at + len(one.candidates)) if i in stored]
            pending = b"".join([candidates[i].hash for i in own])
            known = len(one.candidates) - len(own)
            jobs.append(replace(one.job, pending=pending, since=self._log_size(), duplicates=known))
            at += len(one.candidates)
        return _Begun(found, new, first_of, self.jobs.begin(jobs))

    def _finish(self, group: Sequence[_Waiting], jobs: Sequence[Job], records: list[tuple[int, bool]]) -> None:
        captured, at = list[Captured](), 0
        for one, job in zip(group, jobs, strict=True):
            own = tuple(records[at : at + len(one.candidates)])
            at += len(own)
            stored = [leaf for leaf, known in own if not known]
            done = replace(job, finished_us=now_us(), stored=len(stored), duplicates=len(own) - len(stored),
                           spans=spans(stored), pending=b"")  # fmt: skip
            captured.append(Captured(done, own))
        self.jobs.finish_later([one.job for one in captured])
        for one, told in zip(group, captured, strict=True):
            if not one.answer.done():
                one.answer.set_result(told)

    async def _recover(self) -> None:
        """Finish what a killed gateway left running, as soon as the disk and the index allow."""
        pause = Backoff(_RECOVERY_PAUSE_S, MAX_RECOVERY_PAUSE_S)
        while True:
            try:
                await asyncio.to_thread(self._settle)
                self.problem = self._not_yet = ""
                return
            except BusyCaptureError as e:  # the index has not caught up yet
                self.problem, self._not_yet = "", str(e)
            except Exception as e:  # told to whoever captures, and by the status, until it goes
                if self.problem != (str(e) or repr(e)):
                    log.warning("captures wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
                self._not_yet = f"nothing is captured before what was cut short is settled: {self.problem}"
            await asyncio.sleep(pause.next())

    def _settle(self) -> None:
        done = []
        for job in self.jobs.running():
            hashes = [job.pending[at : at + HASH_BYTES] for at in range(0, len(job.pending), HASH_BYTES)]
            leaves = self._known.stored_since(hashes, job.since)
            missing = len(hashes) - len(self._known.stored_since(hashes, 0))
            settled = replace(
                job, finished_us=now_us(), stored=len(leaves),
                duplicates=job.duplicates + len(hashes) - missing - len(leaves), spans=spans(leaves), pending=b"",
            )  # fmt: skip
            said = f"the gateway ended while it stored this; {missing} events are not in the log: capture it again"
            done.append(_failed(settled, said) if missing else settled)
        if done:
            self.jobs.finish(done)


def _failed(job: Job, reason: str) -> Job:
    return replace(job, finished_us=now_us(), refused=(*job.refused, Refused(0, "", reason)), pending=b"")
