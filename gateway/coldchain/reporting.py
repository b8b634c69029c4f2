"""Reports one shipment whose loggers report to this gateway: at once when something happened, else in good time.

What was reported stands on the ledger alone: each look asks it first, so after a crash nothing is said twice. A report
is of entries that were anchored; the contract takes each number once, so of two that crossed on a bad line one counts.
Figures are of all readings so far, a second of work for 100,000: they are made anew at most a fifth of the time, and
what needs none, a reading outside a limit that allows no time, does not wait for them.
"""

import time
from contextlib import closing

from chain.conditions.samples import Sample
from chain.site import SiteReader
from chaincode.coldchain.records import Progress
from chaincode.coldchain.report import Report
from gateway.coldchain.collector import Collector, Room
from gateway.coldchain.judging import end_us, next_look_us, outside_any, outside_now, report_due_us, worth_telling
from gateway.coldchain.ledger_view import LedgerView
from gateway.coldchain.store import Tracked
from gateway.finishing import finished
from gateway.supply.ground import Ground
from gateway.supply.proving import Prover

REST = 4  # after figures were made, so many times as long as that took
LONGEST_REST_S = 30.0


class Reporter:
    """On the event loop; the log is read and figures are computed in threads, one at a time for a shipment."""

    def __init__(
        self, ground: Ground, view: LedgerView, prover: Prover, tracked: Tracked, leaf: int, room: Room
    ) -> None:
        """`leaf`: the record that evidences a report without readings."""
        assert tracked.first is not None
        self._ground, self._view, self._prover, self._leaf = ground, view, prover, leaf
        self._shipment, self._policy = tracked.shipment, tracked.policy
        self._collector = Collector(tracked.shipment, tracked.policy, tracked.first, room)
        self._newest: Sample | None = None  # by its place in the log
        self._at_once = False  # a reading was outside, and no report says so yet
        self._figures_from = 0.0  # when figures may be made again, by the monotonic clock

    def close(self) -> None:
        """Give back the room of its readings."""
        self._collector.drop()

    async def look(self) -> int | None:
        """Look once, report where it is due or something is new. When to look again (µs since 1970), None where the
        shipment is complete."""
        # 1. What the ledger has of it.
        _, progress = await self._view.shipment(self._shipment.shipment_id)
        if progress.complete:
            return None
        # 2. What was logged since the last look.
        new = await finished(self._collect, self._ground.log_size())
        # 3. A reading outside needs no figures to be worth a report.
        within = [sample.milli for sample in new if sample.time_us >= self._shipment.from_us]
        at_once = self._at_once = not progress.held and (self._at_once or outside_now(self._policy, within))
        if not at_once and not self._due(progress):
            if (rest_s := self._figures_from - time.monotonic()) > 0:
                return min(self._next_us(progress), _now_us() + round(rest_s * 1e6))
            at_once = await self._worth_telling(progress)
        # 4. Then it is reported, from an anchored state of the log.
        if at_once or self._due(progress):
            progress = await self._submit(progress)
            self._at_once = False
        if progress.complete:
            return None
        return self._next_us(progress)

    async def _worth_telling(self, progress: Progress) -> bool:
        began = time.monotonic()
        report = await finished(self._report, progress, self._collector.end)
        took_s = time.monotonic() - began
        self._figures_from = began + took_s + min(LONGEST_REST_S, REST * took_s)
        outside = outside_any(self._policy, self._collector.newest())
        return worth_telling(self._shipment, self._policy, progress, report, outside, _now_us())

    def _next_us(self, progress: Progress) -> int:
        return next_look_us(self._shipment, self._policy, progress, self._collector.newest(), _now_us())

    def _due(self, progress: Progress) -> bool:
        due_us = report_due_us(self._shipment, self._policy, progress)
        return progress.closed is not None or _now_us() >= due_us

    async def _submit(self, progress: Progress) -> Progress:
        end = await self._prover.head(max(self._leaf + 1, self._collector.end))
        await finished(self._collect, end)
        report = await finished(self._report, progress, end)
        leaf = self._leaf if self._newest is None or self._newest.leaf >= end else self._newest.leaf
        evidence = await self._prover.under(leaf, end)
        done = await self._ground.ledger.submit(
            "coldchain.report", self._shipment.shipment_id, report.encode(), evidence
        )
        return Progress.decode(done.result)

    def _collect(self, end: int) -> list[Sample]:
        with closing(SiteReader.open(self._ground.folder)) as reader:
            new = self._collector.collect(reader, end)
        if new:
            self._newest = max(new, key=lambda sample: sample.leaf)
        return new

    def _newest_us(self) -> list[int | None]:
        return [sample and sample.time_us for sample in self._collector.newest()]

    def _report(self, progress: Progress, end: int) -> Report:
        newest = self._newest_us()
        to_us = end_us(self._shipment, self._policy, progress, newest, _now_us())
        return self._collector.report(progress.seq + 1, to_us, end)


def _now_us() -> int:
    return time.time_ns() // 1000
