"""What the committer keeps an eye on: seals whose events are late, gaps that stay, excursions that begin.

Each becomes an alert in the same commit. State is small, bounded, and rebuilt from the store after a failed commit.
"""

import sqlite3
import time

from chain.event import Span
from chain.record import RecordFlag
from chain.site import SiteWriter
from chain.store.seals import SealState, StoredSeal
from gateway.pipeline.batch import Batch
from gateway.pipeline.group import Group
from gateway.pipeline.sealing import Sealing

GAP_AFTER_S = 10.0  # how long a sealed event may be missing before a person is told
_OUT_OF_RANGE = int(RecordFlag.OUT_OF_RANGE)
MAX_WAITING = 100_000  # gaps not told yet; what is beyond is told after the next start


class Watch:
    """Looks at every batch and, between batches, at the clock."""

    def __init__(self, site: SiteWriter, sealing: Sealing) -> None:
        self._site, self._sealing = site, sealing
        self._outside: frozenset[str] = frozenset()  # sources whose newest reading is out of range
        self._outside_before = self._outside
        # Leaf of a seal with a gap not told yet → since when, oldest first; 0 where it was found at start. Monotonic
        # seconds: a clock of the day that jumps back must not put an alert off.
        self._waiting: dict[int, float] = {}
        self._open: set[str] = set()  # sources that may have a seal with a gap
        self.undo()

    def undo(self) -> None:
        """Forget what a rolled-back transaction changed."""
        self._outside = self._outside_before
        known, leaves = self._waiting, self._site.seals.untold_gaps(MAX_WAITING)
        self._waiting = {leaf: known.get(leaf, 0.0) for leaf in leaves}
        self._open = self._site.seals.pending_sources()

    def look(self, tx: sqlite3.Connection, batch: Batch, now_us: int) -> None:
        """Write alerts and settle pending seals in the batch's own transaction."""
        self._outside_before = self._outside
        for name, group in batch.groups.items():
            self._excursions(tx, group, now_us)
            waiting = [seal for seal in group.seals if seal.state is SealState.PENDING]
            for seal in waiting if len(self._waiting) < MAX_WAITING else ():
                self._waiting[seal.leaf] = time.monotonic()
            if waiting:
                self._open.add(name)
            if name in self._open:
                self._fill(tx, group, now_us)
        self._tell_gaps(tx, now_us)

    def _excursions(self, tx: sqlite3.Connection, group: Group, now_us: int) -> None:
        name, begun = group.source.name, list[tuple[int, int]]()  # boot and seq
        for stretch in group.stretches:
            if not any(stretch.flags) and name not in self._outside:
                continue  # nearly always
            for at, bits in enumerate(stretch.flags):
                outside = bool(bits & _OUT_OF_RANGE)
                if outside is (name in self._outside):
                    continue
                self._outside = self._outside | {name} if outside else self._outside - {name}
                if outside:
                    begun.append((stretch.boot, stretch.first + at))
        if begun:  # one alert, however often: what alternates must not push others out of the table
            (boot, seq), more = begun[0], len(begun) - 1
            text = f"out of its allowed range from boot {boot} seq {seq}"
            text += f", and {more:,} times more" if more else ""
            self._site.notices.alert(tx, now_us, "excursion", name, text, self._site.ranges.leaf_of(name, boot, seq))

    def _fill(self, tx: sqlite3.Connection, group: Group, now_us: int) -> None:
        """Settle the seals whose last missing events are in this batch."""
        for stretch in group.stretches:
            for stored in self._site.seals.pending_over(group.source.name, stretch.boot, stretch.first, stretch.count):
                state = self._sealing.resolve(stored)
                if state is SealState.PENDING:
                    continue
                self._site.seals.set_state(tx, stored.leaf, state)
                self._waiting.pop(stored.leaf, None)
                if state is SealState.BROKEN:
                    text = "the events that arrived are not those that were sealed"
                    self._alert(tx, "broken-seal", stored, text, now_us)

    def _tell_gaps(self, tx: sqlite3.Connection, now_us: int) -> None:
        now = time.monotonic()
        for leaf, since in list(self._waiting.items()):
            if not since:
                self._waiting[leaf] = now  # it gets its time again
            elif now - since <= GAP_AFTER_S:
                break
            else:
                del self._waiting[leaf]
                if (stored := self._site.seals.at(leaf)) is not None:
                    self._alert(tx, "gap", stored, _describe(self._missing(stored)), now_us)

    def _missing(self, stored: StoredSeal) -> list[Span]:
        seal = stored.seal
        return self._site.ranges.missing(seal.source, seal.span)

    def _alert(self, tx: sqlite3.Connection, kind: str, stored: StoredSeal, text: str, now_us: int) -> None:
        where = f"boot {stored.seal.boot}: {text}"
        self._site.notices.alert(tx, now_us, kind, stored.seal.source, where, stored.leaf)


def _describe(missing: list[Span]) -> str:
    parts = [f"{span.first} to {span.last}" if span.count > 1 else str(span.first) for span in missing[:20]]
    more = f" and {len(missing) - 20} more stretches" if len(missing) > 20 else ""
    return f"sealed events never arrived: {', '.join(parts)}{more}"
