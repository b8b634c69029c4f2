"""A socket with TLS for programs that block, in the words of Python's `socket` and `ssl`.

Trust boundary: bytes from the peer. pyOpenSSL knows no timeouts: on a socket that has one it says that it must wait,
and the waiting is done here.
"""

import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from OpenSSL import SSL

from crypto.errors import TlsError
from crypto.tls.context import words

T = TypeVar("T")
_WRITE_BYTES: Final = 16 * 1024  # one record at a time: what is sent again must be the same


class TlsSocket:
    """What paho and httpx use of a `ssl.SSLSocket`; `group` is known after the handshake. Not for several threads."""

    def __init__(
        self, sock: socket.socket, connection: SSL.Connection, accept: Callable[[SSL.Connection], str]
    ) -> None:
        """`connection` is made on `sock`; `accept` looks at it after the handshake and gives the group."""
        self._socket, self._ssl, self._accept = sock, connection, accept
        self.group = ""

    def do_handshake(self) -> None:
        """Within the socket's timeout; raises TlsError or TimeoutError, and then the socket is closed."""
        try:
            self._patiently(self._ssl.do_handshake)
            self.group = self._accept(self._ssl)
        except OSError:
            self._socket.close()
            raise

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Up to `size` bytes; empty at the end. Raises as `ssl.SSLSocket.recv` does."""
        try:
            return self._patiently(lambda: self._ssl.recv(size))
        except SSL.ZeroReturnError:
            return b""

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Send some of it; returns how many bytes."""
        part = bytes(data[:_WRITE_BYTES])
        return self._patiently(lambda: self._ssl.send(part)) if part else 0

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.send(rest) :]

    def pending(self) -> int:
        """Bytes that were decrypted and not received yet: the socket will not say that it can be read."""
        return self._ssl.pending()

    def close(self) -> None:
        """Say close_notify if the peer takes it now, and close."""
        try:
            self._socket.setblocking(False)
            self._ssl.shutdown()
        except (SSL.Error, OSError):
            pass  # the connection is broken, or was never made
        self._socket.close()

    def __getattr__(self, name: str) -> Any:
        """The rest (`settimeout`, `fileno`, `getpeername` and so on) is the socket's own."""
        return getattr(self._socket, name)

    def _patiently(self, call: Callable[[], T]) -> T:
        timeout = self._socket.gettimeout()
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return call()
            except SSL.WantReadError:
                event = selectors.EVENT_READ
            except SSL.WantWriteError:
                event = selectors.EVENT_WRITE
            except SSL.ZeroReturnError:
                raise
            except SSL.Error as e:
                raise TlsError(f"TLS failed: {words(e)}") from e
            if timeout == 0:
                raise ssl.SSLWantReadError if event == selectors.EVENT_READ else ssl.SSLWantWriteError
            self._wait(event, None if until is None else until - time.monotonic())

    def _wait(self, event: int, left: float | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, event)
            if (left is not None and left <= 0) or not selector.select(left):
                raise TimeoutError("the peer did not go on with TLS in time")
