"""The workflow of exceptions: found here or told by others, answered, resolved; on the ledger and between gateways.

The ledger has kind, ids, deadline and hashes; words go by the hand-over's way to the one company that is asked, and are
compared with the hash that the ledger has. Nothing is decided here: the gateway says what it compared.
"""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any

from chain.ledger.interface import Ledger, Submitted
from chaincode.errors import Code, ContractError
from chaincode.lots.exception_records import MAX_ABOUT, ExceptionRecord, Kind, Resolution
from crypto import cbor
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, HandoverError, UnknownUnitError
from gateway.custody.exceptions.register import ANSWERED, OPEN, RESOLVED, ExceptionCase, Register
from gateway.custody.handover.book import Book, Handover
from gateway.custody.handover.format import Notice
from gateway.custody.schema import TaskState, UnitState
from gateway.custody.tasks import Task, Tasks, now_us
from gateway.custody.telling import Refusal
from gateway.custody.units import Units
from gateway.finishing import finished

REPORT, ANSWER, RESOLVE = "report", "answer", "resolve"
NOBODY = bytes(32)  # in the heading of a notice that is about no hand-over
MAX_TEXT = 2000
MAX_PAGES = 64  # of the ledger's listing, of 1,000 entries each
_AND = " and "  # between two organisations that are asked; no name has spaces
Say = Callable[[str, bytes, str, Any], None]
Alert = Callable[[str, str, str], Awaitable[None]]
_BY_CONTRACT = {
    "duplicate": Kind.DUPLICATE_SERIAL, "recalled": Kind.RECALLED_PRODUCT, "quarantined": Kind.QUARANTINED_PRODUCT,
}  # fmt: skip


class Workflow:
    """Of one company. `say` tells a partner something, durably."""

    def __init__(
        self, store: Store, register: Register, units: Units, tasks: Tasks, book: Book, ledger: Ledger, *,
        us: Callable[[], Awaitable[str]], say: Say, alert: Alert, wake: Callable[[], None],
        partner_of: Callable[[int], str], answer_us: int, log_size: Callable[[], int],
    ) -> None:  # fmt: skip
        """`partner_of(leaf)`: whom the receiving event at this record names as the sender, empty if nobody we know."""
        self._store, self._register, self._units, self._tasks = store, register, units, tasks
        self._book, self._ledger, self._us, self._say, self._alert = book, ledger, us, say, alert
        self._wake, self._partner_of, self._answer_us, self._log_size = wake, partner_of, answer_us, log_size
        self.organisation = ""  # ours; known once the ledger was asked

    async def begin(self) -> None:
        """Ask the ledger who we are; before anything else."""
        if not self.organisation:
            self.organisation = await self._us()

    # -- found here; inside the transaction of what found it

    def product_without_data(self, task: Task) -> None:
        """Something was received, and no hand-over of it came in time."""
        sender = self._partner_of(task.leaf)
        thing = task.things[0]
        compared = (
            f"Record {task.leaf} says that {thing} was received{f' from {sender}' if sender else ''}. No hand-over that"
            " was taken here up to now has it, by its URI or in a unit. Expected: a hand-over of it by who shipped it."
        )
        cause = f"data {task.leaf} {thing}"
        self._open(Kind.PRODUCT_WITHOUT_DATA, sender, [thing], [task.leaf], compared, task.leaf, cause)

    def data_came(self, task: Task) -> None:
        """The hand-over that was missing came after all."""
        self._withdraw(f"data {task.leaf} {task.things[0]}", "the hand-over came after all")

    def product_came(self, handover: bytes) -> None:
        """All goods of a hand-over were received after all."""
        self._withdraw(f"product {handover.hex()}", "the goods were received after all")

    def _withdraw(self, cause: str, remark: str) -> None:
        case = self._register.caused_by(cause)
        if case is not None and case.state != RESOLVED:
            self.resolve(case.id, str(Resolution.WITHDRAWN), remark)

    def data_without_product(self, handover: Handover) -> None:
        """A hand-over was taken, and its goods were not received in time."""
        missing = [uri for uri in handover.units if self._units.of(uri).state == UnitState.COMING]
        if not missing:
            return
        records = [leaf for uri in missing[:MAX_ABOUT] for leaf in self._book.mentions(uri)]
        compared = (
            f"{handover.organisation} handed over {len(handover.units)} units; {len(missing)} were not received:"
            f" {', '.join(missing[:MAX_ABOUT])}. Expected: a receiving event of each by the deadline."
        )
        leaf = max(records, default=0)
        cause = f"product {handover.id.hex()}"
        self._open(Kind.DATA_WITHOUT_PRODUCT, handover.organisation, missing, records, compared, leaf, cause)

    def commissioned_twice(self, leaf: int, pack: str, first: int | None) -> None:
        """Two of our own events bring one serial into the world."""
        where = f"record {first}" if first is not None else "a hand-over"
        lot = self._units.find_lot(pack)
        compared = (
            f"{pack} is commissioned by record {leaf}. It came into the world before, by {where}"
            f"{f', as one of {lot.uri}' if lot else ''}. Expected: each serial once. It stays what it was."
        )
        records = [leaf] if first is None else [first, leaf]
        self._open(Kind.DUPLICATE_SERIAL, "", [pack], records, compared, leaf, f"made {leaf} {pack}")

    def handed_over_twice(self, pack: str, unit: str, sender: str) -> None:
        """A hand-over brings a pack that is here, or on its way from elsewhere."""
        leaf = max(self._book.mentions(unit), default=0)
        known = self._units.lot_of(pack)
        compared = (
            f"{sender} hands over {pack} in {unit}. By what is known here that pack is elsewhere: it was handed over or"
            f" made before, as one of {known.uri}. Expected: each serial in one place. One of the two may be falsified."
        )
        self._open(Kind.DUPLICATE_SERIAL, sender, [pack, unit], [leaf], compared, leaf, f"twice {pack} {unit}")

    def label_differs(
        self, sender: str, things: Sequence[str], records: Sequence[int], compared: str, leaf: int, cause: str
    ) -> None:
        """Goods bear another lot or expiry than was handed over."""
        self._open(Kind.LABEL_DIFFERS, sender, things, records, compared, leaf, cause)

    def _open(
        self, kind: Kind, counterparty: str, things: Sequence[str], records: Sequence[int], compared: str, leaf: int,
        cause: str,
    ) -> None:  # fmt: skip
        deadline = now_us() + self._answer_us if counterparty else 0
        owner = self.organisation
        with self._store.transaction():
            number = self._register.open(
                str(kind), owner, counterparty, things, records, compared, leaf, cause, deadline
            )
            if number is not None:
                self._tasks.add(leaf, REPORT, [f"exception {number}"], [number])

    def ended(self, task: Task) -> None:
        """Something was told the ledger."""
        if task.name in (REPORT, ANSWER, RESOLVE) and task.state is TaskState.DONE:
            self._told(task)

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
            body = "exception-answer", [case.ledger_id, case.answer]
        else:
            body = "exception-end", [case.ledger_id, case.resolution, case.remark]
        for other in case.organisation.split(_AND):
            self._say(other, NOBODY, *body)

    def kept(self, task: Task, refusal: Refusal) -> None:
        """The contract kept an exception itself, when a pack was to be ended that may not be."""
        ledger_id = refusal.exception_id
        if not ledger_id:
            return
        kind = _BY_CONTRACT[refusal.code]
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
            return "lots.answer", (case.ledger_id, sha256(case.answer.encode()).digest(), evidence)
        return "lots.resolve", (case.ledger_id, case.resolution.encode(), evidence)

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
            self._register.change(number, ANSWERED, answer=text[:MAX_TEXT])
            self._tasks.add(leaf, ANSWER, [f"exception {number}"], [number])
        self._wake()

    def resolve(self, number: int, resolution: str, remark: str) -> None:
        """We end it. CustodyError where it is not ours, is over, or this is no resolution."""
        case = self._case(number)
        if case.owner != self.organisation:
            raise CustodyError(f"exception {number} is {case.owner or 'the maker'}'s to resolve; answer it")
        if case.state == RESOLVED or resolution not in list(Resolution):
            raise CustodyError(f"exception {number} is {case.state}; a resolution is one of {', '.join(Resolution)}")
        leaf = self._evidence(case)
        with self._store.transaction():
            self._register.change(number, RESOLVED, resolution=resolution, remark=remark[:MAX_TEXT])
            self._tasks.add(leaf, RESOLVE, [f"exception {number}"], [number])
        self._wake()

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

    # -- what others say

    async def heard(self, organisation: str, notice: Notice) -> None:
        """An exception of another company that asks us, an answer to ours, or the end of one."""
        await self.begin()
        body = notice.body
        if type(body) is not list or not body or type(body[0]) is not bytes:
            raise HandoverError("a notice about an exception begins with its id on the ledger")
        record = await self._record(body[0])
        if notice.kind == "exception":
            await self._asked(organisation, record, body)
        elif notice.kind == "exception-answer":
            await self._got_answer(organisation, record, body)
        else:
            await self._got_end(organisation, record, body)

    async def _asked(self, organisation: str, record: ExceptionRecord, body: list[Any]) -> None:
        shapes = [type(one) for one in body]
        if shapes != [bytes, str, list, str, int] or any(type(one) is not str for one in body[2]):
            raise HandoverError("a notice of an exception is a list of id, kind, things, words and deadline")
        if record.owner != organisation or record.party(self.organisation) is None:
            raise HandoverError(f"by the ledger {organisation} does not ask {self.organisation} with this exception")
        if record.detail != _hash(body[1], body[2], body[3]):
            raise HandoverError("the words of this exception are not those whose hash the ledger has")

        def note() -> bool:
            records = [leaf for thing in body[2] for leaf in self._book.mentions(thing)]
            leaf = max(records, default=0)
            return self._register.open(
                body[1], organisation, organisation, body[2], records, body[3], leaf,
                f"ledger {record.exception_id.hex()}", record.deadline_us, record.exception_id,
            ) is not None  # fmt: skip

        if await finished(note):
            await self._alert("exception", organisation, f"{organisation} asks about goods ({body[1]}): {body[3]}")

    async def _got_answer(self, organisation: str, record: ExceptionRecord, body: list[Any]) -> None:
        case = await finished(self._register.on_ledger, record.exception_id)
        party = record.party(organisation)
        if case is None or len(body) != 2 or type(body[1]) is not str:
            raise HandoverError("an answer is a list of the exception's id and words")
        if party is None or party.answer is None or party.answer.detail != sha256(body[1].encode()).digest():
            raise HandoverError("the words of this answer are not those whose hash the ledger has")
        if case.state == OPEN:
            await finished(self._register.change, case.id, ANSWERED, answer=body[1][:MAX_TEXT])
            await self._alert("exception", organisation, f"{organisation} answers exception {case.id}: {body[1]}")

    async def _got_end(self, organisation: str, record: ExceptionRecord, body: list[Any]) -> None:
        case = await finished(self._register.on_ledger, record.exception_id)
        if case is None or len(body) != 3 or [type(one) for one in body[1:]] != [str, str]:
            raise HandoverError("the end of an exception is a list of its id, a resolution and words")
        if record.end is None or record.end.resolution != body[1]:
            raise HandoverError("by the ledger this exception did not end so")
        if case.state != RESOLVED or (record.detail is None and not case.remark):
            await finished(self._register.change, case.id, RESOLVED, resolution=body[1], remark=body[2][:MAX_TEXT])

    async def _record(self, ledger_id: bytes) -> ExceptionRecord:
        try:
            return ExceptionRecord.decode(await self._ledger.evaluate("lots.exception", ledger_id))
        except ContractError as e:
            if e.code not in (Code.UNKNOWN_EXCEPTION, Code.MALFORMED):
                raise
            raise HandoverError(f"the ledger has no such exception: {e}") from e

    async def look_up(self) -> list[ExceptionCase]:
        """Take in what the contract itself opened that concerns us; the new ones. It looks at 64,000 that are open."""
        await self.begin()
        new, after = list[ExceptionCase](), list[bytes]()
        for _ in range(MAX_PAGES):
            answer = await self._ledger.evaluate("lots.exceptions", self.organisation.encode(), *after)
            found, last = cbor.decode(answer, 2**22)
            for encoded in found:
                record = ExceptionRecord.decode(encoded)
                known = await finished(self._register.on_ledger, record.exception_id)
                if known is None or (not known.owner and record.owner):
                    case = await finished(self._from_ledger, record)
                    new += [case] if case else []
            if last is None:
                break
            after = [last]
        return new

    async def look_at_end(self, exception_id: bytes) -> None:
        """An exception ended. Of one that the contract opened, whoever ended it may be no partner who could tell us."""
        case = await finished(self._register.on_ledger, exception_id)
        if case is None or case.state == RESOLVED:
            return
        record = await self._record(exception_id)
        if record.detail is None and record.end is not None:
            await finished(self._register.change, case.id, RESOLVED, resolution=str(record.end.resolution))

    def _from_ledger(self, record: ExceptionRecord) -> ExceptionCase | None:
        known = self._register.on_ledger(record.exception_id)
        if known is not None:
            self._register.owned(known.id, record.owner, "" if record.owner == self.organisation else record.owner)
            return None
        if record.detail is not None or record.kind not in _BY_CONTRACT.values():
            return None  # whoever reported it tells us the words
        parties = _AND.join(party.organisation for party in record.parties)
        compared = (
            f"The contract kept this itself: {record.kind} of a pack, by {parties}. Its ids on the ledger:"
            f" {', '.join(one.hex()[:16] for one in record.about)}."
        )
        others = _AND.join(one.organisation for one in record.parties if one.organisation != self.organisation)
        number = self._register.open(
            str(record.kind), record.owner, others if record.owner == self.organisation else record.owner,
            self._things(record), [], compared, 0, f"ledger {record.exception_id.hex()}", record.deadline_us,
            record.exception_id,
        )  # fmt: skip
        return self._register.get(number) if number else None

    def _things(self, record: ExceptionRecord) -> list[str]:
        """Which of our lots, units and packs these ids are."""
        return self._units.named(record.about)


def detail(case: ExceptionCase) -> bytes:
    """The hash of an exception's words, which the ledger has."""
    return _hash(case.kind, list(case.things[:MAX_ABOUT]), case.compared)


def _hash(kind: str, things: Sequence[str], compared: str) -> bytes:
    return sha256(cbor.encode([kind, list(things), compared])).digest()
