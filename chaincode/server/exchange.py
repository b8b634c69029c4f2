"""One transaction's questions to the peer, one at a time: a peer drops a second question of the same transaction."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from chaincode.server.errors import PeerError
from chaincode.server.wire import Kind, Message

Send = Callable[[Any], Awaitable[None]]
MAX_REASON = 500


class Exchange:
    """Questions and answers of one transaction, named by channel and id, over a stream shared with others."""

    def __init__(self, channel: str, txid: str, send: Send) -> None:
        self.channel, self.txid = channel, txid
        self._send = send
        self._turn = asyncio.Lock()
        self._expected: asyncio.Future[Any] | None = None

    def message(self, kind: int, payload: bytes) -> Any:
        return Message(type=kind, payload=payload, txid=self.txid, channel_id=self.channel)

    async def ask(self, kind: int, payload: bytes) -> bytes:
        """The payload of the peer's answer; PeerError where the peer answers with an error."""
        async with self._turn:
            self._expected = asyncio.get_running_loop().create_future()
            await self._send(self.message(kind, payload))
            answer = await self._expected
        if answer.type != Kind.RESPONSE:
            reason = answer.payload[:MAX_REASON].decode("utf-8", "replace")
            raise PeerError(f"the peer refused {Kind.Name(kind)}: {reason}")
        return bytes(answer.payload)

    def answered(self, message: Any) -> bool:
        """Hand over the peer's RESPONSE or ERROR; False where no question is open."""
        if self._expected is None or self._expected.done():
            return False
        self._expected.set_result(message)
        return True
