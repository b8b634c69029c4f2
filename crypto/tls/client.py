"""The client's end of TLS, for the event loop, for programs that block, and for libraries that want an `ssl` context.

Trust boundary: whoever answers. Nothing of ours is sent before the server's certificate, its name and the group are
checked.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from OpenSSL import SSL

from crypto.errors import TlsError
from crypto.tls.context import client_context, expect_name, group_of
from crypto.tls.groups import TlsCounters
from crypto.tls.protocol import TlsProtocol
from crypto.tls.socket import TlsSocket

P = TypeVar("P", bound=asyncio.Protocol)


class TlsClient:
    """Whom a client believes. `counters` may be read at any time; of `wrap_socket` they count what succeeded only."""

    check_hostname = True  # what paho asks an `ssl.SSLContext`

    def __init__(self, ca: Path | None, *, require_post_quantum: bool = False) -> None:
        """Believes the authority in `ca` (PEM), or those of the system; raises TlsError if it cannot be used."""
        self._context = client_context(ca, require_post_quantum=require_post_quantum)
        self._require = require_post_quantum
        self.counters = TlsCounters()

    async def connect(self, inner: Callable[[], P], host: str, port: int, timeout_s: float) -> P:
        """Connect a protocol to `host`; raises OSError, and TlsError is one. `timeout_s` is for the handshake."""
        connection = self._connection(None, host)
        made: list[P] = []

        def make() -> P:
            made.append(inner())
            return made[0]

        protocol = TlsProtocol(connection, make, self._accepted, timeout_s)
        try:
            await asyncio.get_running_loop().create_connection(lambda: protocol, host, port)
            await asyncio.shield(protocol.established)
        except BaseException:
            self.counters.failures += 1
            protocol.give_up(TlsError("given up"))
            raise
        return made[0]

    def wrap_socket(
        self, sock: socket.socket, *, server_hostname: str, do_handshake_on_connect: bool = True
    ) -> TlsSocket:
        """TLS on a connected socket, which belongs to the result. Named as in `ssl`, so that paho and httpx take this
        object for a context."""
        try:
            wrapped = TlsSocket(sock, self._connection(sock, server_hostname), self._accepted)
        except TlsError:
            sock.close()
            raise
        if do_handshake_on_connect:
            wrapped.do_handshake()
        return wrapped

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        """httpx asks for HTTP/1.1, which is what is spoken without asking."""

    def _connection(self, sock: socket.socket | None, host: str) -> SSL.Connection:
        connection = SSL.Connection(self._context, sock)
        connection.set_connect_state()
        expect_name(connection, host)
        return connection

    def _accepted(self, connection: SSL.Connection) -> str:
        group = group_of(connection, require_post_quantum=self._require)
        self.counters.count(group)
        return group


def for_httpx() -> Any:
    """What httpx's `verify` takes. Believes whom httpx itself would: the authorities of certifi, or those that
    SSL_CERT_FILE or SSL_CERT_DIR name."""
    import certifi

    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    return TlsClient(None if named else Path(certifi.where()))
