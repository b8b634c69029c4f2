"""Recalls as they run at one gateway: begun here or heard from a supplier, told to direct customers, answered upwards.

Everything is durable before it is told: notices and answers go through the outbox, and a start goes on where a crash
came between. The same notice or answer twice changes nothing. Who is silent at the deadline is counted so; an answer
that comes later counts and is marked late.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from chain.errors import LedgerError, LogError, StoreError
from crypto.errors import SealtrailError
from gateway.custody.parts import Custody
from gateway.delivery.outbox import Outbox
from gateway.events.view import EventsView
from gateway.query.errors import NotIndexedError
from gateway.recall.answering import Answering
from gateway.recall.book import Book, Customer, Recall, Starting, Supplier
from gateway.recall.errors import RecallError, StatementError
from gateway.recall.holdings import Holdings, holdings
from gateway.recall.ledger import RecallLedger
from gateway.recall.settings import RecallConfig
from gateway.recall.statements import (
    MAX_TIERS,
    Answer,
    Counts,
    Notice,
    Statement,
    open_signed,
)
from gateway.recall.telling import Telling, now_us
from gateway.supply.ground import Ground
from gateway.trace.identify import identified

log = logging.getLogger(__name__)
TURN_S, INDEX_S = 2.0, 0.2  # between two looks, and while the event index catches up
COUNT_S = 120.0  # how long counting the packs of a lot may take
MAX_DEADLINE_S = 90 * 86_400


class Recalls:
    """One gateway's part in recalls. Runs on the event loop, database and index in threads."""

    def __init__(self, ground: Ground, outbox: Outbox, custody: Custody, book: Book, settings: RecallConfig) -> None:
        self._ground, self._custody, self.book = ground, custody, book
        self.ledger = RecallLedger(ground, custody)
        self._telling = Telling(ground, outbox, custody)
        self._answering = Answering(ground, book, self.ledger, self._telling, settings)
        self._news, self._one = asyncio.Event(), asyncio.Lock()
        self._counted: dict[str, _Counted] = {}
        self.problem = ""

    # -- begun here

    async def start(self, lot: str, grade: int, reason: str, deadline_us: int, *, drill: bool = False) -> Recall:
        """Recall a lot of our own, or try out how that would go. Returns once the ledger has it (a drill is not on the
        ledger) and everything that follows is sure to be done.

        Raises:
            RecallError, TraceError: what was asked for is not possible.
            ContractError: it is no lot of ours, or is recalled already.
        """
        uri = identified(lot)
        if not 1 <= grade <= 3 or not 0 < len(reason) <= 256:
            raise RecallError("a recall has a class from 1 (gravest) to 3 and a reason of 1 to 256 characters")
        if not 0 < deadline_us - now_us() <= MAX_DEADLINE_S * 10**6:
            raise RecallError("the deadline lies ahead, by 90 days at most")
        async with self._one:
            said = sha256(json.dumps([uri, grade, reason, deadline_us, secrets.token_hex(8)]).encode()).digest()
            leaf = await self._telling.note("", "begun", said, drill=drill)
            starting = Starting(leaf, uri, grade, reason, deadline_us)
            if drill:
                recall = self._begun(f"drill-{secrets.token_hex(16)}", starting, now_us(), drill=True)
                await asyncio.to_thread(self.book.put, recall)
            else:
                await asyncio.to_thread(self.book.put_starting, starting)
                recall = await self._begin(starting)
        self._news.set()
        return recall

    async def _begin(self, starting: Starting) -> Recall:
        try:
            record = await self.ledger.begin(starting)
        except (LedgerError, LogError, StoreError):
            raise  # tried again: it may have been taken
        except SealtrailError:
            await asyncio.to_thread(self.book.end_starting, starting.leaf)
            raise
        recall = self._begun(record.recall_id, starting, record.begun_us, drill=False)
        await asyncio.to_thread(self.book.put, recall, starting.leaf)
        return recall

    @staticmethod
    def _begun(name: str, starting: Starting, now_us: int, *, drill: bool) -> Recall:
        return Recall(
            name, drill, True, starting.lot, starting.grade, starting.reason, starting.deadline_us, now_us, 0, False,
        )  # fmt: skip

    async def lift(self, recall_id: str, reason: str) -> None:
        """End a recall that began here; no more is told or asked. Customers' gateways see it on the ledger."""
        recall = await asyncio.to_thread(self.book.get, recall_id)
        if not recall.maker:
            raise RecallError("a recall is lifted by the company that began it")
        if recall.closed:
            raise RecallError(f"the recall {recall.id[:80]} is ended already")
        if not recall.drill:
            leaf = await self._telling.note(recall_id, "lifted", sha256(reason.encode()).digest(), drill=False)
            await self.ledger.lift(recall_id, reason, leaf)
        await asyncio.to_thread(self.book.end, recall_id)

    # -- from others

    async def take_notice(self, organisation: str, body: bytes) -> str:
        """A supplier tells of a recall. Returns the recall's id once it is sure to be followed.

        Raises:
            StatementError: malformed, not signed by a gateway of this organisation, not to us, or no such recall.
        """
        opened = open_signed(body)
        notice = opened.statement
        if not isinstance(notice, Notice):
            raise StatementError("expected a notice, got an answer")
        await self.ledger.require_sender(opened, organisation)
        await self._require_to_us(notice)
        heading = notice.heading
        if heading.drill is not heading.recall.startswith("drill-"):
            raise StatementError("a drill has an id that says so, and no recall has")
        if not heading.drill:
            record = await self.ledger.require_recalled(heading.recall, heading.lot)
            if (record.grade, record.deadline_us) != (notice.grade, notice.deadline_us):
                raise StatementError("class and deadline are not those of the recall on the ledger")
        recall = Recall(
            heading.recall, heading.drill, False, identified(heading.lot), notice.grade, notice.reason,
            notice.deadline_us, now_us(), notice.tier, False,
        )  # fmt: skip
        async with self._one:
            await asyncio.to_thread(self.book.put, recall)
            known = await asyncio.to_thread(self.book.get, recall.id)
            if known.lot != recall.lot or known.drill is not recall.drill:
                raise StatementError("another lot is known under the id of this recall")
            if organisation not in {s.organisation for s in await asyncio.to_thread(self.book.suppliers, recall.id)}:
                await self._telling.note(recall.id, "heard", opened.digest, drill=recall.drill)
                await asyncio.to_thread(
                    self.book.put_supplier, recall.id, organisation, body, notice.packs, now_us()
                )  # fmt: skip
        self._news.set()
        return recall.id

    async def take_answer(self, organisation: str, body: bytes) -> None:
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
        await self.ledger.require_sender(opened, organisation)
        await self._require_to_us(answer)
        async with self._one:
            recall = await asyncio.to_thread(self.book.get, answer.heading.recall)
            customer = await asyncio.to_thread(self.book.customer, recall.id, organisation)
            if (answer.heading.lot, answer.heading.drill) != (recall.lot, recall.drill):
                raise StatementError("the answer is about another lot than this recall")
            if customer.answer == body:
                return
            if answer.number <= customer.number:
                raise StatementError(f"answer {answer.number} is not newer than {customer.number}, known already")
            now = now_us()
            await asyncio.to_thread(
                self.book.put_answer, customer, answer.number, body, now, late=now > recall.deadline_us
            )
        self._news.set()

    async def _require_to_us(self, statement: Statement) -> None:
        own = await self.ledger.organisation()
        if statement.heading.recipient != own:
            raise StatementError(f"it is addressed to {statement.heading.recipient[:80]}, not to {own}")

    # -- answered here

    async def answer(self, recall_id: str, counts: Mapping[str, int] | None = None) -> None:
        """A person answers for this company: what is here is in quarantine, or as `counts` says (names of Counts; they
        take the place of what the events say, of all suppliers together). RecallError where that is not possible."""
        recall = await asyncio.to_thread(self.book.get, recall_id)
        if not await asyncio.to_thread(self.book.suppliers, recall.id):
            raise RecallError("this recall began here; there is nobody to answer to")
        unknown = set(counts or {}) - set(asdict(Counts()))
        if unknown or any(type(n) is not int or n < 0 for n in (counts or {}).values()):
            raise RecallError(f"counts are numbers from 0 of {', '.join(asdict(Counts()))}")
        await asyncio.to_thread(self.book.confirm, recall_id, json.dumps(dict(counts)) if counts else None)
        self._news.set()

    # -- what follows by itself

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause = TURN_S
            try:
                await self.turn()
                self.problem = ""
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.problem != str(e) and not isinstance(e, NotIndexedError):
                    log.warning("recalls wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
                pause = INDEX_S if isinstance(e, NotIndexedError) else TURN_S
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                continue
            self._news.clear()

    async def turn(self) -> None:
        """Do what is to be done now, for every recall that is not closed; what fails for one holds up no other."""
        for starting in await asyncio.to_thread(self.book.starting):
            async with self._one:
                await self._begin(starting)
        failed: list[Exception] = []
        for recall in await asyncio.to_thread(self.book.open):
            try:
                async with self._one:
                    await self._further(recall)
            except (SealtrailError, OSError) as e:
                failed.append(e)
        if failed:
            raise failed[0]

    async def _further(self, recall: Recall) -> None:
        if not recall.drill and (await self.ledger.require_recalled(recall.id, recall.lot)).lifted is not None:
            await asyncio.to_thread(self.book.end, recall.id)  # by its maker, or by us before a crash
            return
        suppliers = await asyncio.to_thread(self.book.suppliers, recall.id)
        found = await self._count(recall, suppliers)
        try:
            await self._tell(recall, found)
        finally:
            await self._answering.all(recall, suppliers, found)

    async def _count(self, recall: Recall, suppliers: list[Supplier], *, all_logged: bool = True
                     ) -> Mapping[str, Holdings]:  # fmt: skip
        """Over everything that is logged by now, or else over what is indexed. What was counted is remembered until
        there is another event."""
        size = self._ground.log_size()
        names = tuple(supplier.organisation for supplier in suppliers)
        known = self._counted.get(recall.id)

        def count() -> _Counted:
            with closing(EventsView.open(self._ground.folder)) as view, view.bounded(COUNT_S):
                if all_logged and view.indexed() < size:
                    raise NotIndexedError("the event index is behind the log; the packs are counted soon")
                last = int(view.events.connection.execute("SELECT COALESCE(MAX(leaf), -1) FROM event").fetchone()[0])
                if known is not None and (known.last, known.suppliers) == (last, names):
                    return known
                return _Counted(last, names, holdings(view, recall.lot, self._organisation_at, names))

        self._counted[recall.id] = counted = await asyncio.to_thread(count)
        return counted.found

    def _organisation_at(self, uri: str) -> str | None:
        partner = self._custody.partners.at(uri)
        return partner.organisation if partner else None

    async def _tell(self, recall: Recall, found: Mapping[str, Holdings]) -> None:
        sent: dict[str, int] = {}
        for part in found.values():
            for organisation, packs in part.customers.items():
                sent[organisation] = sent.get(organisation, 0) + packs
        for organisation, packs in sent.items():
            ledger = await self.ledger.received(recall.lot, organisation)
            await asyncio.to_thread(self.book.put_customer, recall.id, organisation, packs, ledger, now_us())
        failed: list[RecallError] = []
        for customer in await asyncio.to_thread(self.book.customers, recall.id):
            if customer.told or recall.tier >= MAX_TIERS:
                continue
            try:
                await self._telling.notice(recall, customer.organisation, customer.packs)
                await asyncio.to_thread(self.book.told, customer)
            except RecallError as e:  # the others are told all the same, and this one again
                failed.append(e)
        if failed:
            raise failed[0]

    # -- looked at

    async def counted(self, recall_id: str) -> tuple[Recall, list[Supplier], list[Customer], Mapping[str, Any]]:
        """A recall, who told us, whom we told, and what is here by the events."""
        recall = await asyncio.to_thread(self.book.get, recall_id)
        suppliers = await asyncio.to_thread(self.book.suppliers, recall_id)
        customers = await asyncio.to_thread(self.book.customers, recall_id)
        return recall, suppliers, customers, await self._count(recall, suppliers, all_logged=False)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was found when `last` was the newest event, for these suppliers."""

    last: int
    suppliers: tuple[str, ...]
    found: Mapping[str, Holdings]
