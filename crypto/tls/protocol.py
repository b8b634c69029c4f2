"""TLS between an asyncio transport and an asyncio protocol: what arrives is decrypted, what is written is encrypted.

Trust boundary: bytes from anyone. Before the handshake is done the inner protocol does not exist to the peer. Nothing
is buffered here beyond one read: what is written goes through to the transport below, whose bounds hold, and while the
inner protocol does not read, neither does the transport below. A peer that sends what is not TLS is told so by an
alert and closed; none of that leaves a stack trace. A connection that ends without close_notify just ends: MQTT and
HTTP say themselves where a message is whole.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast

from OpenSSL import SSL

from crypto.errors import TlsError
from crypto.tls.context import common_name, words
from crypto.tls.transport import TlsTransport

_RECORD: Final = 16 * 1024  # RFC 8446 section 5.1: the most that one record holds
_OVERHEAD: Final = 1024  # an estimate: what is left over is read in another round
UNASKED_BYTES: Final = 64 * 1024  # of a connection's whole life: over two thousand answers to a request for new keys


class TlsProtocol(asyncio.Protocol):
    """What the loop sees: a protocol on the transport below. `established` ends with the handshake: True if it is
    done, else the TlsError that ended it, also if that was the deadline or the peer's hanging up."""

    def __init__(
        self,
        connection: SSL.Connection,
        inner: Callable[[], asyncio.Protocol],
        accept: Callable[[SSL.Connection], str],
        handshake_timeout_s: float,
    ) -> None:
        """`accept` looks at a connection after its handshake and gives the group, or raises TlsError."""
        self._loop = asyncio.get_running_loop()
        self._ssl, self._inner_factory, self._accept = connection, inner, accept
        self._handshake_timeout_s = handshake_timeout_s
        self._deadline: asyncio.TimerHandle | None = None
        self._below: asyncio.Transport
        self._inner: asyncio.Protocol | None = None
        self._paused = self._closing = self._given_up = False
        self._error: Exception | None = None
        self._unasked = 0  # bytes that OpenSSL said by itself: answers to KeyUpdate, alerts
        self.established: asyncio.Future[bool] = self._loop.create_future()
        self.group = ""

    # Of the transport below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast(asyncio.Transport, transport)
        if self._given_up:
            self._below.abort()
            return
        self._deadline = self._loop.call_later(self._handshake_timeout_s, self._too_late)
        self._handshake()  # a client speaks first

    def data_received(self, data: bytes) -> None:
        if self._closing or self._given_up:
            return
        self._ssl.bio_write(data)
        if self._inner is None:
            self._handshake()
        if self._inner is not None:
            self._read()

    def eof_received(self) -> bool:
        return False  # whoever has more to say says close_notify and keeps the socket open

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_handshake(TlsError("the peer hung up in the TLS handshake"))
        self._closing = True
        inner, self._inner = self._inner, None  # no ring of objects that only the garbage collector would find
        if inner is not None:
            inner.connection_lost(exc or self._error)

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    # The handshake

    def _handshake(self) -> None:
        try:
            self._ssl.do_handshake()
            self.group = self._accept(self._ssl)
        except SSL.WantReadError:
            self._flush()
            return
        except (SSL.Error, TlsError) as e:
            self._refuse(e if isinstance(e, TlsError) else TlsError(f"no TLS handshake: {words(e)}"))
            return
        self._flush()
        inner = self._inner = self._inner_factory()
        del self._inner_factory
        self._end_handshake(None)
        inner.connection_made(TlsTransport(self))

    def _refuse(self, error: TlsError) -> None:
        """Say the alert that OpenSSL has written, and hang up."""
        self._flush()
        self._end_handshake(error)
        self._given_up = True
        self._hang_up()

    def _hang_up(self) -> None:
        """Close behind the alert, and after a while without: a peer that does not read must not stay for that."""
        self._below.close()
        self._deadline = self._loop.call_later(self._handshake_timeout_s, self._below.abort)

    def _too_late(self) -> None:
        self.give_up(TlsError(f"no TLS handshake within {self._handshake_timeout_s:g} s"))

    def give_up(self, error: TlsError) -> None:
        """Hang up at once, at whatever stage the handshake is."""
        self._given_up = True
        self._end_handshake(error)
        if hasattr(self, "_below"):
            self._below.abort()

    def _end_handshake(self, error: TlsError | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self.established.done():
            return
        if error is None:
            self.established.set_result(True)
        else:
            self.established.set_exception(error)
            self.established.exception()  # a server's has nobody who waits for it

    # From the peer

    def _read(self) -> None:
        """Hand on what can be decrypted now, as one piece: at most what one read from the socket brought."""
        if self._paused or self._closing or self._inner is None:
            return
        pieces, ended, error = [], False, None
        try:
            while True:
                pieces.append(self._ssl.recv(_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            ended = True
        except SSL.Error as e:
            error = TlsError(f"the TLS connection broke: {words(e)}")
        self._unasked += self._flush()
        if self._unasked > UNASKED_BYTES:  # who asks on and on, and does not read, would fill our memory
            error = TlsError(f"the peer made OpenSSL say over {UNASKED_BYTES} bytes by itself")
        if pieces:
            self._inner.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if error is not None:
            self._break(error)
        elif ended and not self._closing and not self._inner.eof_received():
            self.close()

    def _break(self, error: TlsError) -> None:
        """A record was altered, cut or against the protocol: say the alert, and let nobody take it for an end."""
        self._error = error
        self._flush()
        self._closing = True
        self._hang_up()

    # From the inner protocol, by its transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and hand to the transport below."""
        if self._closing or not data:
            return
        try:
            self._ssl.sendall(data)
        except SSL.Error as e:  # it broke before, and the reader has not been told yet
            self._break(TlsError(f"the TLS connection broke: {words(e)}"))
            return
        self._flush(len(data))

    def _flush(self, size: int = 0) -> int:
        """Write what OpenSSL has for the peer, `size` bytes of plaintext among it; returns how many bytes it was."""
        room, total = size + size // 64 + _OVERHEAD, 0
        with contextlib.suppress(SSL.WantReadError):  # there is nothing
            while True:
                data = self._ssl.bio_read(room)
                self._below.write(data)
                total += len(data)
                if len(data) < room:
                    break
        return total

    def close(self) -> None:
        """Say close_notify behind what was written, then close: RFC 8446 section 6.1 asks nobody to wait."""
        if self._closing:
            return
        self._closing = True
        with contextlib.suppress(SSL.Error):  # it is broken: there is nobody to say it to
            self._ssl.shutdown()
        self._flush()
        self._below.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._below.abort()

    def pause(self) -> None:
        """Read no more."""
        self._paused = True
        self._below.pause_reading()

    def resume(self) -> None:
        """Read on, and first what was decrypted by no one yet."""
        self._paused = False
        self._below.resume_reading()
        self._loop.call_soon(self._read)

    @property
    def closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing or self._below.is_closing()

    @property
    def below(self) -> asyncio.Transport:
        """The transport below; only after it was made."""
        return self._below

    @property
    def reading(self) -> bool:
        """Whether the inner protocol is given what arrives."""
        return not self._paused

    def turn_to(self, inner: asyncio.BaseProtocol) -> None:
        """From now on this is the inner protocol."""
        self._inner = cast(asyncio.Protocol, inner)

    def turned_to(self) -> asyncio.BaseProtocol:
        """The inner protocol; only after the handshake."""
        assert self._inner is not None
        return self._inner

    def common_name(self) -> str | None:
        """Of the peer's verified certificate."""
        return common_name(self._ssl)

    def tls_version(self) -> str:
        """Like TLSv1.3."""
        return self._ssl.get_protocol_version_name()
