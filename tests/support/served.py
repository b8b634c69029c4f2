"""A whole gateway with its REST interface in this process, served on a free port by a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from gateway.access import Scope
from gateway.config import Config
from gateway.server import Running, running
from gateway.service import Gateway

T = TypeVar("T")
WITHIN_S = 30.0


class Served:
    """Use as a context manager; ends in order. `run` runs a coroutine on the gateway's loop."""

    def __init__(self, root: Path, **settings: Any) -> None:
        base: dict[str, Any] = {
            "origin": "plant-7.example/line-3", "data": root, "front_door": {"port": 0},
            "api": {"port": 0, "requests_per_second": 1e6},
            "log": {"checkpoint_interval_s": 3600, "anchor_interval_s": 3600},
        }  # fmt: skip
        self.config = Config.model_validate(base | settings)
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._failed: BaseException | None = None
        self._clients: list[httpx.Client] = []
        self.running: Running

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WITHIN_S), "the gateway did not start"
        if self._failed:
            raise self._failed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for client in self._clients:
            client.close()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(WITHIN_S)
        assert not self._thread.is_alive(), "the gateway did not end"

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with running(self.config) as self.running:
                self._ready.set()
                await self._end.wait()
        except BaseException as e:
            self._failed = e
            raise
        finally:
            self._ready.set()

    @property
    def gateway(self) -> Gateway:
        return self.running.gateway

    @property
    def url(self) -> str:
        return self.running.url

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)

    def token(self, *scopes: Scope, label: str = "") -> str:
        return self.gateway.access.new_token(label or "+".join(scopes), frozenset(scopes))

    def client(self, *scopes: Scope, label: str = "") -> httpx.Client:
        made = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token(*scopes, label=label)}"}, timeout=30
        )
        self._clients.append(made)
        return made
