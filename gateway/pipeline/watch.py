"""What the committer keeps an eye on: seals whose events are late, gaps that stay, excursions that begin.

Each becomes an alert in the same commit. State is small and rebuilt from the store after a failed commit.
"""

import sqlite3

from chain.record import RecordFlag
from chain.seal import Seal
from chain.site import SiteWriter
from chain.store.ranges import Span
from chain.store.seals import SealState, StoredSeal
from gateway.pipeline.batch import Batch, Group

GAP_AFTER_US = 10_000_000  # how long a sealed event may be missing before a person is told
MAX_PENDING = 10_000


class Watch:
    """Looks at every batch and, between batches, at the clock."""

    def __init__(self, site: SiteWriter) -> None:
        self._site = site
        self._outside: set[str] = set()  # sources whose newest reading is out of range
        self._pending: dict[int, StoredSeal] = {}
        self._first_seen: dict[int, int] = {}
        self._told: set[int] = set()
        self.reload()

    def reload(self) -> None:
        """Read the pending seals from the store."""
        self._pending = {s.leaf: s for s in self._site.seals.pending(MAX_PENDING)}

    def look(self, tx: sqlite3.Connection, batch: Batch, now_us: int) -> None:
        """Write alerts and settle pending seals in the batch's own transaction."""
        for group in batch.groups.values():
            self._excursions(tx, group, now_us)
        if any(s.state is SealState.PENDING for g in batch.groups.values() for s in g.seals):
            self.reload()
        for stored in list(self._pending.values()):
            self._settle(tx, batch, stored, now_us)

    def _excursions(self, tx: sqlite3.Connection, group: Group, now_us: int) -> None:
        name = group.source.name
        for admitted in group.events:
            outside = bool(admitted.flags & RecordFlag.OUT_OF_RANGE)
            if outside and name not in self._outside:
                event = admitted.event
                text = f"out of its allowed range from boot {event.boot} seq {event.seq}"
                leaf = self._site.ranges.leaf_of(name, event.boot, event.seq)
                self._site.notices.alert(tx, now_us, "excursion", name, text, leaf)
            self._outside = self._outside | {name} if outside else self._outside - {name}

    def _settle(self, tx: sqlite3.Connection, batch: Batch, stored: StoredSeal, now_us: int) -> None:
        touched = stored.seal.source in batch.groups
        state = batch.resolve_pending(stored) if touched or stored.leaf not in self._first_seen else SealState.PENDING
        if state is not SealState.PENDING:
            self._site.seals.set_state(tx, stored.leaf, state)
            del self._pending[stored.leaf]
            self._first_seen.pop(stored.leaf, None)
            self._told.discard(stored.leaf)
            if state is SealState.BROKEN:
                self._alert(tx, "broken-seal", stored, "the events that arrived are not those that were sealed", now_us)
            return
        waited = now_us - self._first_seen.setdefault(stored.leaf, now_us)
        if waited > GAP_AFTER_US and stored.leaf not in self._told:
            self._told.add(stored.leaf)
            self._alert(tx, "gap", stored, _describe(self._missing(stored.seal)), now_us)

    def _missing(self, seal: Seal) -> list[Span]:
        return self._site.ranges.missing(seal.source, Span(seal.boot, seal.first, seal.count))

    def _alert(self, tx: sqlite3.Connection, kind: str, stored: StoredSeal, text: str, now_us: int) -> None:
        where = f"boot {stored.seal.boot}: {text}"
        self._site.notices.alert(tx, now_us, kind, stored.seal.source, where, stored.leaf)


def _describe(missing: list[Span]) -> str:
    parts = [f"{span.first} to {span.last}" if span.count > 1 else str(span.first) for span in missing[:20]]
    more = f" and {len(missing) - 20} more stretches" if len(missing) > 20 else ""
    return f"sealed events never arrived: {', '.join(parts)}{more}"
