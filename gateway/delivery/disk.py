"""The outbox's file from the event loop: one thread, and all changes that wait for it become one commit."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from chain.errors import StoreError
from gateway.delivery.errors import DeliveryError
from gateway.delivery.store import Change, OutboxStore

T = TypeVar("T")


class Disk:
    """StoreError where the file cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, "outbox-disk")
        self.store = OutboxStore(path)
        self._changes: list[tuple[Change, asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def read(self, work: Callable[[], T]) -> T:
        """The answer of `work`, which uses the store."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as e:
            raise StoreError(f"the outbox cannot be read: {e}") from e

    async def write(self, change: Change) -> Any:
        """The answer of a change that is durable; DeliveryError where it refuses."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._changes.append((change, answer))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._commit())
        made = await answer
        if isinstance(made, DeliveryError):
            raise made
        return made

    async def close(self) -> None:
        """What was asked for is done first."""
        if self._writing:
            await self._writing
        await self.read(self.store.close)
        self._thread.shutdown()

    async def _commit(self) -> None:
        while self._changes:
            batch, self._changes = self._changes, []
            try:
                made = await self.read(partial(self.store.apply, [change for change, _ in batch]))
            except Exception as e:  # handed to those who wait
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(e)
                continue
            for (_, answer), one in zip(batch, made, strict=True):
                if not answer.done():
                    answer.set_result(one)
