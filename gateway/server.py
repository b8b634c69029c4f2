"""Runs a gateway together with its REST interface and pages, until it is told to stop."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from chain.errors import StoreError
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.receipts import ReceiptBuilder
from gateway.config import ApiConfig, Config
from gateway.door_options import tls_server
from gateway.followers import Followers
from gateway.service import Gateway

if TYPE_CHECKING:
    from crypto.tls.server import TlsServer

THREADS = 32  # of those that work for the loop; Python's own choice is six on two cores, which questions would fill
HANDSHAKE_S = 10.0  # TLS, from the connection on
MAX_FRAME = 64 * 1024  # of what the client of a WebSocket says, which nobody listens to


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that serves: its parts and where people reach it."""

    gateway: Gateway
    url: str
    followers: Followers

    async def index_caught_up(self) -> None:
        """Wait until the indexes hold everything that is in the log now."""
        await self.followers.caught_up(self.gateway.status().log_size)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Start everything, yield, stop everything in order: API, doors, pipeline (committing what was taken)."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "gateway"))
    listening = _listen(config.api)
    port = listening.getsockname()[1]
    tls = tls_server(config.api, "api")
    url = config.api.public_url or f"{'https' if tls else 'http'}://{config.api.host}:{port}"
    with contextlib.closing(listening):
        async with Gateway(config) as gateway:
            # Loading the interface is half of a start. In a thread, because sources come back meanwhile.
            application = await asyncio.to_thread(_application, gateway, config.api)
            gateway.health.api_tls = tls
            server = _server(application, gateway.shares.http, tls)
            gateway.health.http_full = lambda: (
                len(server.server_state.connections) + (tls.handshaking if tls else 0) >= gateway.shares.http
            )
            serving = asyncio.create_task(server.serve([listening]))
            asyncio.get_running_loop().set_exception_handler(gateway.shortage.on_loop_fault)
            collect_less_often()
            followers = Followers(gateway)
            gateway.eraser.forget_in_indexes = followers.forgot
            following = asyncio.create_task(followers.run())
            try:
                yield Running(gateway, url, followers)
            finally:
                following.cancel()
                gateway.supply.alarms.end_streams()  # else the server waits for them in vain, and then ends them hard
                server.should_exit = True
                if tls:
                    tls.stop()
                await asyncio.gather(serving, following, return_exceptions=True)


def collect_less_often() -> None:
    """A batch makes many objects that all live until its commit. Looking for garbage among them every 700
    objects, as Python does by default, costs about a quarter of the throughput and finds none."""
    if gc.isenabled():  # else it is off since the program began, and what was made since then stays
        gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 50)


def _application(gateway: Gateway, settings: ApiConfig) -> Any:
    from gateway.api.app import create_app
    from gateway.api.ratelimit import RateLimits

    ledger, rate = open_reader(gateway.folder), settings.requests_per_second
    return create_app(
        gateway.folder, gateway, gateway.access, lambda reader: ReceiptBuilder(reader, ledger), gateway.ledger,
        partial(site_policy, gateway.folder), RateLimits(rate, 4 * rate),
    )  # fmt: skip


def _server(app: Any, connections: int, tls: "TlsServer | None") -> Any:
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # a class that uvicorn chooses
        """Ends a connection over the bound, and one that asks nothing for as long as one may be idle later."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > connections:
                transport.close()
            else:
                wait, end = self.timeout_keep_alive, self.timeout_keep_alive_handler
                self.timeout_keep_alive_task = self.loop.call_later(wait, end)

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """The gateway stops in its own order; uvicorn must not take its signals."""
            yield

    def over_tls(*, server_state: Any, **given: Any) -> asyncio.Protocol:
        """What uvicorn calls for each connection, instead of the class. A handshake takes a connection's place."""
        assert tls is not None
        return tls.protocol(
            lambda: Protocol(server_state=server_state, **given), HANDSHAKE_S,
            lambda: len(server_state.connections) + tls.handshaking <= connections,
        )  # fmt: skip

    def upgraded(**given: Any) -> asyncio.Protocol:
        """What uvicorn calls for each WebSocket, instead of the class."""
        from gateway.sockets import SocketProtocol

        return SocketProtocol(**given)

    # asyncio accepts so many in one go, before one over the bound is closed, and so often in vain without descriptors.
    backlog = min(connections, 128)
    http: Any = over_tls if tls else Protocol
    ws: Any = upgraded
    return Server(
        uvicorn.Config(
            app, http=http, log_config=None, lifespan="on", access_log=False, timeout_graceful_shutdown=3,
            backlog=backlog, ws=ws, ws_max_size=MAX_FRAME, ws_per_message_deflate=False,
        )
    )  # fmt: skip


def _listen(settings: ApiConfig) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port))
    except OSError as e:
        where = f"{settings.host}:{settings.port}"
        raise StoreError(f"cannot listen for HTTP on {where}: {e.strerror}; set api.port to a free one") from e
