"""Sources whose newest events no seal covers yet, and since when: a seal that stays away is an alert.

Until its seal is logged an event rests on the gateway's own word, also one that came in a session. State is in memory,
one entry a source, and begins anew at each start. Owned by the committer.
"""

import sqlite3
import time
from collections.abc import Callable

from msgspec import Struct

from chain.store.notices import Notices
from gateway.pipeline.batch import Batch
from gateway.pipeline.group import Group


class _Unsealed(Struct):
    """Events of `boot` up to `end`; the wait began at `since` (monotonic seconds)."""

    boot: int
    end: int
    since: float


class OverdueSeals:
    """`tell` writes alerts into a transaction; only what `note` hears of was committed."""

    def __init__(self, notices: Notices, after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._notices, self._after_s, self._clock = notices, after_s, clock
        self._unsealed: dict[str, _Unsealed] = {}  # who has waited longest stands first
        self._told: dict[str, _Unsealed] = {}
        self._telling: list[str] = []

    def tell(self, tx: sqlite3.Connection, now_us: int) -> None:
        """Alert for each source that has waited too long, once until a seal comes."""
        self._telling.clear()
        now = self._clock()
        for source, unsealed in self._unsealed.items():
            if now - unsealed.since < self._after_s:
                break
            text = f"no seal came over its events up to boot {unsealed.boot} seq {unsealed.end - 1}"
            self._notices.alert(tx, now_us, "unsealed", source, text, None)
            self._telling.append(source)

    def note(self, batch: Batch) -> None:
        """The batch is committed, with what `tell` wrote."""
        for source in self._telling:
            self._told[source] = self._unsealed.pop(source)
        self._telling.clear()
        for source, group in batch.groups.items():
            if not group.source.plain and (group.seals or group.stretches):
                self._note(source, group)

    def _note(self, source: str, group: Group) -> None:
        before = self._unsealed.get(source) or self._told.get(source)
        events = [(stretch.boot, stretch.first + stretch.count) for stretch in group.stretches]
        newest = max([*events, (before.boot, before.end)] if before else events, default=None)
        sealed = max([(s.seal.boot, s.seal.first + s.seal.count) for s in group.seals], default=None)
        if sealed is None and before is not None:
            assert newest is not None
            before.boot, before.end = newest
            return
        self._unsealed.pop(source, None)
        self._told.pop(source, None)
        if newest is not None and (sealed is None or sealed < newest):
            self._unsealed[source] = _Unsealed(*newest, self._clock())
