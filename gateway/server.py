"""Runs a gateway together with its REST interface and pages, until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from chain.errors import StoreError
from chain.ledger.reading import open_reader
from chain.policies import site_policy
from chain.receipts import ReceiptBuilder
from chain.site import SiteReader
from crypto.errors import SealtrailError
from gateway.config import ApiConfig, Config
from gateway.door_options import tls_server
from gateway.index import Index
from gateway.service import Gateway

if TYPE_CHECKING:
    from crypto.tls.server import TlsServer

log = logging.getLogger(__name__)
FOLLOW_S = 0.25
HANDSHAKE_S = 10.0  # TLS, from the connection on
BUSY_PAUSE = 9.0
STEP = 512  # leaves: while a step has the interpreter's lock, some milliseconds, commits wait for it


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that serves: its parts and where people reach it."""

    gateway: Gateway
    url: str
    follower: "Follower"

    async def index_caught_up(self) -> None:
        """Wait until the record index holds everything that is in the log now."""
        size = self.gateway.status().log_size
        while self.follower.position < size:
            await asyncio.sleep(FOLLOW_S / 5)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Start everything, yield, stop everything in order: API, doors, pipeline (committing what was taken)."""
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
            _collect_less_often()
            follower = Follower(gateway)
            gateway.eraser.forget_in_index = follower.forgot
            following = asyncio.create_task(follower.run())
            try:
                yield Running(gateway, url, follower)
            finally:
                following.cancel()
                server.should_exit = True
                if tls:
                    tls.stop()
                await asyncio.gather(serving, following, return_exceptions=True)


def _collect_less_often() -> None:
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

    # asyncio accepts so many in one go, before one over the bound is closed, and so often in vain without descriptors.
    backlog = min(connections, 128)
    http: Any = over_tls if tls else Protocol
    return Server(
        uvicorn.Config(
            app, http=http, log_config=None, lifespan="on", access_log=False, timeout_graceful_shutdown=3,
            backlog=backlog,
        )
    )  # fmt: skip


class Follower:
    """Keeps the record index behind the log, off the hot path."""

    def __init__(self, gateway: Gateway) -> None:
        self._index = Index(gateway.folder, gateway.access.settings)
        self._reader = SiteReader.open(gateway.folder)
        self._gateway, self._committer = gateway, gateway.committer
        self.position = self._index.position

    async def run(self) -> None:
        """Follow until cancelled."""
        step = asyncio.ensure_future(asyncio.to_thread(self._step))
        try:
            while True:
                started, size = time.monotonic(), self._committer.counters.log_size
                done = await asyncio.shield(step)
                arrived = self._committer.counters.log_size - size
                await asyncio.sleep(self._pause(done, time.monotonic() - started, arrived))
                step = asyncio.ensure_future(asyncio.to_thread(self._step))
        finally:
            await asyncio.wait([step])  # its thread uses what is closed next
            self._index.close()
            self._reader.close()

    async def forgot(self) -> None:
        """Wait until the index holds nothing of what is erased by now."""
        with closing(SiteReader.open(self._gateway.folder)) as reader:
            erasures = reader.erasures.destroyed()
        while self._index.erasures < erasures:
            await asyncio.sleep(FOLLOW_S / 5)
        self._reader.payloads.forget_cached()

    def _pause(self, done: int, took: float, arrived: int) -> float:
        """While events arrive, the index takes at most a tenth of the time; what is left over it catches up later."""
        return max(BUSY_PAUSE * took if arrived else 0.0, 0.0 if done == STEP else FOLLOW_S)

    def _step(self) -> int:
        try:
            done = self._index.follow(self._reader, STEP)
        except Exception as e:  # outermost boundary: the index can always be rebuilt, so it never stops the gateway
            if self._gateway.health.index_problem != str(e):
                log.warning("the record index waits: %s", e, exc_info=not isinstance(e, SealtrailError))
            self._gateway.health.index_problem = str(e) or repr(e)
            return 0
        self._gateway.health.index_problem = ""
        self.position = self._index.position
        return done


def _listen(settings: ApiConfig) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port))
    except OSError as e:
        where = f"{settings.host}:{settings.port}"
        raise StoreError(f"cannot listen for HTTP on {where}: {e.strerror}; set api.port to a free one") from e
