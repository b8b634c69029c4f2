"""The site's ledger as the gateway uses it: the key that it acts with can be changed while calls go on.

During the change calls wait; none is made with a key that does not count any more, and none is lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, Self

from chain.ledger.interface import Ledger, LedgerEvent, Submitted, Wanted, every
from crypto.keys import PrivateKey


class CalledBy(Ledger, Protocol):
    """A ledger that can be called with other keys than its own."""

    def as_caller(self, caller: PrivateKey) -> Self: ...


class ActingLedger:
    """Implements chain.ledger.interface.Ledger."""

    def __init__(self, ledger: CalledBy) -> None:
        self._ledger = ledger
        self._running = 0
        self._may_call, self._idle = asyncio.Event(), asyncio.Event()
        self._may_call.set()
        self._idle.set()

    async def submit(self, function: str, *args: bytes) -> Submitted:
        while not self._may_call.is_set():
            await self._may_call.wait()
        self._running += 1
        self._idle.clear()
        try:
            return await self._ledger.submit(function, *args)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Ledger]:
        """The ledger with nobody else calling; inside the block `act_as` may change the key."""
        while not self._may_call.is_set():
            await self._may_call.wait()
        self._may_call.clear()
        try:
            await self._idle.wait()
            yield self._ledger
        finally:
            self._may_call.set()

    def act_as(self, key: PrivateKey) -> None:
        """Sign calls with this key from now on."""
        self._ledger = self._ledger.as_caller(key)

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        return await self._ledger.evaluate(function, *args)

    def events(self, after: int, wanted: Wanted = every) -> AsyncIterator[LedgerEvent]:
        return self._ledger.events(after, wanted)

    async def evidence(self, index: int) -> bytes:
        return await self._ledger.evidence(index)

    async def close(self) -> None:
        await self._ledger.close()
