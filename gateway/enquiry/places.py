"""How far each subscription has come, in memory: the file learns of it when something was sent, or after a while.

What is lost with the memory is looked through again, and nothing of it is sent twice: where something was sent, the
file knows it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.enquiry.standing import Subscription

WRITTEN_EVERY_S = 10.0
BACK_OFF_S = (1.0, 60.0)


@dataclass(slots=True)
class Place:
    """Of one subscription. `goal` is where the present execution ends, None between two of a schedule."""

    from_leaf: int
    planned: int | None
    written: int  # the record that the file has
    goal: int | None = None
    began_us: int = 0
    due_us: int | None = None  # when the next execution begins; None: the schedule is to be asked
    sent: bool = False  # in this execution
    skipped: bool = False  # it does not stand before initialRecordTime
    rests_until: float = 0.0
    rest_s: float = 0.0

    def begin(self, goal: int, now_us: int) -> None:
        """An execution of a schedule."""
        self.goal, self.began_us, self.sent, self.due_us = goal, now_us, False, None

    def rest(self) -> None:
        """It cannot go on now: look again later, each time twice as long."""
        least, most = BACK_OFF_S
        self.rest_s = min(max(2 * self.rest_s, least), most)
        self.rests_until = time.monotonic() + self.rest_s

    def woken(self) -> None:
        self.rest_s = self.rests_until = 0.0

    @property
    def rests(self) -> bool:
        return time.monotonic() < self.rests_until


@dataclass(slots=True)
class Places:
    """Of all subscriptions there are."""

    _of: dict[str, Place] = field(default_factory=dict)
    _written_at: float = field(default_factory=time.monotonic)

    def joined(self, standing: Iterable[Subscription]) -> list[tuple[Subscription, Place]]:
        """Each with its place; what there is no more is forgotten."""
        pairs = [(one, self._of.get(one.id) or Place(one.from_leaf, one.planned, one.from_leaf)) for one in standing]
        self._of = {one.id: place for one, place in pairs}
        return pairs

    def unwritten(self) -> dict[str, int]:
        """Those whose place the file shall know now; empty in between."""
        if time.monotonic() - self._written_at < WRITTEN_EVERY_S:
            return {}
        self._written_at = time.monotonic()
        return {name: p.from_leaf for name, p in self._of.items() if p.planned is None and p.from_leaf != p.written}

    def wrote(self, those: dict[str, int]) -> None:
        for name, leaf in those.items():
            self._of[name].written = leaf
