"""Streams of the chaincode server: cut, garbled, idle, with TLS, and drained when the process is told to stop."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs sealtrail[fabric]")
pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")

import grpc
from typer.testing import CliRunner

import chaincode.server.server as server_module
from chaincode.cli import app
from chaincode.server.errors import ServeError
from chaincode.server.link import Limits
from chaincode.server.server import MAX_STREAMS, ChaincodeServer, TlsFiles
from chaincode.server.wire import Kind, Message
from chaincode.state import head_key
from chaincode.transaction import Transaction
from tests.chaincode.scripted_peer import Creator, certificate, connected, response_of, result, transaction
from tests.support.certificates import Authority
from tests.support.dead_network import forwarding

HOME = Path(__file__).resolve().parents[2]
CREATOR = Creator("Org1MSP", certificate("gateway"))
METHOD = "/protos.Chaincode/Connect"


def call(function: str = "f", *args: bytes) -> Any:
    return transaction(CREATOR, [function.encode(), *args])


class Slow:
    """A contract that reads, says that it is at work, and waits to be released."""

    def __init__(self) -> None:
        self.working, self.release, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def invoke(self, tx: Transaction, function: str, args: Sequence[bytes]) -> bytes:
        if function == "quick":
            return b"quick"
        await tx.get("key")
        self.working.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await tx.put("key", b"value")
        return b"done"


@asynccontextmanager
async def serving(
    slow: Slow, tls: TlsFiles | None = None, limits: Limits | None = None
) -> AsyncIterator[tuple[ChaincodeServer, int]]:
    server = ChaincodeServer("sealtrail:0123", invoke=slow.invoke, limits=limits)
    port = await server.start("127.0.0.1:0", tls)
    try:
        yield server, port
    finally:
        await server.stop(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


def test_a_stream_that_is_cut_ends_its_transactions_and_no_others() -> None:
    async def check() -> None:
        slow = Slow()
        async with serving(slow) as (_, port), connected(port) as staying:
            async with connected(port) as leaving:
                await leaving.begin(call())
                await slow.working.wait()
            await slow.cancelled.wait()
            assert result(await staying.call(call("quick"))) == b"quick"
            async with connected(port) as again:  # as a peer does with its next transaction
                assert result(await again.call(call("quick"))) == b"quick"

    run(check)


def test_garbage_ends_its_own_stream_at_once() -> None:
    async def check() -> None:
        async with serving(Slow()) as (_, port), connected(port) as staying:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                stream = channel.stream_stream(METHOD)()
                assert Message.FromString(await stream.read()).type == Kind.REGISTER
                await stream.write(b"\xff\xff not a message")
                with pytest.raises(grpc.aio.AioRpcError):  # so that the peer gives up its transactions at once
                    await stream.read()
            assert result(await staying.call(call("quick"))) == b"quick"

    run(check)


def test_messages_that_no_peer_should_send_are_ignored() -> None:
    async def check() -> None:
        slow = Slow()
        async with serving(slow) as (_, port), connected(port) as peer:
            message = call()
            first = await peer.begin(message)
            await slow.working.wait()
            for kind in (*Kind.values(), 999):
                if kind not in (Kind.TRANSACTION, Kind.INIT):
                    await peer.send(Message(type=kind, txid="nobody's", channel_id="x", payload=b"\xff"))
            for kind in (Kind.RESPONSE, Kind.ERROR):  # nothing is being asked
                await peer.send(Message(type=kind, txid=message.txid, channel_id=message.channel_id))
            assert result(await peer.call(call("quick"))) == b"quick"
            slow.release.set()
            assert result(await first.answer) == b"done"
            assert [stray.type for stray in peer.strays] == [Kind.KEEPALIVE]  # sent back, as peers expect

    run(check)


def test_a_transaction_that_comes_twice_is_ended_and_not_endorsed() -> None:
    """A peer that gave a transaction up may be sent it again: the writes of two runs must not mix."""

    async def check() -> None:
        slow = Slow()
        async with serving(slow) as (_, port), connected(port) as peer:
            message = call()
            first = await peer.begin(message)
            await slow.working.wait()
            again = await peer.call(message)
            assert (again.type, b"as a new transaction" in again.payload) == (Kind.ERROR, True)
            await slow.cancelled.wait()
            slow.release.set()
            assert result(await peer.call(call("quick"))) == b"quick"
            assert not first.answer.done()
            assert result(await peer.call(message)) == b"done"  # once nothing of it is at work

    run(check)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY, ACK = 4, 6, 7, 1


def frame(kind: int, payload: bytes, flags: int = 0) -> bytes:
    """An HTTP/2 frame of the connection (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + bytes(4) + payload


def test_an_idle_connection_survives_pings() -> None:
    """gRPC's default answers a few pings without data, as peers send them, by hanging up (ENHANCE_YOUR_CALM)."""

    async def check() -> None:
        async with serving(Slow()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(PREFACE + frame(SETTINGS, b"") + frame(SETTINGS, b"", ACK))
            answered = 0
            while answered < 20:
                writer.write(frame(PING, answered.to_bytes(8, "big")))
                kind = -1
                while kind != PING:
                    head = await reader.readexactly(9)
                    kind, _ = head[3], await reader.readexactly(int.from_bytes(head[:3], "big"))
                    assert kind != GOAWAY
                answered += 1
            writer.close()
            await writer.wait_closed()

    run(check)


def test_the_stream_of_a_machine_that_died_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection stays open and silent; only unanswered pings show it. With the server's options, but quicker."""
    named = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    quick = {name: 1000 for name in named if name in dict(server_module._OPTIONS)}
    monkeypatch.setattr(server_module, "_OPTIONS", tuple((dict(server_module._OPTIONS) | quick).items()))

    async def check() -> None:
        slow = Slow()
        limits = Limits(seconds=600)  # so that nothing but the pings ends it
        async with AsyncExitStack() as stack:
            _, port = await stack.enter_async_context(serving(slow, limits=limits))
            forwarder = await stack.enter_async_context(forwarding(port))
            peer = await stack.enter_async_context(connected(forwarder.port))
            await peer.begin(call())
            await slow.working.wait()
            await asyncio.sleep(3.5)  # idle, and alive
            assert not slow.cancelled.is_set()
            forwarder.freeze()
            await asyncio.wait_for(slow.cancelled.wait(), 20)

    run(check)


def test_streams_are_bounded() -> None:
    async def check() -> None:
        async with serving(Slow()) as (_, port), AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(connected(port)) for _ in range(MAX_STREAMS)]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stack.enter_async_context(connected(port))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert [result(await peer.call(call("quick"))) for peer in peers] == [b"quick"] * MAX_STREAMS

    run(check)


def test_stopping_ends_what_is_at_work_and_refuses_what_is_new() -> None:
    async def check() -> None:
        slow = Slow()
        async with serving(slow) as (server, port), connected(port) as peer:
            first = await peer.begin(call())
            await slow.working.wait()
            stopping = asyncio.create_task(server.stop(30))
            await asyncio.sleep(0)  # the server is stopping from its first step on
            late = await peer.call(call("quick"))
            assert (late.type, b"stopping" in late.payload) == (Kind.ERROR, True)
            slow.release.set()
            assert result(await first.answer) == b"done"
            await stopping
            with pytest.raises(grpc.aio.AioRpcError):
                async with connected(port):
                    pass

    run(check)


def test_stopping_does_not_wait_for_ever() -> None:
    async def check() -> None:
        slow = Slow()
        async with serving(slow) as (server, port), connected(port) as peer:
            await peer.begin(call())
            await slow.working.wait()
            await server.stop(0.1)
            assert slow.cancelled.is_set()

    run(check)


def test_peers_without_our_certificates_are_not_served(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    files = TlsFiles(*authority.issue("server"), authority.file)
    ca = authority.file.read_bytes()

    def credentials(of: Authority | None) -> Any:
        if of is None:
            return grpc.ssl_channel_credentials(ca)
        certificate_file, key_file = of.issue("peer")
        return grpc.ssl_channel_credentials(ca, key_file.read_bytes(), certificate_file.read_bytes())

    async def check() -> None:
        async with serving(Slow(), files) as (_, port):
            async with connected(port, credentials=credentials(authority)) as peer:
                assert result(await peer.call(call("quick"))) == b"quick"
            for wrong in (credentials(None), credentials(stranger), None):
                with pytest.raises(grpc.aio.AioRpcError):
                    async with connected(port, credentials=wrong):
                        pass

    run(check)


def test_clients_that_hang_up_before_the_handshake_harm_nobody(tmp_path: Path) -> None:
    """As health checks and port scanners do. gRPC's dynamic credentials crashed the process at this."""
    authority = Authority(tmp_path)
    files = TlsFiles(*authority.issue("server"), authority.file)
    certificate_file, key_file = authority.issue("peer")
    ca = authority.file.read_bytes()
    credentials = grpc.ssl_channel_credentials(ca, key_file.read_bytes(), certificate_file.read_bytes())

    async def check() -> None:
        async with serving(Slow(), files) as (_, port):
            for _ in range(2000):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
            async with connected(port, credentials=credentials) as peer:
                assert result(await peer.call(call("quick"))) == b"quick"

    run(check)


def test_servers_that_cannot_start_say_why(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(Slow()) as (_, port):
            with pytest.raises(ServeError, match="cannot listen"):
                await ChaincodeServer("a:b").start(f"127.0.0.1:{port}")
        with pytest.raises(ServeError, match="TLS files"):
            await ChaincodeServer("a:b").start("127.0.0.1:0", TlsFiles(tmp_path / "no", tmp_path / "no"))
        (tmp_path / "no pem").write_bytes(b"no pem")
        with pytest.raises(ServeError, match="cannot listen"):
            await ChaincodeServer("a:b").start("127.0.0.1:0", TlsFiles(tmp_path / "no pem", tmp_path / "no pem"))
        with pytest.raises(ServeError, match="package id"):
            ChaincodeServer("")

    run(check)


@pytest.mark.parametrize(
    "args", [["--address", "0.0.0.0:0"], ["--address", "127.0.0.1:0", "--tls-cert", "x"],
             ["--address", "127.0.0.1:0", "--tls-client-ca", "x"]],
)  # fmt: skip
def test_open_addresses_need_tls_and_tls_needs_its_files(args: list[str]) -> None:
    done = CliRunner().invoke(app, ["serve", "--package-id", "a:b", *args])
    assert isinstance(done.exception, ServeError)


def test_sigterm_drains_the_process() -> None:
    """The real command in its own process; the peer holds back an answer while the signal arrives."""

    async def check() -> None:
        program = "from chaincode.cli import app; app(['serve', '--address', '127.0.0.1:0', '--package-id', 'a:b'])"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, cwd=HOME, env=os.environ | {"PYTHONWARNINGS": "error"},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr
        try:
            listening = json.loads(await process.stderr.readline())
            assert listening["event"] == "listening"
            async with connected(listening["port"]) as peer:
                peer.silent.add(head_key("nobody"))
                message = call("logs.head", b"nobody")
                held = await peer.begin(message)
                await peer.asked.wait()
                process.send_signal(signal.SIGTERM)
                while json.loads(await process.stderr.readline())["event"] != "stopping":
                    pass
                assert not held.answer.done()
                await peer.send(Message(type=Kind.RESPONSE, txid=message.txid, channel_id=message.channel_id))
                answer = response_of(await held.answer)
                assert (answer.status, answer.message) == (400, "unknown-log: no log nobody is registered")
                rest = await process.stderr.read()
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        lines = [json.loads(line) for line in rest.splitlines()]
        assert any(line.get("outcome") == "unknown-log" for line in lines)
        assert lines[-1]["event"] == "stopped"

    run(check)
