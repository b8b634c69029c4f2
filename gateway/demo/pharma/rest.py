"""What a company's own systems ask its gateway for, over REST with its token."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from gateway.demo.errors import DemoError
from gateway.demo.pharma.companies import Company, Gateway
from gateway.demo.pharma.events import Event, document

PATIENCE_S: Final = 120.0
POLL_S: Final = 0.2


class Desk:
    """One company's systems. Every refusal is a DemoError that says who refused what."""

    def __init__(self, gateway: Gateway) -> None:
        self.company: Company = gateway.company
        self.gateway = gateway
        headers = {"Authorization": f"Bearer {gateway.token}"}
        self._client = httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=60.0)

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        """The answer's JSON; None where it has none."""
        answer = await self._client.request(method, path, **more)
        if not answer.is_success:
            raise DemoError(f"{self.company.title}: {method} {path}: {answer.status_code} {answer.text[:600]}")
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, **more: Any) -> str:
        """Why it is refused; a DemoError where it is not."""
        answer = await self._client.request(method, path, **more)
        if answer.is_success:
            raise DemoError(f"{self.company.title}: {method} {path} should have been refused")
        return str(answer.json().get("detail", answer.text))

    async def capture(self, *events: Event) -> None:
        """Bring events to the gateway; when this returns they are in its log."""
        now_us = time.time_ns() // 1000
        await self.ask("POST", "/epcis/capture", json=document(events, now_us))

    async def invite(self, source: str, low: float, high: float, unit: str = "Cel") -> str:
        """A one-time code for a device whose readings have these limits."""
        limits = [{"series": "", "unit": unit, "low": low, "high": high}]
        answer = await self.ask("POST", "/v1/sources", json={"source": source, "limits": limits})
        return str(answer["code"])

    async def until(self, what: str, path: str, true: Callable[[Any], Any], **more: Any) -> Any:
        """Ask again until the answer is as expected; DemoError says what was waited for."""
        end, found = time.monotonic() + PATIENCE_S, None
        while time.monotonic() < end:
            found = await self.ask("GET", path, **more)
            if true(found):
                return found
            await asyncio.sleep(POLL_S)
        raise DemoError(
            f"{self.company.title}: {what} did not come within {PATIENCE_S:.0f} s; last: {str(found)[:600]}"
        )

    async def settled(self) -> dict[str, int]:
        """Wait until the ledger was told all that events asked for; counts of transitions by state."""

        def done(found: dict[str, Any]) -> bool:
            return found["idle"] and not found["counts"].get("pending") and not found["counts"].get("waiting")

        found = await self.until("the ledger's word", "/v1/custody", done)
        return dict(found["counts"])

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def desks(gateways: Mapping[str, Gateway]) -> AsyncIterator[dict[str, Desk]]:
    """The systems of all companies, by name."""
    made = {name: Desk(gateway) for name, gateway in gateways.items()}
    try:
        yield made
    finally:
        for desk in made.values():
            await desk.close()
