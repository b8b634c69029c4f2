"""Work in threads that is never left half done."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finished(work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Do it in a thread, and to its end even where the gateway stops meanwhile: the database is closed next."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **named))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        if not thread.cancelled():
            thread.exception()  # it is nobody's any more, and asyncio shall not miss it
        raise
