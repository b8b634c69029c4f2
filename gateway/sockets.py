"""WebSockets as the gateway serves them: uvicorn's, with an end to handshakes that lead nowhere.

Trust boundary: whoever connects. uvicorn itself keeps a connection whose handshake cannot be read, or is never
answered, for ever, and logs an error for each refusal; both would be a stranger's to use.

Loaded with the first upgrade, because most gateways never see one and the library of WebSockets is a part of a start.
"""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HANDSHAKE_S = 10.0  # from the upgrade on, until the application has accepted or refused


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection, from its upgrade on."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle = self.loop.call_later(HANDSHAKE_S, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # by a refusal

    def _too_late(self) -> None:
        if not self.handshake_complete:
            self.transport.close()
