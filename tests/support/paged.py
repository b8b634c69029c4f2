"""A whole gateway in this process with its REST interface and pages, to be asked over HTTP."""

from types import TracebackType
from typing import Any

import httpx

from gateway.access import Scope
from gateway.server import running
from tests.support.site import Site


class ServedSite(Site):
    """As Site; `get` asks its pages."""

    async def _begin(self) -> Any:
        self._running = running(self.config)
        self.served = await self._running.__aenter__()
        return self.served.gateway

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self.run(self._running.__aexit__(None, None, None))
        self._runner.close()

    def caught_up(self) -> None:
        """The indexes hold everything that is in the log now."""
        self.run(self.served.index_caught_up())

    def get(self, path: str, scope: Scope | None = Scope.AUDITOR, **more: Any) -> httpx.Response:
        """A page as somebody with a token of this scope sees it, None: without a token."""
        return self.run(self._get(path, scope, more))

    async def _get(self, path: str, scope: Scope | None, more: dict[str, Any]) -> httpx.Response:
        headers = {"Accept": "text/html"}
        if scope:
            headers["Authorization"] = f"Bearer {self.gateway.access.new_token(scope, frozenset({scope}))}"
        async with httpx.AsyncClient(base_url=self.served.url) as client:
            return await client.get(path, headers=headers, **more)
