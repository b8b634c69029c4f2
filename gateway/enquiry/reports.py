"""Carries subscriptions out: what matches goes, as an EPCISQueryDocument, into the outbox.

A subscription goes through the records of the log in order, as far as the index has them, so nothing is left out and
nothing is out of order, whatever happens meanwhile. Steps of a report:
 1. The end of its stretch is noted: durable. After a crash the same stretch is reported again, under the same id.
 2. It is in the outbox: durable. From there it is delivered at least once, and in order (gateway.delivery).
 3. The subscription goes on behind it: durable.
A receiver that is away for days finds everything waiting: the first reports in the outbox, the rest in the log.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from crypto.errors import SealtrailError
from gateway.access import now_us
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import DeliveryConfig
from gateway.delivery.target import Target
from gateway.enquiry.clauses import Filter
from gateway.enquiry.errors import EnquiryError
from gateway.enquiry.named import query_of
from gateway.enquiry.query import Query
from gateway.enquiry.schedule import parsed_schedule
from gateway.enquiry.search import Page, between
from gateway.enquiry.standing import Standing, Subscription
from gateway.epcis.document import query_document
from gateway.events.times import rfc3339
from gateway.events.view import EventsView, EventsViews
from gateway.query.errors import QueryError

log = logging.getLogger(__name__)
T = TypeVar("T")
LOOK_S = 0.2
MAX_EVENTS = 500  # of one report
MAX_WAITING = 100  # reports in the outbox for one receiver
HEADERS = {"Content-Type": "application/json", "GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0.0"}


class Reports:
    """Runs on the event loop; the index is asked in threads."""

    def __init__(self, standing: Standing, views: EventsViews, outbox: Outbox, delivery: DeliveryConfig) -> None:
        self._standing, self._views, self._outbox, self._delivery = standing, views, outbox, delivery
        self._changed = asyncio.Event()
        self._problems: dict[str, str] = {}

    def changed(self) -> None:
        """There is a new subscription, or one less."""
        self._changed.set()

    def target(self, subscription: Subscription) -> Target:
        """What it cannot hold waits in the log: the outbox refuses then, and the subscription stays where it is."""
        bounds = replace(self._delivery.bounds(refuse=True), rows=MAX_WAITING)
        return Target(f"epcis/{subscription.id}", subscription.dest, subscription.secret, bounds=bounds)

    def require_target(self, dest: str, secret: bytes) -> None:
        """DeliveryError where nothing may be sent there."""
        self._outbox.require(Target("epcis/new", dest, secret))

    async def forget(self, subscription: str) -> None:
        """What waits for it goes too."""
        await self._outbox.remove(f"epcis/{subscription}")

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            standing = await asyncio.to_thread(self._standing.subscriptions)
            if not standing:
                await self._changed.wait()
            self._changed.clear()
            indexed = await self._indexed()
            for subscription in standing:
                await self._look_after(subscription, indexed)
            await asyncio.sleep(LOOK_S)

    async def _look_after(self, subscription: Subscription, indexed: int) -> None:
        try:
            await self._due(subscription, indexed)
            self._problems.pop(subscription.id, None)
        except SealtrailError as e:  # it waits where it stands; the others go on
            if self._problems.get(subscription.id) != str(e):
                log.warning("subscription %s to %s waits: %s", subscription.id, subscription.query, e)
            self._problems[subscription.id] = str(e)

    async def _due(self, subscription: Subscription, indexed: int) -> None:
        now = now_us()
        if subscription.schedule:
            if parsed_schedule(subscription.schedule).next(subscription.executed_us) > now:
                return
        elif subscription.planned is None and subscription.from_leaf >= indexed:
            return
        sent = await self._report_all(subscription, indexed)
        if subscription.schedule:
            if not sent and subscription.report_if_empty:
                await self._send(subscription, Page((), None), f"{subscription.id}.{subscription.executed_us}")
            await asyncio.to_thread(self._standing.executed, subscription.id, now)

    async def _report_all(self, subscription: Subscription, indexed: int) -> bool:
        """Whether anything was reported."""
        definition = (await asyncio.to_thread(self._standing.query, subscription.query)).definition
        query, sent = since(query_of(definition), subscription.initial_us), False
        while subscription.from_leaf < indexed:
            found, upto = await self._stretch(query, subscription, indexed)
            if found.events:
                await asyncio.to_thread(self._standing.plan, subscription.id, upto)
                await self._send(subscription, found, f"{subscription.id}.{found.events[0].leaf}.{upto}")
                sent = True
            await asyncio.to_thread(self._standing.advance, subscription.id, upto)
            subscription = replace(subscription, from_leaf=upto, planned=None)
        return sent

    async def _stretch(self, query: Query, subscription: Subscription, indexed: int) -> tuple[Page, int]:
        """The next events, and where their stretch ends."""
        stop = min(subscription.planned or indexed, indexed)
        found = await self._ask(lambda view: between(view, query, subscription.from_leaf, stop, MAX_EVENTS))
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
        except (QueryError, SealtrailError):  # the index is not there yet
            return 0

    async def _ask(self, question: Callable[[EventsView], T]) -> T:
        return await asyncio.to_thread(self._asked, question)

    def _asked(self, question: Callable[[EventsView], T]) -> T:
        view = self._views.take()
        try:
            return question(view)
        finally:
            self._views.give_back(view)


def since(query: Query, initial_us: int | None) -> Query:
    """Only what was recorded since then."""
    if initial_us is None:
        return query
    return replace(query, clauses=(*query.clauses, Filter("+e.record_us >= ?", (initial_us,))))


def signed(secret: bytes, body: bytes) -> dict[str, str]:
    """The header GS1-Signature: HMAC-SHA256 of the body under the subscriber's token (EPCIS 2.0 section 12.8 leaves the
    scheme open). It is the same in every try; the outbox adds its own, with time and id."""
    if not secret:
        return {}
    return {"GS1-Signature": "sha256=" + hmac.digest(secret, body, "sha256").hex()}


def require_prefix(dest: str, prefixes: list[str]) -> None:
    """EnquiryError where the operator's list of destinations does not hold it. A prefix ends at a / or is all of it."""
    if prefixes and not any(dest == p or dest.startswith(p if p.endswith("/") else p + "/") for p in prefixes):
        raise EnquiryError(f"{dest!r:.200} is not among epcis.subscriber_prefixes")
