"""Carries subscriptions out: what matches goes, as an EPCISQueryDocument, into the outbox.

A subscription goes through the records of the log in order, as far as the index has them, so nothing is left out and
nothing is out of order, whatever happens meanwhile. Steps of a report:
 1. The end of its stretch is noted: durable. After a crash the same stretch is reported again, under the same id.
 2. It is in the outbox: durable. From there it is delivered at least once, and in order (gateway.delivery).
 3. The subscription goes on behind it: durable.
A receiver that is away for days finds everything waiting: the first reports in the outbox, the rest in the log.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from crypto.errors import SealtrailError
from gateway.access import now_us
from gateway.delivery.errors import DeliveryError
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import DeliveryConfig
from gateway.delivery.target import Target
from gateway.enquiry.destinations import signed
from gateway.enquiry.errors import EnquiryError
from gateway.enquiry.named import query_of
from gateway.enquiry.places import Place, Places
from gateway.enquiry.query import Query
from gateway.enquiry.schedule import parsed_schedule
from gateway.enquiry.search import STRETCH, Page, between, first_since, since
from gateway.enquiry.standing import Standing, Subscription
from gateway.epcis.document import query_document
from gateway.events.times import rfc3339
from gateway.events.view import EventsView, EventsViews
from gateway.query.errors import BusyError

log = logging.getLogger(__name__)
T = TypeVar("T")
LOOK_S = 0.2
MAX_EVENTS = 500  # of one report
MAX_REPORT_BYTES = 4 * 2**20  # of its events, but for the last one
MAX_WAITING = 100  # reports in the outbox for one receiver
_QUEUES = "epcis/"
_OF_RECEIVERS = (DeliveryError, EnquiryError, BusyError)  # who subscribed is told of them, not who runs the gateway
HEADERS = {"Content-Type": "application/json", "GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0.0"}


class Reports:
    """Runs on the event loop; the index is asked in threads."""

    def __init__(self, standing: Standing, views: EventsViews, outbox: Outbox, delivery: DeliveryConfig) -> None:
        self._standing, self._views, self._outbox, self._delivery = standing, views, outbox, delivery
        self._changed = asyncio.Event()
        self._places = Places()
        self._waiting: dict[str, int] | None = None  # reports for each receiver, in this round
        self._said: dict[str, str] = {}
        self._problems: dict[str, str] = {}  # by subscription, "" of all

    def changed(self) -> None:
        """There is a new subscription, or one less."""
        self._changed.set()

    def target(self, subscription: Subscription) -> Target:
        """What it cannot hold waits in the log: the outbox refuses then, and the subscription stays where it is."""
        bounds = replace(self._delivery.bounds(refuse=True), rows=MAX_WAITING)
        return Target(f"{_QUEUES}{subscription.id}", subscription.dest, subscription.secret, bounds=bounds)

    def require_target(self, dest: str, secret: bytes) -> None:
        """DeliveryError where nothing may be sent there."""
        self._outbox.require(Target(f"{_QUEUES}new", dest, secret))

    async def forget(self, subscription: str) -> None:
        """What waits for it goes too."""
        await self._outbox.remove(f"{_QUEUES}{subscription}")

    def problems(self) -> Iterator[str]:
        """What keeps reports from going out that is not their receivers' matter, in words."""
        yield from (f"subscriptions wait: {said}" for said in dict.fromkeys(self._problems.values()))

    async def run(self) -> None:
        """Report until cancelled."""
        tidy = False
        while True:
            more = False
            try:
                tidy = tidy or await self._forget_orphans()
                more = await self._round()
                self._problems.pop("", None)
            except Exception as e:  # told by the status; the disk may take it next time
                self._note("", e)
            await asyncio.sleep(0 if more else LOOK_S)

    async def _forget_orphans(self) -> bool:
        """Queues of subscriptions that ended while the gateway did."""
        queues = [state.name for state in await self._outbox.states() if state.name.startswith(_QUEUES)]
        known = {one.id for one in await asyncio.to_thread(self._standing.subscriptions)}
        for name in queues:
            if name.removeprefix(_QUEUES) not in known:
                await self._outbox.remove(name)
        return True

    async def _round(self) -> bool:
        """A turn of each subscription; whether one has more to do at once."""
        pairs = self._places.joined(await asyncio.to_thread(self._standing.subscriptions))
        if not pairs:
            await self._changed.wait()
        self._changed.clear()
        for told in (self._said, self._problems):
            for gone in told.keys() - {one.id for one, _ in pairs} - {""}:
                del told[gone]
        indexed, self._waiting = await self._indexed(), None
        turns = [await self._look_after(one, place, indexed) for one, place in pairs if not place.rests]
        if reached := self._places.unwritten():
            await asyncio.to_thread(self._standing.reached, reached)
            self._places.wrote(reached)
        return any(turns)

    async def _look_after(self, subscription: Subscription, place: Place, indexed: int) -> bool:
        try:
            more = await self._due(subscription, place, indexed)
        except Exception as e:  # it waits where it stands; the others go on
            self._note(subscription.id, e)
            place.rest()
            return False
        self._problems.pop(subscription.id, None)
        place.woken()
        return more

    def _note(self, subscription: str, e: Exception) -> None:
        said = str(e) or repr(e)
        if self._said.get(subscription) != said:
            ours = not isinstance(e, SealtrailError)
            log.warning("%s: %s", f"subscription {subscription} waits" if subscription else "subscriptions wait", said,
                        exc_info=ours)  # fmt: skip
        self._said[subscription] = said
        if not isinstance(e, _OF_RECEIVERS):
            self._problems[subscription] = said

    async def _due(self, subscription: Subscription, place: Place, indexed: int) -> bool:
        """One turn: one report at most, so that nobody waits for whoever has much. Whether there is more to do."""
        if subscription.schedule and place.goal is None:
            now = now_us()
            if place.due_us is None:
                place.due_us = parsed_schedule(subscription.schedule).next(subscription.executed_us)
            if place.due_us > now:
                return False
            place.begin(max(indexed, place.planned or 0), now)
        goal = indexed if place.goal is None else place.goal
        # After a power cut the index may be behind what a report was made of: the same one is made again, or none.
        if max(goal, place.planned or 0) > indexed:
            return False
        if place.from_leaf < goal:
            return await self._turn(subscription, place, goal)
        if place.goal is not None:
            if not place.sent and subscription.report_if_empty:
                await self._send(subscription, Page((), None), f"{subscription.id}.{subscription.executed_us}")
            await asyncio.to_thread(self._standing.executed, subscription.id, place.began_us)
            place.goal = None
        return False

    async def _turn(self, subscription: Subscription, place: Place, goal: int) -> bool:
        """The next stretch; whether it came on."""
        if await self._full(subscription):
            return False
        definition = (await asyncio.to_thread(self._standing.query, subscription.query)).definition
        query = since(query_of(definition), subscription.initial_us)
        await self._skip(subscription, place, goal)
        found, upto = await self._stretch(query, place, goal)
        if found.events:
            if place.planned != upto:
                await asyncio.to_thread(self._standing.plan, subscription.id, place.from_leaf, upto)
                place.planned = upto
            await self._send(subscription, found, f"{subscription.id}.{found.events[0].leaf}.{upto}")
            place.sent = True
        if place.planned is not None:
            await asyncio.to_thread(self._standing.advance, subscription.id, upto)
            place.written = upto
        place.from_leaf, place.planned = upto, None
        return True

    async def _full(self, subscription: Subscription) -> bool:
        """Whether the outbox would not take a report: then none is made. Asked once a round."""
        if self._waiting is None:
            self._waiting = {state.name: state.waiting for state in await self._outbox.states()}
        return self._waiting.get(f"{_QUEUES}{subscription.id}", 0) >= MAX_WAITING

    async def _skip(self, subscription: Subscription, place: Place, goal: int) -> None:
        """Records before initialRecordTime need no look."""
        initial = subscription.initial_us
        if initial is not None and not place.skipped and place.planned is None:
            first = await self._ask(lambda view: first_since(view, initial, goal))
            place.from_leaf = max(place.from_leaf, first)
        place.skipped = True

    async def _stretch(self, query: Query, place: Place, goal: int) -> tuple[Page, int]:
        """The next events, and where their stretch ends."""
        start, stop = place.from_leaf, place.planned or min(goal, place.from_leaf + STRETCH)
        nbytes = min(MAX_REPORT_BYTES, self._delivery.max_target_bytes // 2)
        found = await self._ask(lambda view: between(view, query, start, stop, MAX_EVENTS, nbytes))
        return found, found.events[-1].leaf + 1 if found.token and found.events else stop

    async def _send(self, subscription: Subscription, found: Page, message: str) -> None:
        payloads = [one.payload for one in found.events]
        at = found.events[-1].received_us if found.events else now_us()
        body = query_document(payloads, rfc3339(at), subscription.query, subscription.id)
        headers = HEADERS | signed(subscription.secret, body)
        await self._outbox.add(self.target(subscription), body, headers, message=message)

    async def _indexed(self) -> int:
        try:
            return await self._ask(lambda view: view.indexed())
        except SealtrailError:  # the index is not there yet
            return 0

    async def _ask(self, question: Callable[[EventsView], T]) -> T:
        return await asyncio.to_thread(self._asked, question)

    def _asked(self, question: Callable[[EventsView], T]) -> T:
        view = self._views.take()
        try:
            return question(view)
        finally:
            self._views.give_back(view)
