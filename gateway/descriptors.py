"""File descriptors: as many as the system allows, fewer connections than that, and a word when there are none left.

Each connection takes one, and so does each file. Strangers may use up those that are for connections; the store, the
ledger and those who ask how the gateway is need theirs all the same.
"""

import asyncio
import errno
import logging
import resource
import time
from dataclasses import dataclass
from typing import Any

from gateway.ingest.mqtt.limits import FrontDoorLimits

log = logging.getLogger(__name__)
KEPT = 192  # for files, and for what is accepted in one go and closed at once
MAX_HTTP = 512
LEAST = 32
SPELL_S = 3.0  # accept is tried again each second at the latest while somebody waits
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def raise_limit() -> None:
    """Let this process have what the system allows it (LimitNOFILE of its unit)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True, slots=True)
class Shares:
    """How many connections of each sort leave descriptors to the rest."""

    http: int
    waiting: int  # at the front door, before their login
    sources: int


def shares(wanted: int) -> Shares:
    """Divide what this process may have; `wanted` is front_door.max_connections."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = max(descriptors - KEPT, LEAST)
    http, waiting = min(MAX_HTTP, room // 4), min(FrontDoorLimits().waiting, room // 4)
    sources = min(wanted, room - http - waiting)
    if sources < wanted:
        text = "front_door.max_connections is %d, but %d file descriptors allow %d: raise LimitNOFILE"
        log.warning(text, wanted, descriptors, sources)
    return Shares(http, waiting, sources)


class Shortage:
    """Hears of connections that could not be accepted, and says so once for each spell."""

    def __init__(self) -> None:
        self._last = -SPELL_S
        self._error = ""

    def note(self, error: OSError) -> None:
        if error.errno not in _SHORT:
            return  # the peer has gone already
        now, self._error = time.monotonic(), str(error.strerror)
        if now - self._last > SPELL_S:
            log.error("%s", self._text())
        self._last = now

    @property
    def problem(self) -> str:
        """Why nobody new gets in now; empty while all do."""
        return self._text() if time.monotonic() - self._last < SPELL_S else ""

    def _text(self) -> str:
        return f"no new connection can be accepted: {self._error}; raise LimitNOFILE, or see who holds so many"

    def on_loop_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """For the event loop's servers, which tell each failed accept as a fault of the loop."""
        error = context.get("exception")
        message = context.get("message", "")
        if "accept" in message and isinstance(error, OSError):
            self.note(error)
        elif "_start_serving" not in message:  # that one means to accept again, but the server was closed meanwhile
            loop.default_exception_handler(context)
