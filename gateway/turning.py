"""What works in turns: when woken and now and then, as long as the gateway runs."""

import asyncio
import contextlib
import logging

from crypto.errors import SealtrailError

log = logging.getLogger(__name__)
LONGEST_PAUSE_S = 30.0


class Turning:
    """Calls `turn` again and again. A fault is told once and tried again, less and less often; `problem` says it.
    `idle`: the last turn left nothing to do, and nobody woke it since."""

    what = ""  # waits while there is a fault, in the log's words
    every_s = 1.0  # between two turns that nobody asked for

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.problem, self.idle = "", False

    def wake(self) -> None:
        """There may be something to do."""
        self.idle = False
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        pause = self.every_s
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()
            self._news.clear()
            try:
                await self.turn()
                self.idle = not self._news.is_set()
                self.problem, pause = "", self.every_s
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self.problem != str(e):
                    log.warning("%s waits: %s", self.what, e, exc_info=not isinstance(e, SealtrailError))
                self.problem, pause = str(e) or repr(e), min(2 * pause, LONGEST_PAUSE_S)

    async def turn(self) -> None:
        """Do what can be done now."""
        raise NotImplementedError
