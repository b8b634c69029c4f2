"""What the routes work with: the site's folder and pool of readers, and the running gateway's parts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from chain.ledger.interface import Ledger
from chain.policy import Policy
from chain.receipt import Receipt
from chain.receipts import ReceiptBuilder
from chain.site import Folder, SiteReader
from gateway.access import Access
from gateway.api.guards import cookie_name
from gateway.events.view import EventsView, EventsViews
from gateway.live import Live
from gateway.query.doubts import marked
from gateway.query.errors import BusyError
from gateway.query.records import RecordRow
from gateway.query.view import MAX_VIEWS, Pool, V, View, Views

WAIT_S = 5.0

ReceiptFactory = Callable[[SiteReader], ReceiptBuilder]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a handler may need. `site_policy` gives what this site itself would check receipts with."""

    folder: Folder
    live: Live
    access: Access
    receipts: ReceiptFactory
    ledger: Ledger
    site_policy: Callable[[], Policy]
    views: Views
    events: EventsViews
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_VIEWS))
    _receipt_lock: Lock = field(default_factory=Lock)

    @property
    def policy(self) -> Policy:
        """As it is now: a ledger elsewhere gets new configurations."""
        return self.site_policy()

    @property
    def cookie(self) -> str:
        """The name of the pages' cookie."""
        return cookie_name(self.folder.origin)

    def receipt(self, view: View, leaf: int, disclose: tuple[str, ...] | None = None) -> Receipt:
        """Build a receipt; one at a time, because the ledger's reading connection is shared."""
        with self._receipt_lock:
            return self.receipts(view.site).build(leaf, disclose)

    def marked(self, view: View, rows: tuple[RecordRow, ...]) -> tuple[RecordRow, ...]:
        """The rows; one that rests on a signature in doubt says so."""
        return marked(rows, view.site, self.folder, self.live.status().doubtful)

    def tlog_proof(self, view: View, leaf: int) -> str:
        with self._receipt_lock:
            return self.receipts(view.site).tlog_proof(leaf)


def services(request: Request) -> Services:
    """The services of the application that serves this request."""
    found: Services = request.app.state.services
    return found


Here = Annotated[Services, Depends(services)]


@asynccontextmanager
async def _one_of(here: Services, pool: Pool[V]) -> AsyncIterator[V]:
    """A set of reading connections for one handler alone. Waiting for one takes no thread, so handlers that hold one
    always find a thread to finish in."""
    try:
        async with asyncio.timeout(WAIT_S):
            await here.gate.acquire()
    except TimeoutError as e:
        raise BusyError("too many questions at once; try again in a few seconds") from e
    try:
        view = await run_in_threadpool(pool.take)
        try:
            yield view
        finally:
            pool.give_back(view)
    finally:
        here.gate.release()


async def a_view(here: Here) -> AsyncIterator[View]:
    async with _one_of(here, here.views) as view:
        with view.bounded():
            yield view


viewing = asynccontextmanager(a_view)  # for handlers that ask a ledger first, and hold no connection meanwhile


def events_view(here: Services) -> AbstractAsyncContextManager[EventsView]:
    """For handlers that bound the question themselves."""
    return _one_of(here, here.events)


async def an_events_view(here: Here) -> AsyncIterator[EventsView]:
    async with _one_of(here, here.events) as view:
        with view.bounded():
            yield view


# Given back before a slow client has read the answer.
AView = Annotated[View, Depends(a_view, scope="function")]
AnEventsView = Annotated[EventsView, Depends(an_events_view, scope="function")]
