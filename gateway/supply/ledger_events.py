"""Follows the events of the ledger, from where this gateway was: each is heeded once or more, in order, never skipped.

Trust boundary: events are the ledger's word; what they name is asked of the contract again before anything is done.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chain.ledger.interface import Ledger, LedgerEvent
from crypto.errors import SealtrailError
from gateway.device.backoff import Backoff

log = logging.getLogger(__name__)
Heed = Callable[[LedgerEvent], Awaitable[None]]
WANTED = ("coldchain.", "lots.exception", "lots.recalled")


class LedgerEvents:
    """On the event loop. `after` gives the index that was heeded last, `heeded` keeps it."""

    def __init__(
        self, ledger: Ledger, after: Callable[[], int], heeded: Callable[[int], None], heed: tuple[Heed, ...]
    ) -> None:
        self._ledger, self._after, self._heeded, self._heed = ledger, after, heeded, heed
        self.problem = ""

    async def run(self) -> None:
        """Until cancelled, or the ledger is closed."""
        backoff = Backoff(0.2, 30.0)
        while True:
            try:
                after = await asyncio.to_thread(self._after)
                async for event in self._ledger.events(after, lambda name, _: name.startswith(WANTED)):
                    for heed in self._heed:
                        await heed(event)
                    await asyncio.to_thread(self._heeded, event.index)
                    self.problem = ""
                    backoff.reset()
                return
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.problem != str(e):
                    log.warning("events of the ledger wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self.problem = str(e) or repr(e)
                await asyncio.sleep(backoff.next())
