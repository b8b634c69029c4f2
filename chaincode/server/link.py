"""One peer's stream: a reader that gives each transaction a task, and the one writer that all of them share.

The peer is believed to be the one that was configured (mTLS where it is not on this machine). What it sends is
bounded: transactions at work, messages waiting to be written, and the time a transaction may take.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from chaincode.server.answer import Contract, answer
from chaincode.server.exchange import Exchange
from chaincode.server.wire import Kind, Message

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """`transactions` at work for one peer (Fabric 3.1's own limit for its clients is 2,500), each for at most
    `seconds`: less than the 30 s after which a peer gives a transaction up unless configured otherwise."""

    transactions: int = 512
    seconds: float = 25.0


class PeerLink:
    """The chaincode's end of one stream, from REGISTER to its end."""

    def __init__(self, package_id: bytes, invoke: Contract, limits: Limits) -> None:
        self._invoke, self._limits = invoke, limits
        self._outgoing: asyncio.Queue[Any] = asyncio.Queue(limits.transactions)
        self._working: dict[tuple[str, str], tuple[Exchange, asyncio.Task[None]]] = {}
        self._draining = False
        self._drained = asyncio.Event()
        self._outgoing.put_nowait(Message(type=Kind.REGISTER, payload=package_id))

    async def run(self, incoming: AsyncIterator[Any], write: Callable[[Any], Awaitable[None]]) -> None:
        """Serve the stream until the peer ends it, it breaks, or `drain` is through."""
        parts = [asyncio.create_task(part) for part in (self._read(incoming), self._write(write), self._drained.wait())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            tasks = parts + [task for _, task in self._working.values()]
            log.info("stream ended", extra={"fields": {"cut": len(self._working)}})
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Take no more transactions, end those at work, and see their answers written."""
        self._draining = True
        while left := [task for _, task in self._working.values() if not task.done()]:
            await asyncio.wait(left)
        await self._outgoing.join()
        self._drained.set()

    async def _write(self, write: Callable[[Any], Awaitable[None]]) -> None:
        while True:
            await write(await self._outgoing.get())
            self._outgoing.task_done()

    async def _read(self, incoming: AsyncIterator[Any]) -> None:
        async for message in incoming:
            await self._take(message)

    async def _take(self, message: Any) -> None:
        if message.type == Kind.TRANSACTION:
            await self._begin(message)
        elif message.type in (Kind.RESPONSE, Kind.ERROR):
            working = self._working.get((message.channel_id, message.txid))
            if working is None or not working[0].answered(message):
                _ignored(message, "nobody asked")
        elif message.type == Kind.KEEPALIVE:
            await self._outgoing.put(message)
        elif message.type == Kind.INIT:
            await self._refuse(message, "this chaincode needs no initialisation: approve it without --init-required")
        elif message.type not in (Kind.REGISTERED, Kind.READY):
            _ignored(message, "not for a chaincode")

    async def _begin(self, message: Any) -> None:
        name = (message.channel_id, message.txid)
        if name in self._working:
            # The peer gave it up and simulates it anew. What the first run asks from now on would change the second
            # simulation, and its answer would be endorsed with half of its writes: neither may go on.
            self._working[name][1].cancel()
            await self._refuse(message, "it was given up and sent again: send it as a new transaction")
        elif self._draining:
            await self._refuse(message, "the chaincode server is stopping: send the transaction again")
        elif len(self._working) >= self._limits.transactions:
            await self._refuse(message, f"busy with {self._limits.transactions} transactions: send it again later")
        else:
            exchange = Exchange(*name, self._outgoing.put)
            self._working[name] = exchange, asyncio.create_task(self._transact(message, exchange))

    async def _transact(self, message: Any, exchange: Exchange) -> None:
        try:
            await self._outgoing.put(await answer(message, exchange, self._invoke, self._limits.seconds))
        finally:
            del self._working[exchange.channel, exchange.txid]

    async def _refuse(self, message: Any, why: str) -> None:
        log.warning("transaction refused", extra={"fields": {"tx": message.txid, "why": why}})
        await self._outgoing.put(
            Message(type=Kind.ERROR, payload=why.encode(), txid=message.txid, channel_id=message.channel_id)
        )


def _ignored(message: Any, why: str) -> None:
    log.warning("message ignored", extra={"fields": {"type": message.type, "tx": message.txid[:64], "why": why}})
