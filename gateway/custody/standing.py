"""Why transitions that nothing is wrong with are not told to the ledger: what stands before them in the queue.

Tasks about one thing are done in their order, so one that waits holds up all that are behind it. Nothing is kept for
this: it is read where they are shown. Trust boundary: none; custody.db is this gateway's own.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.custody.database import Store
from gateway.custody.lots import COMMISSION
from gateway.custody.schema import TaskState
from gateway.custody.tasks import DATA, Task, Tasks

MAX_LOOKED_AT = 2000  # steps along the row for one page of tasks; beyond that the one right before is named
_OWN = """SELECT task.id FROM about JOIN task ON task.id = about.task
    WHERE about.uri = ? AND task.name = ? AND task.state IN (0, 1) ORDER BY task.id"""


@dataclass(frozen=True, slots=True)
class Standing:
    """`behind`: the number of the one at the head of the row, which is not behind any other; None: none is before it.
    `reason`: why it is not done, in words."""

    behind: int | None
    reason: str


class Standings:
    """Of the tasks of one page; what was looked up once is known to the others. Blocks for moments."""

    def __init__(self, store: Store, tasks: Tasks) -> None:
        self._store, self._tasks, self._left = store, tasks, MAX_LOOKED_AT
        self._heads, self._said, self._own = dict[int, int](), dict[int, str](), dict[str, Task | None]()

    def of(self, tasks: Sequence[Task]) -> list[Standing]:
        """In the same order."""
        with self._store.reading() as db:  # all as it stands at one moment
            return [self._one(db, task) for task in tasks]

    def _one(self, db: sqlite3.Connection, task: Task) -> Standing:
        if task.state is TaskState.PENDING and (head := self._before(db, task.id)):
            return Standing(head, f"behind {self._words(head)}")
        if task.state is TaskState.WAITING and task.waits and not task.waits.startswith(DATA):
            return self._waits_for(db, task, task.waits)
        return Standing(None, task.reason)

    def _waits_for(self, db: sqlite3.Connection, task: Task, lot: str) -> Standing:
        """It waits for the ledger to be told of a lot; that may stand behind another itself."""
        own = self._telling_of(db, lot)
        if own is None:
            return Standing(None, task.reason)
        if head := self._before(db, own.id):
            return Standing(head, f"{task.reason}: transition {own.id} ({own.name}) is behind {self._words(head)}")
        return Standing(None, f"{task.reason}: first comes {self._words(own.id)}")

    def _telling_of(self, db: sqlite3.Connection, lot: str) -> Task | None:
        """The open task that tells the ledger of this lot itself."""
        if lot not in self._own:
            found = (self._tasks.get(row[0]) for row in db.execute(_OWN, (lot, COMMISSION)).fetchall())
            self._own[lot] = next((one for one in found if one and one.things[0] == lot), None)
        return self._own[lot]

    def _before(self, db: sqlite3.Connection, number: int) -> int | None:
        """What is at the head of the row that it stands in."""
        row, at = list[int](), number
        while at not in self._heads:
            found = db.execute("SELECT behind FROM task WHERE id = ? AND state = 0", (at,)).fetchone()
            if found is None or found[0] is None:
                self._heads[at] = at
                break
            row.append(at)
            at = int(found[0])
            if not self._left:
                return row[1] if len(row) > 1 else at
            self._left -= 1
        head = self._heads[at]
        self._heads.update(dict.fromkeys(row, head))
        return head if head != number else None

    def _words(self, number: int) -> str:
        if number not in self._said:
            task = self._tasks.get(number)
            self._said[number] = _words(task) if task else f"transition {number}"
        return self._said[number]


def _words(task: Task) -> str:
    said = f"transition {task.id} ({task.name}"
    if task.reason:
        said += f": {task.reason}"
    if task.until_us is not None:
        said += f"; until {datetime.fromtimestamp(task.until_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
    return said + ")"
