"""The workflow of exceptions on the ledger and between gateways: reported, told, answered, resolved.

The ledger has kind, ids, deadline and hashes; words go by the hand-over's way to the one company that is asked, and are
compared with the hash that the ledger has. What is found here is opened by gateway.custody.exceptions.found, what
others say comes in by gateway.custody.exceptions.hearing.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from chain.errors import LedgerError
from chain.ledger.interface import Ledger, Submitted
from chaincode.errors import Code, ContractError
from chaincode.lots.exception_records import MAX_ABOUT, ExceptionRecord, Resolution
from gateway.custody.calls import Refusal
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, UnknownUnitError
from gateway.custody.exceptions.found import REPORT
from gateway.custody.exceptions.register import (
    AND,
    ANSWERED,
    BY_CONTRACT,
    MAX_TEXT,
    OPEN,
    RESOLVED,
    ExceptionCase,
    Register,
    hash_of,
)  # fmt: skip
from gateway.custody.schema import TaskState
from gateway.custody.tasks import Task, Tasks, now_us
from gateway.custody.units import Units
from gateway.finishing import finished
from gateway.supply.ourselves import OwnOrganisation

ANSWER, RESOLVE = "answer", "resolve"
_WHAT = {REPORT: "the report", ANSWER: "the answer", RESOLVE: "the resolution"}
NOBODY = bytes(32)  # in the heading of a notice that is about no hand-over
Say = Callable[[str, bytes, str, Any], None]


class Workflow:
    """Of one company. `say` tells a partner something, durably."""

    def __init__(
        self, store: Store, register: Register, units: Units, tasks: Tasks, us: OwnOrganisation, ledger: Ledger, *,
        say: Say, wake: Callable[[], None], log_size: Callable[[], int],
    ) -> None:  # fmt: skip
        self._store, self._register, self._units, self._tasks, self._ledger = store, register, units, tasks, ledger
        self._us, self._say, self._wake, self._log_size = us, say, wake, log_size

    @property
    def organisation(self) -> str:
        """Ours; empty until the ledger was asked."""
        return self._us.name

    async def begin(self) -> None:
        """Ask the ledger who we are; before anything else."""
        await self._us()

    def ended(self, task: Task) -> None:
        """Something was told the ledger."""
        case = self._register.get(task.detail[0]) if task.name in (REPORT, ANSWER, RESOLVE) else None
        if case is None:
            return
        if task.state is TaskState.DONE:
            state = case.state if task.name == REPORT or case.state == RESOLVED else _said(task)
            if case.trouble or state != case.state:  # it was asked again
                self._register.change(case.id, state, **_words(task), trouble="")
            self._told(task)
        elif task.state is TaskState.REFUSED:
            self._refused(task, case)

    def _refused(self, task: Task, case: ExceptionCase) -> None:
        """What was said is not so on the ledger. It may be said anew, unless it was said otherwise since."""
        again = f"`sealtrail custody retry {task.id}` asks it again"
        trouble = f"the ledger refused {_WHAT[task.name]}: {task.reason}; {again}"
        state, words = case.state, _words(task)
        stands = all(getattr(case, name) == word for name, word in words.items())
        if task.name != REPORT and stands and state == _said(task) and not _over(task, case):
            state = ANSWERED if task.name == RESOLVE and case.answer else OPEN
            self._register.change(case.id, state, **dict.fromkeys(words, ""))
        self._register.change(case.id, state, trouble=trouble)

    def _told(self, task: Task) -> None:
        """The ledger has it: the other company hears the words."""
        case = self._register.get(task.detail[0])
        if case is None or not case.organisation or case.ledger_id is None:
            return
        if task.name == REPORT:
            things = list(case.things[:MAX_ABOUT])
            body: tuple[str, list[Any]]
            body = "exception", [case.ledger_id, case.kind, things, case.compared, case.deadline_us]
        elif task.name == ANSWER:
            body = "exception-answer", [case.ledger_id, *task.detail[1:]]
        else:
            body = "exception-end", [case.ledger_id, *task.detail[1:]]
        for other in case.organisation.split(AND):
            self._say(other, NOBODY, *body)

    def kept(self, task: Task, refusal: Refusal) -> None:
        """The contract kept an exception itself, when a pack was to be ended that may not be."""
        ledger_id = refusal.exception_id
        if not ledger_id:
            return
        kind = BY_CONTRACT[refusal.code]
        compared = f"Record {task.leaf} ends {task.things[0]}. The contract refused: {refusal.words}."
        known = self._register.on_ledger(ledger_id)
        if known is not None:  # the ledger's event was quicker, and knows less
            if not known.leaf:
                self._register.described(known.id, [task.things[0]], [task.leaf], compared, task.leaf)
            return
        self._register.open(
            str(kind), "", "", [task.things[0]], [task.leaf], compared, task.leaf, f"ledger {ledger_id.hex()}", 0,
            ledger_id,
        )  # fmt: skip

    # -- for the ledger

    def call(self, task: Task, evidence: bytes) -> tuple[str, tuple[bytes, ...]]:
        """The call of a task of this workflow."""
        case = self._case(task.detail[0])
        if task.name == REPORT:
            other, deadline, ids = case.organisation.encode(), str(case.deadline_us).encode(), b"".join(self._ids(case))
            return "lots.report", (case.kind.encode(), ids, other, evidence, detail(case), deadline)
        if case.ledger_id is None:
            raise CustodyError("the ledger does not have this exception yet")
        if task.name == ANSWER:
            return "lots.answer", (case.ledger_id, sha256(task.detail[1].encode()).digest(), evidence)
        return "lots.resolve", (case.ledger_id, task.detail[1].encode(), evidence)

    def _ids(self, case: ExceptionCase) -> list[bytes]:
        """What the ledger calls these things. Of what nobody handed over the name is one that only we can tell."""
        found: dict[bytes, None] = {}
        for thing in case.things[:MAX_ABOUT]:
            try:
                found[self._units.id_of(thing)] = None
            except UnknownUnitError:
                found[self._units.private_id(thing)] = None
        return list(found)

    def answered(self, task: Task, answer: Submitted) -> None:
        """What the contract said to a report."""
        if task.name == REPORT:
            self._register.named(task.detail[0], ExceptionRecord.decode(answer.result).exception_id)

    # -- by people

    def answer(self, number: int, text: str) -> None:
        """We say our side. CustodyError where we are not asked, or have answered."""
        case = self._case(number)
        if case.owner == self.organisation or case.ledger_id is None:
            raise CustodyError(f"exception {number} is ours to resolve, or not on the ledger yet; nobody asks us")
        if case.state != OPEN:
            raise CustodyError(f"exception {number} is {case.state}; it is answered once")
        leaf = self._evidence(case)
        with self._store.transaction():
            self._register.change(number, ANSWERED, answer=text[:MAX_TEXT], trouble="")
            self._tasks.add(leaf, ANSWER, [f"exception {number}"], [number, text[:MAX_TEXT]])
        self._wake()

    async def require_answered(self, number: int, resolution: str) -> None:
        """CustodyError where this resolution needs an answer, and the ledger has none. While the ledger is away nothing
        is known: it says so later."""
        case = await finished(self._to_end, number, resolution)
        silent, late = await self._silent(case), 0 < case.deadline_us < now_us()
        if silent and resolution != Resolution.WITHDRAWN and not (late and resolution == Resolution.UNANSWERED):
            how = "resolve it as unanswered" if late else "wait for the answer"
            raise CustodyError(f"{AND.join(silent)} has not answered exception {number}; {how}, or withdraw it")

    async def _silent(self, case: ExceptionCase) -> list[str]:
        """Whose answer is known not to be there."""
        if case.ledger_id is None:  # nobody is asked where the report was refused
            return [case.organisation] if case.organisation and not case.trouble else []
        try:
            record = ExceptionRecord.decode(await self._ledger.evaluate("lots.exception", case.ledger_id))
        except (LedgerError, ContractError):
            return []
        return [one.organisation for one in record.parties if one.answer is None and record.end is None]

    def resolve(self, number: int, resolution: str, remark: str) -> None:
        """We end it. CustodyError where it is not ours, is over, or this is no resolution."""
        case = self._to_end(number, resolution)
        leaf = self._evidence(case)
        with self._store.transaction():
            self._register.change(number, RESOLVED, resolution=resolution, remark=remark[:MAX_TEXT], trouble="")
            self._tasks.add(leaf, RESOLVE, [f"exception {number}"], [number, resolution, remark[:MAX_TEXT]])
        self._wake()

    def _to_end(self, number: int, resolution: str) -> ExceptionCase:
        case = self._case(number)
        if case.owner != self.organisation:
            raise CustodyError(f"exception {number} is {case.owner or 'the maker'}'s to resolve; answer it")
        if case.state == RESOLVED or resolution not in list(Resolution):
            raise CustodyError(f"exception {number} is {case.state}; a resolution is one of {', '.join(Resolution)}")
        return case

    def _case(self, number: int) -> ExceptionCase:
        found = self._register.get(number)
        if found is None:
            raise UnknownUnitError(f"there is no exception {number} here")
        return found

    def _evidence(self, case: ExceptionCase) -> int:
        """The record that what we say rests on: the event that it is about, else the newest of our log."""
        size = self._log_size()
        if size == 0:
            raise CustodyError("our log is empty, and what we say rests on a record of it; capture an event first")
        return case.leaf or size - 1


def _said(task: Task) -> str:
    """The state that comes with an answer or a resolution."""
    return ANSWERED if task.name == ANSWER else RESOLVED


def _over(task: Task, case: ExceptionCase) -> bool:
    """Whether the ledger has nothing that is open: somebody ended it, or its report was refused."""
    return task.name == RESOLVE and (task.code == Code.EXCEPTION_CLOSED or case.ledger_id is None)


def _words(task: Task) -> dict[str, str]:
    """What a person said with it, by column."""
    names = {ANSWER: ("answer",), RESOLVE: ("resolution", "remark")}.get(task.name, ())
    return dict(zip(names, task.detail[1:], strict=True))


def detail(case: ExceptionCase) -> bytes:
    """The hash of an exception's words, which the ledger has."""
    return hash_of(case.kind, list(case.things[:MAX_ABOUT]), case.compared)
