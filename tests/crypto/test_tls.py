"""TLS by real handshakes: the groups that are taken, refusals with their alerts, and bytes however they are cut."""

import asyncio
import contextlib
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from OpenSSL import SSL

from crypto.errors import TlsError
from crypto.tls.client import TlsClient
from crypto.tls.context import client_context, expect_name, server_context
from crypto.tls.groups import OTHER, known
from crypto.tls.server import TlsServer
from tests.support.certificates import Authority

HYBRID = "X25519MLKEM768"
DEADLINE_S = 20.0
BIG = bytes(range(256)) * 12_000  # 3 MB


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """Runs a coroutine on one of the two loops that the program is used with."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:

        async def bounded(work: Awaitable[Any]) -> Any:
            async with asyncio.timeout(DEADLINE_S):
                return await work

        yield lambda work: runner.run(bounded(work))


class Peer(asyncio.Protocol):
    """Keeps what it hears; `echo` says it back."""

    def __init__(self, *, echo: bool = False, stay: bool = False, say: bytes = b"") -> None:
        self.transport: asyncio.Transport
        self.heard = bytearray()
        self.ended = self.full = False
        self.pauses = 0
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._echo, self._stay, self._say = echo, stay, say

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(self._say)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if self._echo:
            self.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        return self._stay

    def pause_writing(self) -> None:
        self.full, self.pauses = True, self.pauses + 1

    def resume_writing(self) -> None:
        self.full = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class Listening:
    """A server of the loop's with TLS; `peers` are its connections after their handshakes."""

    def __init__(self, tls: TlsServer, make: Callable[[], Peer]) -> None:
        self.tls, self._make = tls, make
        self.peers: list[Peer] = []
        self.port = 0

    def peer(self) -> Peer:
        self.peers.append(self._make())
        return self.peers[-1]


@contextlib.asynccontextmanager
async def listening(
    tls: TlsServer, make: Callable[[], Peer] = Peer, handshake_s: float = DEADLINE_S
) -> AsyncIterator[Listening]:
    here = Listening(tls, make)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: tls.protocol(here.peer, handshake_s), "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        tls.stop()
        for peer in here.peers:
            peer.transport.abort()
        server.close()
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def _blocking(port: int, context: ssl.SSLContext, say: bytes) -> tuple[bytes, str | None]:
    """A client of Python's own `ssl`: what was said comes back, then a clean end."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client,
    ):
        client.sendall(say)
        heard = b""
        while len(heard) < len(say):
            heard += client.recv(65_536)
        version = client.version()
        client.unwrap()
    return heard, version


def test_both_our_ends_take_the_hybrid(run: Any, authority: Authority) -> None:
    async def work() -> None:
        server, client = authority.tls_server(), TlsClient(authority.file)
        async with listening(server, lambda: Peer(echo=True)) as here:
            peer = await client.connect(Peer, "localhost", here.port, DEADLINE_S)
            peer.transport.write(BIG)
            await until(lambda: len(peer.heard) == len(BIG))
            assert bytes(peer.heard) == BIG
            for end in (peer, here.peers[0]):
                assert end.transport.get_extra_info("tls_group") == HYBRID
                assert end.transport.get_extra_info("tls_version") == "TLSv1.3"
            assert server.counters.by_group == client.counters.by_group == {HYBRID: 1}
            peer.transport.close()
            assert await peer.lost is None
            assert await here.peers[0].lost is None
            assert here.peers[0].ended

    run(work())


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_classic_client_is_served_and_counted_as_such(run: Any, authority: Authority, version: str) -> None:
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2 if version == "TLSv1.2" else ssl.TLSVersion.TLSv1_3

    async def work() -> None:
        server = authority.tls_server()
        async with listening(server, lambda: Peer(echo=True)) as here:
            assert await asyncio.to_thread(_blocking, here.port, context, BIG) == (BIG, version)
            assert server.counters.by_group == {"x25519": 1}
            assert here.peers[0].ended

    run(work())


def _groups(context: SSL.Context, names: bytes) -> SSL.Context:
    from cryptography.hazmat.bindings.openssl.binding import Binding

    assert Binding().lib.SSL_CTX_set1_curves_list(context._context, names) == 1  # type: ignore[attr-defined]
    return context


def _shake(port: int, context: SSL.Context) -> SSL.Connection:
    """A blocking handshake of pyOpenSSL itself, without anything of ours."""
    plain = socket.create_connection(("127.0.0.1", port))
    connection = SSL.Connection(context, plain)
    connection.set_connect_state()
    expect_name(connection, "localhost")
    try:
        connection.do_handshake()
    except SSL.Error:
        plain.close()
        raise
    return connection


def test_a_client_that_offers_the_hybrid_second_is_asked_for_it(run: Any, authority: Authority) -> None:
    """It sends a share of X25519 alone, and a server that cared less would take it."""

    async def work() -> None:
        server = authority.tls_server()
        context = _groups(client_context(authority.file), b"*X25519:X25519MLKEM768")
        hello = SSL.Connection(context, None)
        hello.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            hello.do_handshake()
        assert len(hello.bio_read(65_536)) < 1184, "there is no room for a share of ML-KEM-768"
        async with listening(server) as here:
            connection = await asyncio.to_thread(_shake, here.port, context)
            assert connection.get_group_name() == HYBRID
            connection.close()
            await until(lambda: server.counters.by_group == {HYBRID: 1})

    run(work())


@pytest.mark.parametrize(
    ("version", "alert"), [("TLSv1_3", "SSLV3_ALERT_HANDSHAKE_FAILURE"), ("TLSv1_2", "TLSV1_ALERT_PROTOCOL_VERSION")]
)
def test_a_classic_client_is_refused_where_the_hybrid_is_required(
    run: Any, authority: Authority, version: str, alert: str
) -> None:
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion[version]

    async def work() -> None:
        server = authority.tls_server(require_post_quantum=True)
        async with listening(server, lambda: Peer(echo=True)) as here:
            with pytest.raises(ssl.SSLError) as refused:
                await asyncio.to_thread(_blocking, here.port, context, b"secret")
            assert refused.value.reason == alert
            await until(lambda: server.counters.failures == 1)
            assert (here.peers, server.counters.by_group) == ([], {})
            client = TlsClient(authority.file, require_post_quantum=True)
            peer = await client.connect(Peer, "localhost", here.port, DEADLINE_S)
            assert peer.transport.get_extra_info("tls_group") == HYBRID

    run(work())


def test_a_group_that_slips_through_is_refused_all_the_same(run: Any, authority: Authority) -> None:
    """Should the list of groups not hold, the group itself is looked at before anything is handed on."""

    async def work() -> None:
        lax = server_context(*authority.issue("lax"))
        server = TlsServer(lax, require_post_quantum=True)
        async with listening(server) as here:
            with pytest.raises((ssl.SSLError, OSError)):
                await asyncio.to_thread(_blocking, here.port, authority.client_context(), b"secret")
            await until(lambda: server.counters.failures == 1)
            assert (here.peers, server.counters.by_group) == ([], {})

    run(work())


class _Classic:
    """A blocking server of Python's `ssl` on one connection; `heard` is what reached it as plaintext."""

    def __init__(self, authority: Authority) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*authority.issue("classic"))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(DEADLINE_S)
        self.port = self._socket.getsockname()[1]
        self.heard = b""

    def serve(self) -> None:
        with self._socket, self._socket.accept()[0] as plain:
            plain.settimeout(DEADLINE_S)
            with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as client:
                while data := client.recv(4096):
                    self.heard += data


def test_our_client_leaves_a_classic_server_before_it_says_anything(run: Any, authority: Authority) -> None:
    async def work() -> None:
        for required in (True, False):
            classic = _Classic(authority)
            serving = asyncio.get_running_loop().run_in_executor(None, classic.serve)
            client = TlsClient(authority.file, require_post_quantum=required)
            made: list[Peer] = []

            def make(made: list[Peer] = made) -> Peer:
                made.append(Peer())
                return made[-1]

            if required:
                with pytest.raises(TlsError, match="handshake failure"):
                    await client.connect(make, "localhost", classic.port, DEADLINE_S)
                assert (made, client.counters.by_group) == ([], {})
            else:
                peer = await client.connect(make, "localhost", classic.port, DEADLINE_S)
                peer.transport.write(b"hello")
                peer.transport.close()
                assert client.counters.by_group == {"x25519": 1}
            await serving
            assert classic.heard == (b"" if required else b"hello")

    run(work())


@pytest.mark.parametrize(("trusts", "host"), [("own", "other.example"), ("own", "127.0.0.2"), ("another", "localhost")])
def test_a_server_is_believed_by_authority_and_name(
    run: Any, authority: Authority, tmp_path: Path, trusts: str, host: str
) -> None:
    """The name is looked up nowhere: it is the one that the connection would be for."""
    believed = authority if trusts == "own" else Authority(tmp_path, "another")

    async def work() -> None:
        server = authority.tls_server()
        async with listening(server) as here:
            plain = socket.create_connection(("127.0.0.1", here.port), timeout=DEADLINE_S)
            with pytest.raises(TlsError, match="certificate verify failed"):
                await asyncio.to_thread(TlsClient(believed.file).wrap_socket, plain, server_hostname=host)
            assert plain.fileno() == -1
            await until(lambda: server.counters.failures == 1)
            assert here.peers == []

    run(work())


def test_a_client_resumes_with_its_certificate(run: Any, authority: Authority) -> None:
    """Of Python's `ssl`, in both versions: a server without a session id context would break off."""

    def twice(port: int, version: ssl.TLSVersion) -> bool:
        context = authority.client_context(authority.issue("camera-7"))
        context.maximum_version = version
        session = None
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=session) as client,
            ):
                client.sendall(b"x")
                assert client.recv(1) == b"x"
                session, reused = client.session, client.session_reused
        return bool(reused)

    async def work() -> None:
        server = authority.tls_server()
        async with listening(server, lambda: Peer(echo=True)) as here:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                assert await asyncio.to_thread(twice, here.port, version)
            names = [peer.transport.get_extra_info("peer_common_name") for peer in here.peers]
            assert names == ["camera-7"] * 4
            assert server.counters.by_group == {"x25519": 4}

    run(work())


@pytest.mark.parametrize(
    "first", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\x16\x03\x01\xff\xff", bytes(70_000)]
)
def test_what_is_no_handshake_is_closed_without_a_word_in_the_log(
    run: Any, authority: Authority, caplog: pytest.LogCaptureFixture, first: bytes
) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")

    def say(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as plain, contextlib.suppress(OSError):
            plain.sendall(first)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(4096):
                pass

    async def work() -> None:
        server = authority.tls_server()
        async with listening(server) as here:
            await asyncio.to_thread(say, here.port)
            await until(lambda: server.counters.failures == 1)
            assert (here.peers, server.handshaking) == ([], 0)

    run(work())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_slow_handshake_is_cut_off_and_one_too_many_has_no_room(run: Any, authority: Authority) -> None:
    async def work() -> None:
        server = authority.tls_server()
        async with listening(server, handshake_s=0.2) as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            writer.write(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello, and never the rest
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            assert (server.counters.failures, server.handshaking) == (1, 0)
        loop = asyncio.get_running_loop()
        full = await loop.create_server(
            lambda: server.protocol(Peer, DEADLINE_S, lambda: server.handshaking <= 2), "127.0.0.1", 0
        )
        where = full.sockets[0].getsockname()
        still = [await asyncio.open_connection(*where) for _ in range(2)]
        await until(lambda: server.handshaking == 2)
        reader, writer = await asyncio.open_connection(*where)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert server.handshaking == 2
        server.stop()
        for reader, _ in still:
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        for _, each in [*still, (reader, writer)]:
            each.close()
        full.close()

    run(work())


def test_a_peer_that_does_not_read_holds_the_writer_back(run: Any, authority: Authority) -> None:
    async def work() -> None:
        limit = 65_536
        async with listening(authority.tls_server()) as here:
            peer = await TlsClient(authority.file).connect(Peer, "localhost", here.port, DEADLINE_S)
            await until(lambda: bool(here.peers))
            speaker = here.peers[0]
            speaker.transport.set_write_buffer_limits(high=limit)
            peer.transport.pause_reading()
            sent = 0
            while not speaker.full:
                speaker.transport.write(BIG[:4096])
                sent += 4096
                await asyncio.sleep(0)
            assert limit < speaker.transport.get_write_buffer_size() <= 2 * limit
            heard = len(peer.heard)
            await asyncio.sleep(0.05)
            assert len(peer.heard) == heard, "nothing is handed on while reading is paused"
            peer.transport.resume_reading()
            await until(lambda: len(peer.heard) == sent)
            assert not speaker.full
            assert bytes(peer.heard) == BIG[:4096] * (sent // 4096)

    run(work())


def test_thousands_of_small_writes_both_ways(run: Any, authority: Authority) -> None:
    words = [str(n).encode() + b" " for n in range(5_000)]

    async def work() -> None:
        async with listening(authority.tls_server(), lambda: Peer(echo=True)) as here:
            peer = await TlsClient(authority.file).connect(Peer, "localhost", here.port, DEADLINE_S)
            for n, word in enumerate(words):
                peer.transport.write(word)
                if n % 100 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(peer.heard) == sum(map(len, words)))
            assert bytes(peer.heard) == b"".join(words)

    run(work())


def test_half_a_close_lets_the_other_half_be_said(run: Any, authority: Authority) -> None:
    """close_notify ends one direction (RFC 8446 section 6.1): who heard it may still answer."""

    def ask(port: int) -> bytes:
        connection = _shake(port, client_context(authority.file))
        connection.send(b"question")
        connection.shutdown()
        heard = b""
        with contextlib.suppress(SSL.ZeroReturnError):
            while True:
                heard += connection.recv(65_536)
        connection.close()
        return heard

    async def work() -> None:
        async with listening(authority.tls_server(), lambda: Peer(stay=True)) as here:
            asking = asyncio.get_running_loop().run_in_executor(None, ask, here.port)
            await until(lambda: bool(here.peers) and here.peers[0].ended)
            here.peers[0].transport.write(BIG)
            here.peers[0].transport.close()
            assert await asking == BIG
            assert await here.peers[0].lost is None

    run(work())


def test_an_altered_record_breaks_the_connection_and_reaches_nobody(run: Any, authority: Authority) -> None:
    def alter(port: int, client: SSL.Connection, plain: socket.socket) -> bytes:
        """Sends a good record and an altered one; returns the plaintext of what comes back."""
        _by_hand(client, plain)
        client.send(b"good")
        good = client.bio_read(65_536)
        client.send(b"evil")
        evil = bytearray(client.bio_read(65_536))
        evil[7] ^= 1
        plain.sendall(good + evil)
        return b"".join(iter(lambda: plain.recv(4096), b""))

    async def work() -> None:
        async with listening(authority.tls_server()) as here:
            client = SSL.Connection(client_context(authority.file), None)
            client.set_connect_state()
            with socket.create_connection(("127.0.0.1", here.port), timeout=DEADLINE_S) as plain:
                answer = await asyncio.to_thread(alter, here.port, client, plain)
                client.bio_write(answer)
                with pytest.raises(SSL.Error, match="bad record mac"):
                    client.recv(4096)
            assert isinstance(await here.peers[0].lost, TlsError)
            assert bytes(here.peers[0].heard) == b"good"

    run(work())


def test_a_peer_that_breaks_the_protocol_and_does_not_read_is_let_go(run: Any, authority: Authority) -> None:
    async def work() -> None:
        async with listening(authority.tls_server(), lambda: Peer(say=BIG * 10)) as here:
            client = SSL.Connection(client_context(authority.file), None)
            client.set_connect_state()
            with socket.create_connection(("127.0.0.1", here.port), timeout=DEADLINE_S) as plain:
                await asyncio.to_thread(_by_hand, client, plain)
                await until(lambda: bool(here.peers))
                here.peers[0].transport._tls._handshake_timeout_s = 0.05  # type: ignore[attr-defined]
                plain.sendall(b"no record of TLS")
                assert isinstance(await here.peers[0].lost, TlsError)

    run(work())


def _by_hand(client: SSL.Connection, plain: socket.socket) -> None:
    """A handshake whose bytes the test carries itself."""
    while True:
        try:
            client.do_handshake()
            plain.sendall(client.bio_read(65_536))
            return
        except SSL.WantReadError:
            with contextlib.suppress(SSL.WantReadError):
                plain.sendall(client.bio_read(65_536))
            client.bio_write(plain.recv(65_536))


def test_a_blocking_socket_keeps_its_timeouts(authority: Authority) -> None:
    """The words that paho and httpx use, against a server that is silent now and then."""
    classic = _Classic(authority)
    with classic._socket as listener, socket.create_connection(("127.0.0.1", classic.port)) as plain:
        server, _ = listener.accept()
        with server:
            plain.settimeout(0.05)
            with pytest.raises(TimeoutError, match="in time"):
                TlsClient(authority.file).wrap_socket(plain, server_hostname="localhost")
            assert plain.fileno() == -1

    async def work() -> None:
        async with listening(authority.tls_server()) as here:
            await asyncio.to_thread(_use, here.port)
            assert bytes(here.peers[0].heard) == BIG

    def _use(port: int) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        wrapped = TlsClient(authority.file).wrap_socket(plain, server_hostname="127.0.0.1")
        assert wrapped.group == HYBRID
        wrapped.sendall(BIG)
        wrapped.settimeout(0.05)
        with pytest.raises(TimeoutError):
            wrapped.recv(10)
        wrapped.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            wrapped.recv(10)
        wrapped.close()
        wrapped.close()

    asyncio.run(work())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program here")
def test_the_platforms_openssl_verifies_us(run: Any, authority: Authority) -> None:
    async def work() -> None:
        async with listening(authority.tls_server(), lambda: Peer(echo=True)) as here:
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{here.port}", "-CAfile", str(authority.file)]
            done = await asyncio.to_thread(
                subprocess.run, [*command, "-verify_return_error", "-brief"], input="Q\n", capture_output=True,
                text=True, timeout=DEADLINE_S, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "Verification: OK" in done.stderr

    run(work())


async def _ask_for_new_keys(authority: Authority, port: int, times: int) -> bytes:
    """OpenSSL's own client sends KeyUpdate for each line that begins with K, and text at the end; returns what it hears
    as plaintext. It reads one line at a time, so each is sent when the last was taken."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(authority.file)]
    pipe = asyncio.subprocess.PIPE
    client = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    assert client.stdin is not None
    assert client.stderr is not None
    assert client.stdout is not None
    heard = b""
    for _ in range(times):
        client.stdin.write(b"K\n")
        line = await client.stderr.readline()
        while line and b"KEYUPDATE" not in line:
            line = await client.stderr.readline()
        if not line:  # it was cut off, and has ended
            break
    else:
        client.stdin.write(b"still here\n")
        heard = await client.stdout.readuntil(b"still here\n")
    client.stdin.close()
    await client.communicate()
    return heard


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program here")
def test_requests_for_new_keys_are_answered_at_once_and_within_a_bound(
    run: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is answered by OpenSSL itself, into memory, where nobody would look before the next write."""

    async def work() -> None:
        async with listening(authority.tls_server(), lambda: Peer(echo=True)) as here:
            assert b"still here" in await _ask_for_new_keys(authority, here.port, 5)
            assert bytes(here.peers[0].heard) == b"still here\n"
            monkeypatch.setattr("crypto.tls.protocol.UNASKED_BYTES", 200)
            assert await _ask_for_new_keys(authority, here.port, 30) == b""
            assert isinstance(await here.peers[1].lost, TlsError)
            assert here.peers[1].heard == b""

    run(work())


def test_what_cannot_be_used_says_so(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("one")
    _, other_key = authority.issue("two")
    absent, nonsense = tmp_path / "absent.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for files in ((absent, key), (nonsense, key), (certificate, other_key), (certificate, key, nonsense)):
        with pytest.raises(TlsError, match="cannot use the TLS files"):
            server_context(*files)
    for file in (absent, nonsense):
        with pytest.raises(TlsError, match="cannot use the authority's file"):
            TlsClient(file)


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300, "a\0b"])
def test_what_is_no_name_is_refused(authority: Authority, host: str) -> None:
    left, right = socket.socketpair()
    with right, pytest.raises(TlsError, match="expected the name of a host"):
        TlsClient(authority.file).wrap_socket(left, server_hostname=host)
    assert left.fileno() == -1


def test_labels_are_bounded() -> None:
    assert (known(HYBRID), known("x25519"), known("anything"), known(None)) == (HYBRID, "x25519", OTHER, "unknown")
