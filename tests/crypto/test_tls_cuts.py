"""TLS under Hypothesis: however the bytes are cut on their way, and whatever comes instead of a handshake."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from crypto.errors import TlsError
from crypto.tls.context import client_context
from crypto.tls.protocol import TlsProtocol
from crypto.tls.server import TlsServer
from tests.support.certificates import Authority
from tests.torture.scale import scaled

HYBRIDS = [bytes.fromhex(group) for group in ("11ec", "11eb", "11ed", "11ee")]  # in the registry of groups
NOBODYS = bytes.fromhex("11ff")  # a group that nobody has
CLASSIC_SHARE = bytes.fromhex("00330024001d0020")  # key_share of a ServerHello: X25519, 32 bytes
RECORD_HEADER = 5  # bytes; what follows is in the transcript that both ends sign


class Below(asyncio.Transport):
    """The transport below, in memory: what was written, and whether it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Echo(asyncio.Protocol):
    """Says back what it hears; reads in turns."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.heard = bytearray()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.transport.write(data)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> tuple[TlsServer, SSL.Context]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    return authority.tls_server(), client_context(Path(authority.file))


def _cut(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    while data:
        size = next(sizes)
        yield data[:size]
        data = data[size:]


def _sizes(cuts: list[int]) -> Iterator[int]:
    while True:
        yield from cuts


def _carry(client: SSL.Connection, server: TlsProtocol, below: Below, said: bytes) -> Iterator[bytes]:
    """A handshake through the hands of whoever stands between, who says `said` for the client first; gives what the
    server says. Raises SSL.Error where the client breaks off."""
    while said and not server.group:
        server.data_received(said)
        answer, said = bytes(below.written), b""
        below.written.clear()
        yield answer
        client.bio_write(answer or b"\x15\x03\x03\x00\x02\x02\x28")  # no answer is the end of it: an alert
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            said = client.bio_read(10**6)


def _hello(context: SSL.Context) -> tuple[SSL.Connection, bytes]:
    client = SSL.Connection(context, None)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    return client, client.bio_read(10**6)


def test_offers_that_were_altered_on_the_way_break_the_handshake(ends: tuple[TlsServer, SSL.Context]) -> None:
    """First the hybrids are struck from the offer, which the server cannot see; then every byte is altered, each in a
    handshake of its own."""

    async def attempt(alter: Callable[[bytes], bytes]) -> tuple[bool, bytes]:
        """Whether the handshake came to its end, and the server's first answer."""
        server, context = ends
        below = Below()
        protocol = server.protocol(Echo, 60)
        protocol.connection_made(below)
        client, hello = _hello(context)
        answers = []
        with contextlib.suppress(SSL.Error):
            for answer in _carry(client, protocol, below, alter(hello)):
                answers.append(answer)
        protocol.connection_lost(None)
        return bool(protocol.group), answers[0]

    def struck(hello: bytes) -> bytes:
        for hybrid in HYBRIDS:  # OpenSSL offers more than the first, depending on its version
            hello = hello.replace(hybrid, NOBODYS)
        return hello

    def flipped(at: int) -> Callable[[bytes], bytes]:
        return lambda hello: hello[:at] + bytes((hello[at] ^ 1,)) + hello[at + 1 :]

    async def work() -> None:
        size = len(_hello(ends[1])[1])
        done, answer = await attempt(lambda hello: hello)
        assert done
        assert CLASSIC_SHARE not in answer
        before = dict(ends[0].counters.by_group)
        done, answer = await attempt(struck)
        assert CLASSIC_SHARE in answer, "the server falls for it, and goes on with X25519"
        assert not done
        for at in range(RECORD_HEADER, size, max(1, size // scaled(60, 2_000))):
            assert not (await attempt(flipped(at)))[0], f"byte {at}"
        assert ends[0].counters.by_group == before

    asyncio.run(work())


@settings(max_examples=scaled(40, 2_000))
@given(
    said=st.lists(st.binary(max_size=40_000), max_size=6),
    cuts=st.lists(st.integers(1, 5_000), min_size=1, max_size=20).filter(lambda c: sum(c) >= 20),
    turns=st.lists(st.booleans(), min_size=1, max_size=10),
)
def test_bytes_arrive_whole_however_they_are_cut(
    ends: tuple[TlsServer, SSL.Context], said: list[bytes], cuts: list[int], turns: list[bool]
) -> None:
    """`turns`: whether the reader pauses after a piece and reads on before the next."""

    async def work() -> None:
        server, context = ends
        inner, below = Echo(), Below()
        protocol = server.protocol(lambda: inner, 60)
        protocol.connection_made(below)
        client, sizes = SSL.Connection(context, None), _sizes(cuts)
        client.set_connect_state()
        pauses = _sizes([int(turn) for turn in turns])

        def carry() -> None:
            with contextlib.suppress(SSL.WantReadError):
                for piece in _cut(client.bio_read(10**6), sizes):
                    protocol.data_received(piece)
            for piece in _cut(bytes(below.written), sizes):
                client.bio_write(piece)
            below.written.clear()

        for _ in range(3):
            with contextlib.suppress(SSL.WantReadError):
                client.do_handshake()
            carry()
        assert protocol.group == "X25519MLKEM768"
        heard = bytearray()
        for word in said:
            already, paused = len(inner.heard), next(pauses)
            if paused:
                protocol.pause()
            if word:
                client.sendall(word)
            carry()
            assert not paused or len(inner.heard) == already
            protocol.resume()
            await asyncio.sleep(0)
            carry()
            with contextlib.suppress(SSL.WantReadError):
                while True:
                    heard += client.recv(10**6)
        assert bytes(inner.heard) == bytes(heard) == b"".join(said)
        client.shutdown()
        carry()
        assert below.closed
        protocol.connection_lost(None)

    asyncio.run(work())


@settings(max_examples=scaled(150, 20_000))
@given(st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=4), st.integers(0, 1_700), st.integers(0, 3))
def test_whatever_comes_instead_of_a_handshake_raises_nothing(
    ends: tuple[TlsServer, SSL.Context], noise: list[bytes], at: int, sort: int
) -> None:
    """Noise alone, behind a header of TLS, or spliced into a real ClientHello."""

    async def work() -> None:
        server, context = ends
        failures = server.counters.failures
        protocol = server.protocol(Echo, 60)
        assert isinstance(protocol, TlsProtocol)
        protocol.connection_made(Below())
        client = SSL.Connection(context, None)
        client.set_connect_state()
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        hello = client.bio_read(10**6)
        first = (b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x20\x01\x00\x00\x1c", hello[:at])[sort]
        for piece in (first, *noise):
            if piece:
                protocol.data_received(piece)
        protocol.connection_lost(None)
        with pytest.raises(TlsError):
            await protocol.established
        await asyncio.sleep(0)  # it is counted in the loop's next turn
        assert (server.counters.failures, server.handshaking) == (failures + 1, 0)

    asyncio.run(work())
