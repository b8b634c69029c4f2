"""Keeps blocking work of one database off the event loop: one thread, one job at a time, a bounded queue.

Foreign errors stop here: what SQLite raises comes out as a LedgerError.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from chain.errors import LedgerError

MAX_WAITING = 256
_T = TypeVar("_T")


class Worker:
    """Runs jobs in order on its own thread, and wakes those who wait for the next one that changed something."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting = 0
        self._changed = asyncio.Event()
        self.closed = False

    async def run(self, job: Callable[[], _T], *, changes: bool = False) -> _T:
        """The job's result. It runs to its end even when the waiting task is cancelled. `changes`: who waits for news
        is woken at its end."""
        if self.closed:
            raise LedgerError("the ledger is closed")
        if self._waiting >= MAX_WAITING:
            raise LedgerError(f"{self._waiting} calls wait for the ledger already; try again later")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, _wrapped, job)
        future.add_done_callback(partial(self._done, changes))
        return await asyncio.shield(future)

    def _done(self, changes: bool, _: object) -> None:
        self._waiting -= 1
        if changes:
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def next_change(self) -> asyncio.Event:
        """Set when the next job that changes something has finished, or the worker was closed. Take it before you look
        at the data. Jobs that only look do not set it, or two who look would wake each other for ever."""
        return self._changed

    async def close(self, last: Callable[[], None]) -> None:
        """Refuse new jobs, finish those that wait, then run `last`. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        future = asyncio.get_running_loop().run_in_executor(self._executor, _wrapped, last)
        await asyncio.shield(future)
        self._executor.shutdown()
        self._wake()


def _wrapped(job: Callable[[], _T]) -> _T:
    try:
        return job()
    except sqlite3.Error as e:
        raise LedgerError(f"the ledger's database failed: {e}") from e
