"""The server's end of TLS: connections that were accepted, their handshakes within bounds, counted by group.

Trust boundary: whoever connects. A handshake has a deadline; how many may be under way is the caller's to say.
"""

import asyncio
import socket
from collections.abc import Callable

from OpenSSL import SSL

from crypto.errors import TlsError
from crypto.tls.context import group_of
from crypto.tls.groups import TlsCounters
from crypto.tls.protocol import TlsProtocol


class TlsServer:
    """One listening endpoint. `counters` may be read at any time."""

    def __init__(self, context: SSL.Context, *, require_post_quantum: bool = False) -> None:
        """`require_post_quantum` as in `server_context`, which made `context`."""
        self._context, self._require = context, require_post_quantum
        self.counters = TlsCounters()
        self._handshakes: set[TlsProtocol] = set()

    @property
    def handshaking(self) -> int:
        """How many handshakes are under way."""
        return len(self._handshakes)

    def stop(self) -> None:
        """End the handshakes that are under way."""
        for protocol in list(self._handshakes):
            protocol.give_up(TlsError("the gateway is stopping"))

    async def accept(self, client: socket.socket, inner: asyncio.Protocol, timeout_s: float) -> None:
        """Shake hands on an accepted socket and connect `inner` to it; owns the socket from then on.

        Raises:
            TlsError: no handshake, within `timeout_s`; or cancelled: the socket is closed, `inner` was never connected.
        """
        protocol = self.protocol(lambda: inner, timeout_s)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, client)
            await asyncio.shield(protocol.established)
        except BaseException:
            protocol.give_up(TlsError("given up"))
            raise

    def protocol(
        self, inner: Callable[[], asyncio.Protocol], timeout_s: float, room: Callable[[], bool] = lambda: True
    ) -> TlsProtocol:
        """For one connection of a server of the loop's. Without `room`, it is closed before its handshake."""
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        protocol = TlsProtocol(connection, inner, self._accepted, timeout_s)
        self._handshakes.add(protocol)
        protocol.established.add_done_callback(lambda established: self._ended(protocol, established))
        if not room():
            protocol.give_up(TlsError("no room for another handshake"))
        return protocol

    def _accepted(self, connection: SSL.Connection) -> str:
        group = group_of(connection, require_post_quantum=self._require)
        self.counters.count(group)
        return group

    def _ended(self, protocol: TlsProtocol, established: asyncio.Future[bool]) -> None:
        self._handshakes.discard(protocol)
        if established.cancelled() or established.exception() is not None:
            self.counters.failures += 1
