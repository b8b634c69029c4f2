"""What the routes work with: the site's folder and pool of readers, and the running gateway's parts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Annotated

from fastapi import Depends, Request

from chain.ledger.interface import Ledger
from chain.policy import Policy
from chain.receipt import Receipt
from chain.receipts import ReceiptBuilder
from chain.site import Folder, SiteReader
from gateway.access import Access
from gateway.live import Live
from gateway.query.view import View, Views

ReceiptFactory = Callable[[SiteReader], ReceiptBuilder]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a handler may need. `policy` is what this site itself would check receipts with."""

    folder: Folder
    live: Live
    access: Access
    receipts: ReceiptFactory
    ledger: Ledger
    policy: Policy
    views: Views
    _receipt_lock: Lock = field(default_factory=Lock)

    def receipt(self, view: View, leaf: int, disclose: tuple[str, ...] | None = None) -> Receipt:
        """Build a receipt; one at a time, because the ledger's reading connection is shared."""
        with self._receipt_lock:
            return self.receipts(view.site).build(leaf, disclose)

    def tlog_proof(self, view: View, leaf: int) -> str:
        with self._receipt_lock:
            return self.receipts(view.site).tlog_proof(leaf)


def services(request: Request) -> Services:
    """The services of the application that serves this request."""
    found: Services = request.app.state.services
    return found


Here = Annotated[Services, Depends(services)]


def a_view(here: Here) -> Iterator[View]:
    """A set of reading connections for this request alone; blocking, so it runs in the thread pool."""
    with here.views.view() as view:
        yield view


AView = Annotated[View, Depends(a_view)]
