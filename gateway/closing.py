"""What a gateway has to end when it stops: tasks and parts, the newest first, also where its start fails midway."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any


class Closing(AsyncExitStack):
    """An exit stack that tasks can stand on as well."""

    def task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background; at its turn it is cancelled and waited for."""
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.push_async_callback(end)
