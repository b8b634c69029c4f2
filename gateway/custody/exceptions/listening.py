"""Hears from the ledger of exceptions that other companies' calls opened or ended, and takes in those that concern us.

Trust boundary: an event only says that there is something to look at; what is taken in is asked of the contract. Each
start looks as well, so that an event which nobody heeded is not missed.
"""

import asyncio
import logging

from chain.ledger.interface import LedgerEvent
from crypto import cbor
from crypto.errors import SealtrailError
from gateway.custody.exceptions.workflow import Workflow
from gateway.device.backoff import Backoff

log = logging.getLogger(__name__)
EVENT = "lots.exception"
MAX_EVENT_BYTES = 2**20
MAX_ENDED = 1000  # that wait to be looked at; what is more is seen when a person asks the ledger


class Listening:
    """On the event loop. `heed` is called with each event of the ledger, `run` once."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._news, self._ended = asyncio.Event(), dict[bytes, None]()
        self._news.set()  # a start looks
        self.problem = ""

    async def heed(self, event: LedgerEvent) -> None:
        """An event of the ledger: news where it names our organisation."""
        if event.name != EVENT:
            return
        exception_id, _, state, owner, parties = cbor.decode(event.payload, MAX_EVENT_BYTES)[:5]
        await self._workflow.begin()
        if self._workflow.organisation not in (owner, *parties):
            return
        if state == "resolved" and len(self._ended) < MAX_ENDED:
            self._ended[exception_id] = None
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        backoff = Backoff(0.2, 30.0)
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._look()
                self.problem = ""
                backoff.reset()
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.problem != str(e):
                    log.warning("exceptions wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
                self._news.set()
                await asyncio.sleep(backoff.next())

    async def _look(self) -> None:
        await self._workflow.look_up()
        while self._ended:
            exception_id = next(iter(self._ended))
            await self._workflow.look_at_end(exception_id)
            self._ended.pop(exception_id, None)
