"""Chaincode events in the order of the chain, none missed and none doubled, whichever peer delivers them.

A stream starts at a block, so after a break it starts again at the last block seen and drops what was given out.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from chain.ledger.fabric.connection import Connection, grpc
from chain.ledger.fabric.errors import EvaluateError
from chain.ledger.fabric.gateway import Gateway
from chain.ledger.fabric.reader import POSITION_BITS, Reader
from chain.ledger.interface import LedgerEvent, Wanted

PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0


async def follow(
    gateway: Gateway, connection: Connection, reader: Reader, chaincode: str, after: int, closed: asyncio.Event,
    wanted: Wanted,
) -> AsyncGenerator[LedgerEvent, None]:  # fmt: skip
    """Wanted events behind index `after` (−1: all) until `closed` is set. Breaks of a stream are mended."""
    pause = PAUSE_S
    while not closed.is_set():
        channel = connection.current
        stream = gateway.events(channel, chaincode, max(after, 0) >> POSITION_BITS)
        try:
            while (answer := await _read(stream, closed)) is not None:
                for event in await _located(reader, answer, wanted):
                    if event.index > after:
                        after, pause = event.index, PAUSE_S
                        yield event
        except (grpc.aio.AioRpcError, EvaluateError):
            connection.leave(channel)
        finally:
            stream.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closed.wait(), pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def _read(stream: Any, closed: asyncio.Event) -> Any:
    """The stream's next answer; None at its end, or when the ledger is closed."""
    reading, closing = asyncio.ensure_future(stream.read()), asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait((reading, closing), return_when=asyncio.FIRST_COMPLETED)
        if closed.is_set():
            return None
        answer = reading.result()
        return None if answer is grpc.aio.EOF else answer
    finally:
        closing.cancel()
        reading.cancel()


async def _located(reader: Reader, answer: Any, wanted: Wanted) -> list[LedgerEvent]:
    """The wanted events of one block with their indices; a block without any is not read."""
    block = int(answer.block_number)
    return [
        LedgerEvent(await reader.index(block, event.tx_id), event.tx_id, event.event_name, event.payload)
        for event in answer.events
        if wanted(event.event_name, event.payload)
    ]
