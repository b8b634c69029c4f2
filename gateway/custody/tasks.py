"""What the ledger is still to be told, in order, and what it answered: a durable queue of transitions.

A task about a thing waits for earlier ones about the same thing, and for nothing else: one that was refused holds up
nobody. A task may wait for a lot to be closed or for a hand-over; that is seen, and ends at a set time.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crypto import cbor
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError
from gateway.custody.names import PRODUCT
from gateway.custody.schema import TaskState

MAX_WORK_BYTES = 64 * 1024
MAX_PAGE = 500
MAX_SHOWN, MAX_SHOWN_BYTES = 16, 1000  # things of what was refused at once
KEPT, TRIMMED_AT_ONCE = 1_000_000, 1000  # ended tasks; then the oldest go
NOT_OURS = 1_000  # the newest shipments of what another company has that are looked at
REVIVED = 10_000  # the newest that were given up: of these a hand-over that comes late is looked for
TAKE = "take"  # the name of a task whose event, or a part of it, is to be taken again: `Task.detail` says which
# Codes: of what waited for a hand-over that did not come in time, and of what was declared erroneous too late.
NO_DATA, TOO_LATE = "no-data", "declared-too-late"
_FINAL = frozenset({NO_DATA, TOO_LATE})  # trying again changes nothing: the former goes on by itself
DATA = "data "  # how `waits` begins where a task waits for a hand-over
_DATA_END = DATA + "\x7f"
_COLUMNS = "id, leaf, name, work, state, waits, until_us, sent, made_us, ended_us, reason, code, tx_id"

# Whether what one waits for is a unit, a lot or a pack that is known here. A pack's name stands behind DATA and the
# beginning of all products' URIs.
_KNOWN = f"""(EXISTS (SELECT 1 FROM unit WHERE unit.uri = substr(task.waits, {len(DATA) + 1}))
    OR EXISTS (SELECT 1 FROM pack WHERE pack.name = substr(task.waits, {len(DATA + PRODUCT) + 1})))"""
# Left to itself SQLite takes the index of all tasks by state, and goes through those that are none of this kind.
_FREE, _WAITS, _UNTIL, _UNTOLD, _GIVEN_UP, _NOT_OURS = (
    f"task INDEXED BY task_{name}" for name in ("free", "waits", "until", "untold", "given_up", "not_ours")
)
# The last open task before one about the same thing, that does not wait for just that.
_IN_THE_WAY = """(SELECT MAX((
    SELECT other.task FROM about other JOIN task earlier ON earlier.id = other.task
    WHERE other.uri = mine.uri AND other.task < mine.task AND (earlier.state = 0 OR earlier.waits <> mine.uri)
    ORDER BY other.task DESC LIMIT 1
)) FROM about mine WHERE mine.task = task.id)"""


@dataclass(frozen=True, slots=True)
class Task:
    """One transition. `leaf`: the record of the event that it rests on. `things`: what it is about, by URI; `detail`
    depends on `name`: of a TAKE it is [amount, what of the event is taken, number of the unit that came, place of the
    thing in the event or None for all]. Times are microseconds since 1970."""

    id: int
    leaf: int
    name: str
    things: tuple[str, ...]
    detail: Any
    state: TaskState
    waits: str | None
    until_us: int | None
    sent: bool
    made_us: int
    ended_us: int | None
    reason: str
    code: str
    tx_id: str


class Tasks:
    """The queue. Safe to call from several threads; calls block for moments."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(
        self, leaf: int, name: str, things: Iterable[str], detail: cbor.CborValue = None, *, waits: str | None = None,
        until_us: int | None = None, reason: str = "",
    ) -> int:  # fmt: skip
        """Put a transition behind all others; its number. It waits where `waits` is given.

        Raises:
            CustodyError: it is about more than can be read again.
        """
        about = list(dict.fromkeys(things))
        state = TaskState.PENDING if waits is None else TaskState.WAITING
        work = cbor.encode([list(about), detail])
        if len(work) > MAX_WORK_BYTES:
            raise CustodyError(
                f"{name} of {about[0]:.200} is about {len(about)} things at once, too many; split the event"
            )
        with self._store.transaction() as tx:
            query = (
                "INSERT INTO task (leaf, name, work, state, waits, until_us, made_us, reason) VALUES (?,?,?,?,?,?,?,?)"
            )
            row = (leaf, name, work, int(state), waits, until_us, now_us(), reason)
            number = int(tx.execute(query, row).lastrowid or 0)
            tx.executemany("INSERT INTO about VALUES (?, ?)", [(uri, number) for uri in about])
        return number

    def refuse_at_once(
        self, leaf: int, name: str, things: Iterable[str], reason: str, code: str, place: int | None = None
    ) -> int:  # fmt: skip
        """Note what an event asks for and what cannot be, with the first things that it is about; its number. `place`:
        of the one thing in the event that cannot be."""
        shown = [uri for uri in things if len(uri) <= MAX_SHOWN_BYTES][:MAX_SHOWN]
        number = self.add(leaf, name, shown, {"place": place})
        self.end(number, TaskState.REFUSED, reason=reason, code=code)
        return number

    def end(self, number: int, state: TaskState, *, reason: str = "", code: str = "", tx_id: str = "") -> None:
        """It is done, refused or void; what waited for it goes on."""
        with self._store.transaction() as tx:
            query = (
                "UPDATE task SET state = ?, ended_us = ?, reason = ?, code = ?, tx_id = ?, behind = NULL,"
                " waits = CASE WHEN ? THEN waits END WHERE id = ?"  # what was given up still says for what it waited
            )
            tx.execute(query, (int(state), now_us(), reason[:1000], code, tx_id, code == NO_DATA, number))
            tx.execute("DELETE FROM about WHERE task = ?", (number,))
            tx.execute("UPDATE task SET behind = NULL WHERE behind = ?", (number,))

    def sending(self, numbers: Sequence[int]) -> None:
        """They are being submitted: from now on the ledger may have taken them."""
        with self._store.transaction() as tx:
            tx.executemany("UPDATE task SET sent = 1 WHERE id = ?", [(number,) for number in numbers])

    def found(self, task: Task, detail: cbor.CborValue, uri: str) -> None:
        """What it waited for is there: it is about this unit too, and is to be done."""
        with self._store.transaction() as tx:
            changes = "state = ?, waits = NULL, until_us = NULL, ended_us = NULL, reason = '', code = '', work = ?"
            query = f"UPDATE task SET {changes} WHERE id = ?"
            about = list(dict.fromkeys([*task.things, uri]))
            tx.execute(query, (int(TaskState.PENDING), cbor.encode([list(about), detail]), task.id))
            tx.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", [(one, task.id) for one in about])

    def hold(self, uri: str, reason: str) -> None:
        """What is about this and was not submitted waits for it. Once it goes on, what it was behind may wait itself,
        for just that, and so be in nobody's way."""
        with self._store.transaction() as tx:
            query = """UPDATE task SET state = ?, waits = ?, reason = ?, behind = NULL
                WHERE state = ? AND sent = 0 AND id IN (SELECT task FROM about WHERE uri = ?)"""
            tx.execute(query, (int(TaskState.WAITING), uri, reason, int(TaskState.PENDING), uri))

    def release(self, waits: str) -> int:
        """What waited for this is to be done; how many."""
        with self._store.transaction() as tx:
            query = "UPDATE task SET state = ?, waits = NULL, reason = '' WHERE state = ? AND waits = ?"
            return tx.execute(query, (int(TaskState.PENDING), int(TaskState.WAITING), waits)).rowcount

    def again(self, number: int) -> bool:
        """Try a refused one again; False where it is not refused, or where that changes nothing. Of one that was
        refused at once the event is taken again."""
        found = self.get(number)
        if found is None or found.state is not TaskState.REFUSED or found.code in _FINAL:
            return False
        name, detail = found.name, found.detail
        if type(detail) is dict:
            name, detail = TAKE, [None, found.name, None, detail["place"]]
        with self._store.transaction() as tx:
            changes = "name = ?, work = ?, state = ?, ended_us = NULL, reason = '', code = '', told = 0, behind = NULL"
            row = (name, cbor.encode([list(found.things), detail]), int(TaskState.PENDING), number)
            tx.execute(f"UPDATE task SET {changes} WHERE id = ?", row)
            tx.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", [(uri, number) for uri in found.things])
        return True

    def void(self, leaf: int) -> tuple[list[Task], int]:
        """The event of this record is declared erroneous: its tasks that were not submitted are not done. These, and
        how many the ledger has, or may have, taken."""
        with self._store.transaction() as tx:
            open_states = (int(TaskState.PENDING), int(TaskState.WAITING))
            query = f"SELECT {_COLUMNS} FROM task WHERE leaf = ? AND sent = 0 AND state IN (?, ?)"
            ended = self._all(query, leaf, *open_states)
            for task in ended:
                self.end(task.id, TaskState.VOID, reason="its event was declared erroneous")
            query = "SELECT COUNT(*) FROM task WHERE leaf = ? AND (state = ? OR (sent = 1 AND state IN (?, ?)))"
            taken = tx.execute(query, (leaf, int(TaskState.DONE), *open_states)).fetchone()[0]
        return ended, int(taken)

    def ready(self, limit: int) -> list[Task]:
        """The first that can be done now: nothing earlier about the same thing is open, but for what waits for it. One
        that is behind another is looked at again when that ends, so a long row of them costs its length."""
        query = f"SELECT id, {_IN_THE_WAY} FROM {_FREE} WHERE state = 0 AND behind IS NULL ORDER BY id"
        free, held = list[int](), list[tuple[int, int]]()
        with self._store.reading() as db:
            for number, before in db.execute(query):
                if before is None:
                    free.append(number)
                else:
                    held.append((before, number))
                if len(free) == limit:
                    break
        if held:
            with self._store.transaction() as tx:  # not where it ended meanwhile
                query = """UPDATE task SET behind = ?1 WHERE id = ?2
                    AND EXISTS (SELECT 1 FROM task before WHERE before.id = ?1 AND before.state IN (0, 1))"""
                tx.executemany(query, held)
        return [task for number in free if (task := self.get(number)) and task.state is TaskState.PENDING]

    def overdue(self, at_us: int, limit: int = 100) -> list[Task]:
        """Those that have waited for as long as they may."""
        query = f"SELECT {_COLUMNS} FROM {_UNTIL} WHERE state = 1 AND until_us <= ? ORDER BY id LIMIT ?"
        return self._all(query, at_us, limit)

    def waiting_for_data(self, after: int, limit: int = 100) -> list[Task]:
        """Those that wait for a hand-over, in order behind the number `after`, and whose thing is known by now."""
        query = (
            f"SELECT {_COLUMNS} FROM task WHERE state = 1 AND waits >= ? AND waits < ? AND id > ? AND {_KNOWN}"
            " ORDER BY id LIMIT ?"
        )
        return self._all(query, DATA, _DATA_END, after, limit)

    def not_told(self, limit: int = 100) -> list[Task]:
        """Refused ones that people were not told of."""
        return self._all(f"SELECT {_COLUMNS} FROM {_UNTOLD} WHERE state = 3 AND told = 0 ORDER BY id LIMIT ?", limit)

    def were_told(self, tasks: Iterable[Task]) -> None:
        with self._store.transaction() as tx:
            tx.executemany("UPDATE task SET told = 1 WHERE id = ?", [(task.id,) for task in tasks])

    def last(self) -> int:
        """The greatest number that one has; 0 where there is none."""
        with self._store.reading() as db:
            return int(db.execute("SELECT COALESCE(MAX(id), 0) FROM task").fetchone()[0])

    def without_data(self) -> list[Task]:
        """The newest of what was given up because no hand-over came, in order, as far as its thing is known by now."""
        last = f"SELECT id FROM {_GIVEN_UP} WHERE state = 3 AND code = 'no-data' ORDER BY id DESC LIMIT ?"
        return self._all(f"SELECT {_COLUMNS} FROM task WHERE id IN ({last}) AND {_KNOWN} ORDER BY id", REVIVED)

    def not_ours(self) -> frozenset[tuple[int, str]]:
        """The newest shipments that the contract refused since another company has the unit: record and unit's URI."""
        query = (
            f"SELECT {_COLUMNS} FROM {_NOT_OURS}"
            " WHERE state = 3 AND name = 'ship' AND code = 'not-custodian' ORDER BY id DESC LIMIT ?"
        )
        return frozenset((task.leaf, task.things[0]) for task in self._all(query, NOT_OURS))

    def expects(self, name: str) -> bool:
        """Whether one of this name waits for a hand-over."""
        query = f"SELECT EXISTS (SELECT 1 FROM {_WAITS} WHERE state = 1 AND waits >= ? AND waits < ? AND name = ?)"
        with self._store.reading() as db:
            return bool(db.execute(query, (DATA, _DATA_END, name)).fetchone()[0])

    def get(self, number: int) -> Task | None:
        found = self._all(f"SELECT {_COLUMNS} FROM task WHERE id = ?", number)
        return found[0] if found else None

    def of_record(self, leaf: int) -> list[Task]:
        """What the event of this record led to."""
        return self._all(f"SELECT {_COLUMNS} FROM task WHERE leaf = ? ORDER BY id LIMIT ?", leaf, MAX_PAGE)

    def page(self, state: TaskState | None, after: int, limit: int) -> list[Task]:
        """In the order of their numbers, behind `after`; of one state, or all."""
        limit = min(limit, MAX_PAGE)
        if state is None:
            return self._all(f"SELECT {_COLUMNS} FROM task WHERE id > ? ORDER BY id LIMIT ?", after, limit)
        query = f"SELECT {_COLUMNS} FROM task WHERE state = ? AND id > ? ORDER BY id LIMIT ?"
        return self._all(query, int(state), after, limit)

    def counts(self) -> dict[str, int]:
        """How many there are of each state, by its name in lower case."""
        with self._store.reading() as db:
            rows = dict(db.execute("SELECT state, COUNT(*) FROM task GROUP BY state").fetchall())
        return {state.name.lower(): int(rows.get(int(state), 0)) for state in TaskState}

    def trim(self) -> None:
        """Forget the oldest that are done or void beyond the bound, some at a time. Refused ones stay: a person sees
        them."""
        for state in (TaskState.DONE, TaskState.VOID):
            query = """DELETE FROM task WHERE id IN (SELECT id FROM task
                WHERE state = ? AND id <= (SELECT MAX(id) FROM task) - ? ORDER BY id LIMIT ?)"""
            with self._store.transaction() as tx:
                tx.execute(query, (int(state), KEPT, TRIMMED_AT_ONCE))

    def _all(self, query: str, *values: object) -> list[Task]:
        with self._store.reading() as db:
            rows = db.execute(query, values).fetchall()
        return [_task(row) for row in rows]


def now_us() -> int:
    return time.time_ns() // 1000


def _task(row: tuple[Any, ...]) -> Task:
    number, leaf, name, work, state, waits, until_us, sent, made_us, ended_us, reason, code, tx_id = row
    things, detail = cbor.decode(work, MAX_WORK_BYTES)
    return Task(
        number, leaf, name, tuple(things), detail, TaskState(state), waits, until_us, bool(sent), made_us, ended_us,
        reason, code, tx_id,
    )  # fmt: skip
