"""Finds the unit on its way to us that an event is about: itself, or around what the event names."""

from collections.abc import Callable
from threading import Event

from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.handover.book import Book
from gateway.custody.names import is_lot, is_pack
from gateway.custody.schema import HandoverState, UnitState
from gateway.custody.tasks import Task, Tasks
from gateway.custody.transitions import RECEIVE
from gateway.custody.units import Unit, Units


class Coming:
    """What was handed over to us."""

    def __init__(self, store: Store, units: Units, containers: Containers, tasks: Tasks, book: Book) -> None:
        self._store, self._units, self._containers, self._tasks, self._book = store, units, containers, tasks, book
        self._came, self._after = Event(), 0  # up to where tasks were looked at
        self._came.set()

    def resolve(self) -> int:
        """Let go on what waited for a hand-over that is here; how many. Blocks. Looked at is what is new, and all after
        a hand-over was taken."""
        count, after, last = 0, self._after, self._tasks.last()
        if self._came.is_set():
            self._came.clear()
            after = 0
        try:
            while page := self._tasks.waiting_for_data(after):
                count += sum(self._go_on(task) for task in page)
                after = page[-1].id
        except BaseException:
            self._came.set()
            raise
        self._after = last
        return count

    def revive(self, came: Callable[[Task], None]) -> None:
        """What was given up, and whose hand-over is here now, goes on; `came` hears of each. Blocks. Call it when
        a hand-over was taken."""
        self._came.set()
        for task in self._tasks.without_data():
            with self._store.transaction():
                if self._go_on(task):
                    came(task)

    def _go_on(self, task: Task) -> bool:
        """Do it behind what is to be done with the unit that it came in, if that is here."""
        sender = task.detail[3] if task.name == RECEIVE else None
        unit = self.around(task.things[0], task.detail[0], sender)
        if unit is None or self._taking(unit.origin):
            return False
        with self._store.transaction():
            self._tasks.found(task, [*task.detail[:2], unit.number, *task.detail[3:]], unit.uri)
            self._book.mention([unit.uri], task.leaf)
        return True

    def _taking(self, organisation: str) -> bool:
        """Whether a hand-over of theirs is being checked or taken: of its units not all that is in them may be here."""
        query = "SELECT EXISTS (SELECT 1 FROM handover WHERE state = ? AND organisation = ?)"
        with self._store.reading() as db:
            return bool(db.execute(query, (int(HandoverState.CHECKING), organisation)).fetchone()[0])

    def around(self, thing: str, amount: int | None, sender: str | None = None) -> Unit | None:
        """The outermost unit that is or was on its way to us with this thing in it; one that still is comes first, and
        then one of `sender`, whom the event names."""
        if is_lot(thing):
            return self._with_amount(thing, amount or 0, sender)
        found = self._containers.above(thing)[::-1]
        if not is_pack(thing):  # it may have been opened since, under a generation of our own
            found += self._units.generations(thing)
        handed = [unit for unit in found if unit.origin]
        return max(handed, key=lambda one: (one.state == UnitState.COMING, one.origin == sender), default=None)

    def _with_amount(self, lot: str, amount: int, sender: str | None) -> Unit | None:
        """A unit of the sender with this amount of the lot, or with any of it where none has just that."""
        query = """SELECT unit.id FROM amount JOIN unit lot ON lot.id = amount.lot JOIN unit ON unit.id = amount.parent
            WHERE lot.uri = ? AND unit.state = ?
            ORDER BY unit.origin IS ? DESC, count = ? DESC, unit.id LIMIT 1"""
        with self._store.reading() as db:
            row = db.execute(query, (lot, int(UnitState.COMING), sender, amount)).fetchone()
        if row is None:
            return None
        unit = self._units.numbered(row[0])
        while unit.parent is not None:
            unit = self._units.numbered(unit.parent)
        return unit
