"""Takes what other companies' gateways say in a recall: notices of suppliers, answers of customers.

Trust boundary: bodies are untrusted. They are opened strictly, must be signed by a gateway of the company that sent
them, be meant for us, and fit what the ledger and recall.db know.
"""

import asyncio
from collections.abc import Callable

from gateway.recall.book import MAX_OPEN_DRILLS, Book
from gateway.recall.errors import RecallError, StatementError
from gateway.recall.ledger import RecallLedger
from gateway.recall.records import Recall
from gateway.recall.statements import Answer, Notice, Signed, Statement, open_signed
from gateway.recall.telling import Telling, now_us
from gateway.trace.identify import identified

MAX_DEADLINE_S = 90 * 86_400


class Taking:
    """Of one gateway. `one`: only one at a time changes what is known of recalls; `wake`: there is something to do."""

    def __init__(
        self, book: Book, ledger: RecallLedger, telling: Telling, one: asyncio.Lock, wake: Callable[[], None]
    ) -> None:  # fmt: skip
        self._book, self._ledger, self._telling, self._one, self._wake = book, ledger, telling, one, wake

    async def notice(self, organisation: str, body: bytes) -> str:
        """A supplier tells of a recall. Returns the recall's id once it is sure to be followed.

        Raises:
            StatementError: malformed, not signed by a gateway of this organisation, not to us, or no such recall.
            RecallError: too many drills.
        """
        opened = open_signed(body)
        notice = opened.statement
        if not isinstance(notice, Notice):
            raise StatementError("expected a notice, got an answer")
        await self._ledger.require_sender(opened, organisation)
        await self._require_to_us(notice)
        heading = notice.heading
        if heading.drill is not heading.recall.startswith("drill-"):
            raise StatementError("a drill has an id that says so, and no recall has")
        if not heading.drill:
            record = await self._ledger.require_recalled(heading.recall, heading.lot)
            if (record.grade, record.deadline_us) != (notice.grade, notice.deadline_us):
                raise StatementError("class and deadline are not those of the recall on the ledger")
        recall = Recall(
            heading.recall, heading.drill, False, identified(heading.lot), notice.grade, notice.reason,
            notice.deadline_us, now_us(), notice.tier, False,
        )  # fmt: skip
        async with self._one:
            await self._heard(recall, organisation, opened, notice.packs)
        self._wake()
        return recall.id

    async def _heard(self, recall: Recall, organisation: str, opened: Signed, packs: int) -> None:
        suppliers = await asyncio.to_thread(self._book.suppliers, recall.id)
        told = organisation in {supplier.organisation for supplier in suppliers}
        if recall.drill and not told:
            await self._require_room_for(recall, organisation)
        await asyncio.to_thread(self._book.put, recall)
        known = await asyncio.to_thread(self._book.get, recall.id)
        if known.lot != recall.lot or known.drill is not recall.drill:
            raise StatementError("another lot is known under the id of this recall")
        if not told:
            await self._telling.note(recall.id, "heard", opened.digest, drill=recall.drill)
            await asyncio.to_thread(self._book.put_supplier, recall.id, organisation, opened.body, packs, now_us())

    async def _require_room_for(self, drill: Recall, organisation: str) -> None:
        """No ledger knows of a drill, so one that anybody makes up must end, and be one of few."""
        if not 0 < drill.deadline_us - now_us() <= MAX_DEADLINE_S * 10**6:
            raise StatementError("the deadline of a drill lies ahead, by 90 days at most")
        if await asyncio.to_thread(self._book.open_drills, organisation) >= MAX_OPEN_DRILLS:
            raise RecallError(f"{MAX_OPEN_DRILLS} drills of {organisation[:80]} are open here, which is the bound")

    async def answer(self, organisation: str, body: bytes) -> None:
        """A customer answers. Returns once that is durable; the same again changes nothing.

        Raises:
            StatementError: malformed, not signed by a gateway of this organisation, not to us, another lot, or older
                than what it said last.
            UnknownRecallError: it was told of no such recall.
        """
        opened = open_signed(body)
        answer = opened.statement
        if not isinstance(answer, Answer):
            raise StatementError("expected an answer, got a notice")
        await self._ledger.require_sender(opened, organisation)
        await self._require_to_us(answer)
        async with self._one:
            recall = await asyncio.to_thread(self._book.get, answer.heading.recall)
            customer = await asyncio.to_thread(self._book.customer, recall.id, organisation)
            if (answer.heading.lot, answer.heading.drill) != (recall.lot, recall.drill):
                raise StatementError("the answer is about another lot than this recall")
            if customer.answer == body:
                return
            if answer.number <= customer.number:
                raise StatementError(f"answer {answer.number} is not newer than {customer.number}, known already")
            now = now_us()
            await asyncio.to_thread(
                self._book.put_answer, customer, answer.number, body, now, late=now > recall.deadline_us
            )
        self._wake()

    async def _require_to_us(self, statement: Statement) -> None:
        own = await self._ledger.organisation()
        if statement.heading.recipient != own:
            raise StatementError(f"it is addressed to {statement.heading.recipient[:80]}, not to {own}")
