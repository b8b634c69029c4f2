"""A gateway peer that lies or fails: a real gRPC server before a real peer, with that peer's own TLS certificate."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import msgspec

from chain.ledger.fabric.connection import Connection
from chain.ledger.fabric.profile import Profile
from tests.chain.ledger.fabric.small_network import SmallNetwork

Forward = Callable[[], Awaitable[bytes]]
# (method, request, forward to the real peer, context) -> answer
Hook = Callable[[str, bytes, Forward, Any], Awaitable[bytes]]


class Proxy(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Forwards every call of the Gateway service; `hook` sees each. Streams are cut after `cut` answers."""

    def __init__(self, peer: Any) -> None:
        self._peer = peer
        self.hook: Hook | None = None
        self.cut: int | None = None
        self.calls: list[tuple[str, bytes]] = []

    def named(self, name: str) -> list[bytes]:
        """The requests of one method that came in."""
        return [request for method, request in self.calls if method == name]

    def service(self, details: Any) -> Any:
        path = details.method
        name = path.rpartition("/")[2]

        async def unary(request: bytes, context: Any) -> bytes:
            self.calls.append((name, request))

            async def forward() -> bytes:
                try:
                    answer: bytes = await self._peer.unary_unary(path)(request, timeout=20)
                except grpc.aio.AioRpcError as e:
                    context.set_trailing_metadata(tuple(e.trailing_metadata() or ()))
                    await context.abort(e.code(), e.details())
                return answer

            return await (self.hook(name, request, forward, context) if self.hook else forward())

        async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
            self.calls.append((name, request))
            left = self.cut
            async for answer in self._peer.unary_stream(path)(request):
                yield answer
                if left is not None and (left := left - 1) <= 0:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")

        if name == "ChaincodeEvents":
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


@asynccontextmanager
async def proxied(net: SmallNetwork, org: str = "Org1") -> AsyncIterator[tuple[Proxy, Profile]]:
    """A proxy before the organisation's peer, and the profile of a client that uses it."""
    profile = net.write_profile(org)
    connection = Connection(profile.peers)
    proxy = Proxy(connection.current)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((proxy,))
    tls = net.peer_home(org) / "tls"
    pair = ((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    node = msgspec.structs.replace(profile.peers[0], address=f"127.0.0.1:{port}")
    try:
        yield proxy, msgspec.structs.replace(profile, peers=(node,))
    finally:
        await server.stop(0.1)
        await connection.close()
