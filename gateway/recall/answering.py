"""Our answers to suppliers: made of our own counts and our customers' answers, signed, sent, and committed to."""

import asyncio
import json
import os
from dataclasses import replace

from gateway.recall.book import Book
from gateway.recall.branches import Heard, added, commitment, encode_opening, passed_on, tiers, tree_of
from gateway.recall.counting import Counted
from gateway.recall.holdings import Holdings
from gateway.recall.ledger import RecallLedger
from gateway.recall.records import Customer, Recall, Said, Supplier
from gateway.recall.settings import RecallConfig
from gateway.recall.statements import Answer, Counts, Heading, open_signed, signed
from gateway.recall.telling import Telling, now_us
from gateway.supply.ground import Ground


class Answering:
    """Of one gateway."""

    def __init__(
        self, ground: Ground, book: Book, ledger: RecallLedger, telling: Telling, settings: RecallConfig
    ) -> None:  # fmt: skip
        self._ground, self._book, self._ledger = ground, book, ledger
        self._telling, self._settings = telling, settings

    async def all(self, recall: Recall, suppliers: list[Supplier], counted: Counted) -> None:
        """Without a person only those are answered of whom we know that they supplied the lot: to anybody else the
        answer would tell our trade."""
        auto = self._settings.auto_answer_drills if recall.drill else self._settings.auto_answer
        for supplier in suppliers:
            if supplier.confirmed or (auto and counted.supplied(supplier.organisation)):
                await self._answer_to(recall, supplier, counted)

    async def _answer_to(self, recall: Recall, supplier: Supplier, counted: Counted) -> None:
        """Say what became of a supplier's packs, where that is not what was said before."""
        before = await asyncio.to_thread(self._book.said, recall.id, supplier.organisation)
        here = counted.found.parts.get(supplier.organisation, Holdings())
        told = await asyncio.to_thread(self._book.customers, recall.id)
        mine = [one for one in told if _owner(one.organisation, counted) == supplier.organisation]
        if not counted.supplied(supplier.organisation):
            supplier = replace(supplier, counts=None)  # they are of what others supplied
        heard = [Heard(one.organisation, one.salt, one.answer) for one in mine if one.answer is not None]
        answer = self._answer(
            await self._telling.heading(recall, supplier.organisation), recall, supplier, here, mine, heard
        )
        if before is not None:
            last = open_signed(before.body).statement
            if isinstance(last, Answer) and replace(answer, number=last.number, answered_us=last.answered_us) == last:
                await self._deliver(recall, before)
                return
        answer = replace(answer, number=before.number + 1 if before else 1)
        await self._say(recall, supplier, answer, heard)

    @staticmethod
    def _answer(
        heading: Heading, recall: Recall, supplier: Supplier, here: Holdings, mine: list[Customer], heard: list[Heard]
    ) -> Answer:  # fmt: skip
        waiting = [one for one in mine if one.answer is None]
        own = corrected(here.own, supplier.counts)
        last_us = max((one.first_us for one in mine), default=0)
        silent = len(waiting) if now_us() > recall.deadline_us else 0
        return Answer(
            heading, 1, now_us(), supplier.confirmed, here.received, own, passed_on(heard),
            sum(here.customers.get(one.organisation, 0) for one in waiting),
            tiers(len(mine), silent, last_us, heard),
            added([sum(1 for one in mine if excess(one)), *(one.answer.flagged for one in heard)]), tree_of(heard),
        )  # fmt: skip

    async def _say(self, recall: Recall, supplier: Supplier, answer: Answer, heard: list[Heard]) -> None:
        body, salt = signed(answer, self._ground.folder.gateway_key()), os.urandom(32)
        leaf = await self._telling.note(recall.id, "answered", commitment(salt, body), drill=recall.drill)
        said = Said(
            recall.id, supplier.organisation, answer.number, body, salt, leaf, "", encode_opening(heard)
        )  # fmt: skip
        await asyncio.to_thread(self._book.put_said, said)
        await self._deliver(recall, said)

    async def _deliver(self, recall: Recall, said: Said) -> None:
        """Send an answer, and commit to it on the ledger; what was done before is not done again."""
        if said.tx_id:
            return
        message = f"answer-{said.recall}-{said.organisation}-{said.number}"
        await self._telling.send(said.organisation, "answers", said.body, message)
        tx_id = "none"
        if self._settings.commit and not recall.drill:
            tx_id = await self._ledger.commit(recall.id, commitment(said.salt, said.body), said.leaf)
        await asyncio.to_thread(self._book.put_said, replace(said, tx_id=tx_id))


def corrected(own: Counts, counts: str | None) -> Counts:
    """Our own packs as a person counted them, where one did: `counts` of a supplier."""
    return replace(own, **json.loads(counts)) if counts else own


def _owner(customer: str, counted: Counted) -> str:
    """Which supplier hears a customer's answer: the one of whom most of its packs are; so it is counted once."""
    parts = counted.found.parts
    packs = {name: parts[name].customers.get(customer, 0) for name in counted.names if name in parts}
    most = max(packs, key=lambda name: packs[name], default=counted.default)
    return most if packs.get(most) else counted.default


def excess(customer: Customer) -> tuple[int, int] | None:
    """The number of packs that a customer speaks of and the number that it got, where the first is larger. What it got
    is what our events say that we sent or the ledger that it received, whichever is more."""
    if customer.answer is None:
        return None
    answer = open_signed(customer.answer).statement
    got = max(customer.packs, customer.ledger or 0)
    return (answer.claimed, got) if isinstance(answer, Answer) and answer.claimed > got else None
