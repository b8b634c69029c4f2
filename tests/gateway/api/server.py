"""The application on a real socket of 127.0.0.1, served by uvicorn in a thread."""

import threading
import time
from types import TracebackType

import httpx
import uvicorn
from fastapi import FastAPI

from gateway.access import Scope
from gateway.api import RateLimits, create_app
from tests.gateway.api.site import Site

UNLIMITED = RateLimits(per_second=1e6, burst=1e6)
START_WITHIN_S = 20.0


def app_of(site: Site, limits: RateLimits = UNLIMITED) -> FastAPI:
    return create_app(site.folder, site, site.access, site.receipts, site.ledger, lambda: site.policy, limits)


class Server:
    """Serves a site until the block ends; `client(scope…)` makes clients with a token of these scopes."""

    def __init__(self, site: Site, limits: RateLimits = UNLIMITED) -> None:
        self.site, self.app = site, app_of(site, limits)
        config = uvicorn.Config(self.app, host="127.0.0.1", port=0, log_config=None, lifespan="on", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="uvicorn", daemon=True)
        self._clients: list[httpx.Client] = []

    def __enter__(self) -> "Server":
        self._thread.start()
        end = time.monotonic() + START_WITHIN_S
        while not self._server.started:
            assert time.monotonic() < end, "the server did not start"
            assert self._thread.is_alive(), "the server stopped at once"
            time.sleep(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for client in self._clients:
            client.close()
        self._server.should_exit = True
        self._thread.join()

    @property
    def url(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def client(self, *scopes: Scope) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.site.token(*scopes)}"} if scopes else {}
        made = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        self._clients.append(made)
        return made
