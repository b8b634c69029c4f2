"""Recalls as they run at one gateway: begun here or heard from a supplier, told to direct customers, answered upwards.

Everything is durable before it is told: notices and answers go through the outbox, and a start goes on where a crash
came between. The same notice or answer twice changes nothing. Who is silent at the deadline is counted so; an answer
that comes later counts and is marked late.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256

from chain.errors import LedgerError, LogError, StoreError
from crypto.errors import SealtrailError
from gateway.custody.parts import Custody
from gateway.delivery.outbox import Outbox
from gateway.query.errors import NotIndexedError
from gateway.recall.answering import Answering
from gateway.recall.book import Book
from gateway.recall.counting import Counted, Counting
from gateway.recall.errors import RecallError
from gateway.recall.holdings import Holdings
from gateway.recall.ledger import RecallLedger
from gateway.recall.records import Customer, Recall, Starting, Supplier
from gateway.recall.settings import RecallConfig
from gateway.recall.statements import MAX_TIERS, Counts
from gateway.recall.taking import MAX_DEADLINE_S, Taking
from gateway.recall.telling import Telling, now_us
from gateway.supply.ground import Ground
from gateway.trace.identify import identified
from gateway.turning import Turning

INDEX_S = 0.2  # between two looks while the event index catches up
DRILL_OPEN_US = 3_600_000_000  # how long after its deadline a drill goes on, so that who was silent gets to the top


class Recalls(Turning):
    """One gateway's part in recalls. Runs on the event loop, database and index in threads."""

    what, every_s = "recall", 2.0

    def __init__(self, ground: Ground, outbox: Outbox, custody: Custody, book: Book, settings: RecallConfig) -> None:
        super().__init__()
        self.book, self.ledger = book, RecallLedger(ground, custody)
        self._telling = Telling(ground, outbox, custody)
        self._answering = Answering(ground, book, self.ledger, self._telling, settings)
        self._counting, self._one = Counting(ground, custody), asyncio.Lock()
        self._taking = Taking(book, self.ledger, self._telling, self._one, self.wake)
        self.take_notice, self.take_answer = self._taking.notice, self._taking.answer
        self._sent: dict[str, dict[str, tuple[int, frozenset[int]]]] = {}  # what book and customers were told of
        self.wake()

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
            await asyncio.to_thread(self.book.require_room)  # before the ledger has it
            said = sha256(json.dumps([uri, grade, reason, deadline_us, secrets.token_hex(8)]).encode()).digest()
            leaf = await self._telling.note("", "begun", said, drill=drill)
            starting = Starting(leaf, uri, grade, reason, deadline_us)
            if drill:
                recall = self._begun(f"drill-{secrets.token_hex(16)}", starting, now_us(), drill=True)
                await asyncio.to_thread(self.book.put, recall)
            else:
                await asyncio.to_thread(self.book.put_starting, starting)
                recall = await self._begin(starting)
        self.wake()
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

    # -- answered here

    async def answer(self, recall_id: str, counts: Mapping[str, int] | None = None) -> None:
        """A person answers for this company: what is here is in quarantine, or as `counts` says (names of Counts; they
        take the place of what the events say, of all suppliers together). RecallError where that is not possible."""
        unknown = set(counts or {}) - set(asdict(Counts()))
        if unknown or any(type(n) is not int or n < 0 for n in (counts or {}).values()):
            raise RecallError(f"counts are numbers from 0 of {', '.join(asdict(Counts()))}")
        async with self._one:  # a notice that is being taken may be known already, and who sent it not yet
            recall = await asyncio.to_thread(self.book.get, recall_id)
            if not await asyncio.to_thread(self.book.suppliers, recall.id):
                raise RecallError("this recall began here; there is nobody to answer to")
            await asyncio.to_thread(self.book.confirm, recall_id, json.dumps(dict(counts)) if counts else None)
        self.wake()

    # -- what follows by itself

    async def turn(self) -> None:
        """Do what is to be done now, for every recall that is not closed; what fails for one holds up no other."""
        failed: list[Exception] = []
        await asyncio.to_thread(self.book.end_drills, now_us() - DRILL_OPEN_US)
        for starting in await asyncio.to_thread(self.book.starting):
            try:
                async with self._one:
                    await self._begin(starting)
            except (SealtrailError, OSError) as e:
                failed.append(e)
        recalls = await asyncio.to_thread(self.book.open)
        self._sent = {recall.id: self._sent[recall.id] for recall in recalls if recall.id in self._sent}
        for recall in recalls:
            try:
                await self._further(recall)
            except NotIndexedError:
                asyncio.get_running_loop().call_later(INDEX_S, self.wake)
            except (SealtrailError, OSError) as e:
                failed.append(e)
        if failed:
            raise failed[0]

    async def _further(self, recall: Recall) -> None:
        if not recall.drill and (await self.ledger.require_recalled(recall.id, recall.lot)).lifted is not None:
            await asyncio.to_thread(self.book.end, recall.id)  # by its maker, or by us before a crash
            return
        suppliers = await asyncio.to_thread(self.book.suppliers, recall.id)
        counted = await self._counting.count(recall, suppliers)
        if recall.drill and not recall.maker and not self._concerns(suppliers, counted):
            return
        await self._note_customers(recall, counted)
        async with self._one:
            try:
                await self._tell(recall)
            finally:
                await self._answering.all(recall, suppliers, counted)

    @staticmethod
    def _concerns(suppliers: list[Supplier], counted: Counted) -> bool:
        """Whether a drill is of a lot that one of them supplied, as far as we know: anybody may make one up."""
        return any(one.confirmed or counted.supplied(one.organisation) for one in suppliers)

    async def _note_customers(self, recall: Recall, counted: Counted) -> None:
        """Who was sent how many packs, and received them by the ledger; asked again when our events say more."""
        found = counted.found
        sent = {name: (packs, frozenset(found.shipments[name])) for name, packs in found.customers.items()}
        if self._sent.get(recall.id) == sent:
            return
        for organisation, (packs, leaves) in sent.items():
            ledger = await self.ledger.received(recall.lot, organisation, leaves)
            await asyncio.to_thread(self.book.put_customer, recall.id, organisation, packs, ledger, now_us())
        self._sent[recall.id] = sent

    async def _tell(self, recall: Recall) -> None:
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

    async def counted(self, recall_id: str) -> tuple[Recall, list[Supplier], list[Customer], Mapping[str, Holdings]]:
        """A recall, who told us, whom we told, and what is here by the events."""
        recall = await asyncio.to_thread(self.book.get, recall_id)
        suppliers = await asyncio.to_thread(self.book.suppliers, recall_id)
        customers = await asyncio.to_thread(self.book.customers, recall_id)
        counted = await self._counting.count(recall, suppliers, all_logged=False)
        return recall, suppliers, customers, counted.found.parts
