"""Keeps blocking work of one database off the event loop: one thread, one job at a time, a bounded queue.

Foreign errors stop here: what SQLite raises comes out as a LedgerError.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chain.errors import LedgerError

MAX_WAITING = 256
_T = TypeVar("_T")


class Worker:
    """Runs jobs in order on its own thread, and wakes those who wait for the next finished one."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting = 0
        self._finished = asyncio.Event()
        self.closed = False

    async def run(self, job: Callable[[], _T]) -> _T:
        """The job's result. It runs to its end even when the waiting task is cancelled."""
        if self.closed:
            raise LedgerError("the ledger is closed")
        if self._waiting >= MAX_WAITING:
            raise LedgerError(f"{self._waiting} calls wait for the ledger already; try again later")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, _wrapped, job)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, _: object) -> None:
        self._waiting -= 1
        self._wake()

    def _wake(self) -> None:
        self._finished.set()
        self._finished = asyncio.Event()

    @property
    def next_finished(self) -> asyncio.Event:
        """Set when the next job has finished, or the worker was closed. Take it before you look at the data."""
        return self._finished

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
