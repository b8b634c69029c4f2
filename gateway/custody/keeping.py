"""Keeps the ledger behind this company's events: follows the log, and tells what is to be told, as long as it runs.

A refusal of the contract ends one task, with its reason, and holds up no other. While the ledger is away nothing is
lost: tasks wait, in their order. A call whose answer was lost is made again, and the contract knows it.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

from chain.errors import LedgerError, LogError, StoreError
from chain.ledger.interface import Submitted
from chaincode.errors import Code, ContractError
from gateway.custody.calls import Arguments, Refusal, refusal_in, units_of, was_taken
from gateway.custody.coming import Coming
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError
from gateway.custody.follower import Follower
from gateway.custody.lots import COMMISSION, Lots
from gateway.custody.schema import LotState, TaskState, UnitState
from gateway.custody.sealing import Sealing
from gateway.custody.tasks import NO_DATA, TAKE, Task, Tasks, now_us
from gateway.custody.transitions import RECEIVE, SHIP
from gateway.custody.units import Units
from gateway.finishing import finished
from gateway.supply.ground import Ground
from gateway.supply.proving import Prover
from gateway.turning import Turning

log = logging.getLogger(__name__)
AT_ONCE = 16
# The contract will say otherwise once the ledger has caught up with this gateway's own key or checkpoint.
_LATER = frozenset({Code.UNKNOWN_CHECKPOINT, Code.KEY_CLOSED, Code.NOT_ENROLLED, Code.UNKNOWN_LOG, Code.UNIT_UNDER_WAY})
_AWAY = (ContractError, LedgerError, LogError, StoreError, sqlite3.Error, OSError, MemoryError)
Ended = Callable[[Task], None]


class Keeping(Turning):
    """Runs on the event loop, the database in threads. `ended` is called in the transaction that ends a task.

    `idle`: all that is logged was taken, and all that can be told was told."""

    what = "custody"

    def __init__(
        self, ground: Ground, store: Store, units: Units, lots: Lots, sealing: Sealing, tasks: Tasks, coming: Coming,
        follower: Follower, arguments: Arguments,
    ) -> None:  # fmt: skip
        self._ground, self._store, self._units, self._lots, self._sealing = ground, store, units, lots, sealing
        self._tasks, self._coming, self._follower, self._arguments = tasks, coming, follower, arguments
        super().__init__()
        self._prover, self._alone = Prover(ground), set[int]()
        self.ended: list[Ended] = []
        self.begin: Callable[[], Awaitable[None]] = _nothing
        self.answered: Callable[[Task, Submitted], None] = lambda task, answer: None
        self.kept: Callable[[Task, Refusal], None] = lambda task, refusal: None  # by the contract, as evidence
        self.alert: Callable[[Sequence[Task]], Awaitable[None]] = _nobody
        self.told: Callable[[], None] = lambda: None  # called on the loop after some were told
        self.overdue: Callable[[Task], None] = lambda task: None

    async def turn(self) -> None:
        """Take what is logged, and tell what can be told now."""
        await self.begin()
        while await finished(self._take):
            pass
        some = False
        while await self._tell_ready():
            self.told()
            some = True
        if some:
            await finished(self._tasks.trim)
        while refused := await finished(self._tasks.not_told):
            await self.alert(refused)
            await finished(self._tasks.were_told, refused)

    def _take(self) -> bool:
        """Some records, and receipts whose hand-over is here. Whether there may be more."""
        more = self._follower.step() > 0
        self._coming.resolve()
        for task in self._tasks.overdue(now_us()):
            with self._store.transaction():
                if task.name == RECEIVE:
                    self.overdue(task)
                self._end(task, TaskState.REFUSED, "no hand-over of it came", NO_DATA, "")
        return more

    async def _tell_ready(self) -> bool:
        """Tell the ledger of some tasks that do not wait for each other; False when there are none."""
        ready = await finished(self._tasks.ready, 4 * AT_ONCE)
        groups = list(self._grouped(ready))
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(group: Sequence[Task]) -> None:
            async with gate:
                await self._tell(group)

        results = await asyncio.gather(*(one(group) for group in groups), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return bool(groups)

    def _grouped(self, ready: Sequence[Task]) -> list[list[Task]]:
        """Receipts of one event go in one call; all others alone."""
        groups: list[list[Task]] = []
        for (name, _, alone), tasks in groupby(ready, lambda task: (task.name, task.leaf, task.id in self._alone)):
            found = list(tasks)
            together = name == RECEIVE and not alone
            groups += [found[i : i + 32] for i in range(0, len(found), 32)] if together else [[one] for one in found]
        return groups

    async def _tell(self, group: Sequence[Task]) -> None:
        """What nobody foresaw ends the task that it is about, and halts no other; what is away is waited for."""
        try:
            group = [task for task in group if not await finished(self._needless, task)]
            if group:
                await self._call(group)
        except _AWAY:
            raise
        except Exception as e:
            if len(group) > 1:  # one of them; each is told alone
                self._alone.update(task.id for task in group)
                return
            said, code = str(e), "not-possible"
            if not isinstance(e, CustodyError):
                said, code = f"a fault of this program, please report it: {e!r}", "fault"
                log.exception("%s of record %d", group[0].name, group[0].leaf)
            await finished(self._end_all, group, TaskState.REFUSED, said, code, "")

    async def _call(self, group: Sequence[Task]) -> None:
        if group[0].leaf >= self._ground.log_size():
            said = f"record {group[0].leaf}, which it rests on, is not in the log"
            await finished(self._end_all, group, TaskState.REFUSED, said, "not-possible", "")
            return
        sent_before = any(task.sent for task in group)
        try:
            evidence = await self._prover.evidence(group[0].leaf)
            function, args = await finished(self._arguments.of, group, evidence)
            await finished(self._tasks.sending, [task.id for task in group])
            answer = await self._ground.ledger.submit(function, *args)
        except ContractError as e:
            if e.code in _LATER:
                raise
            await self._refused(group, e, sent_before=sent_before)
        else:
            await finished(self._done, group, answer)

    def _needless(self, task: Task) -> bool:
        """Whether nothing is to be told of a task. Of an event that is taken again what follows from it is: that is
        tasks of their own. A receipt is done where what it names came in a unit that was received, or was only accepted
        after."""
        if task.name == TAKE:
            with self._store.transaction():
                self._follower.again(task)
                self._end(task, TaskState.DONE, "", "", "")
            return True
        if task.name != RECEIVE:
            return False
        _, accepting, number, *_ = task.detail
        unit = self._units.numbered(number)
        if unit.state == UnitState.COMING or not (accepting or task.things[0] != unit.uri):
            return False
        self._end(task, TaskState.DONE, f"it came with {unit.uri}", "", "")
        return True

    async def _refused(self, group: Sequence[Task], error: ContractError, *, sent_before: bool) -> None:
        if len(group) > 1:  # one of them; each is told alone
            self._alone.update(task.id for task in group)
            return
        (task,) = group
        if task.name == SHIP:
            numbers, organisation = task.detail
            if sent_before and await was_taken(
                self._ground.ledger, [self._units.numbered(number) for number in numbers], organisation
            ):
                await finished(self._end_all, group, TaskState.DONE, "its answer was lost", "", "")
                return
            if len(numbers) > 1:
                await finished(self._split, task)
                return
        words = str(error).partition(": ")[2]
        await finished(self._end_all, group, TaskState.REFUSED, words, str(error.code), "")

    def _split(self, task: Task) -> None:
        """A shipment of several units, each a task of its own."""
        numbers, organisation = task.detail
        with self._store.transaction():
            self._tasks.end(task.id, TaskState.VOID, reason="one of its units is refused; each is told alone")
            for number in numbers:
                self._tasks.add(task.leaf, SHIP, [self._units.numbered(number).uri], [[number], organisation])

    def _done(self, group: Sequence[Task], answer: Submitted) -> None:
        refusal = refusal_in(group[0], answer)
        with self._store.transaction():
            if refusal:
                self.kept(group[0], refusal)
                self._end_all(group, TaskState.REFUSED, refusal.words, refusal.code, answer.tx_id)
            else:
                self.answered(group[0], answer)
                self._end_all(group, TaskState.DONE, "", "", answer.tx_id)

    def _end_all(self, group: Sequence[Task], state: TaskState, reason: str, code: str, tx_id: str) -> None:
        with self._store.transaction():
            if group[0].name == RECEIVE and state is TaskState.DONE:
                for number in units_of(group):
                    self._sealing.received(self._units.numbered(number), group[0].leaf)
            for task in group:
                self._end(task, state, reason, code, tx_id)

    def _end(self, task: Task, state: TaskState, reason: str, code: str, tx_id: str) -> None:
        with self._store.transaction():
            if task.name == COMMISSION:
                lot = self._units.numbered(task.detail[0])
                self._lots.settled(lot, LotState.KNOWN if state is TaskState.DONE else LotState.REFUSED)
            self._tasks.end(task.id, state, reason=reason, code=code, tx_id=tx_id)
            self._alone.discard(task.id)
            ended = self._tasks.get(task.id) or task
            for hear in self.ended:
                hear(ended)
        if state is TaskState.REFUSED:
            log.warning("%s of record %d is refused (%s): %s", task.name, task.leaf, code, reason)


async def _nobody(tasks: Sequence[Task]) -> None:
    """Nobody is told."""


async def _nothing() -> None:
    """Nothing is to be known before."""
