"""What a gateway has to end when it stops: tasks and parts, the newest first, also where its start fails midway."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

log = logging.getLogger(__name__)


class Closing(AsyncExitStack):
    """An exit stack that tasks can stand on as well."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []  # tasks that ended though they should not have

    def task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background; at its turn it is cancelled and waited for."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.push_async_callback(end)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What ends by an exception does its work no more, which nobody would see otherwise."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        name = task.get_coro().__qualname__  # type: ignore[union-attr]
        log.error("%s has ended", name, exc_info=error)
        said = f"{name} has ended: {error or repr(error)}; restart the gateway"
        if said not in self.problems:
            self.problems.append(said)
