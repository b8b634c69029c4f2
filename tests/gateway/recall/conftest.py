"""Real gateways of several companies on one shared ledger, each with its REST interface, partners and tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.access import Scope
from gateway.config import Config
from gateway.server import Running, running
from tests.support.trade import keyed

NAMES = ("Maker", "Wholesaler", "Shop", "Kiosk")
GLN = {name: keyed(f"4012345{90 + n:05d}") for n, name in enumerate(NAMES)}
# Who sells to whom.
TRADE = {"Maker": ("Wholesaler",), "Wholesaler": ("Shop", "Kiosk"), "Shop": (), "Kiosk": ()}


def party(name: str) -> str:
    return f"https://id.gs1.org/417/{GLN[name]}"


class Companies:
    """The running gateways by name, and every body that each of them was sent by others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.served: dict[str, Running] = {}
        self.ports: dict[str, int] = {}

    def __getitem__(self, name: str) -> Any:
        return self.served[name].gateway.supply.recalls

    def data(self, name: str) -> Path:
        return self.root / name.lower()

    async def capture(self, name: str, *payloads: bytes) -> None:
        gateway = self.served[name].gateway
        await gateway._own_log("capture", "epcis").append_all(payloads)
        await self.served[name].index_caught_up()

    async def until(self, true: Any, seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.05)


def near(name: str) -> set[str]:
    """Its suppliers and customers: the others it does not know."""
    return {other for other in NAMES if other in TRADE[name] or name in TRADE[other]}


def _partners(name: str, root: Path, ports: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "organisation": other, "parties": [GLN[other]], "url": f"http://127.0.0.1:{ports[other]}",
            "token_file": root / f"{name}-at-{other}.token",
        }
        for other in sorted(near(name))
    ]  # fmt: skip


@asynccontextmanager
async def companies(root: Path, names: tuple[str, ...] = NAMES, ports: dict[str, int] | None = None,
                    **recall: dict[str, Any]) -> AsyncIterator[Companies]:  # fmt: skip
    """`recall`: the section [recall] by company; `ports`: where they were before a restart."""
    found = Companies(root)
    found.ports = ports or {name: _free_port() for name in NAMES}
    async with AsyncExitStack() as stack:
        for name in names:
            for other in NAMES:
                token = root / f"{name}-at-{other}.token"
                token.touch(0o600)
            config = Config.model_validate({
                "origin": f"{name.lower()}.example/gw", "data": found.data(name), "front_door": {"port": 0},
                "api": {"port": found.ports[name]},
                "shared_ledger": {"name": "trade.example/ledger", "folder": root / "ledger", "organisation": name},
                "log": {"checkpoint_interval_s": 3600, "anchor_interval_s": 3600},
                "partners": _partners(name, root, found.ports), "recall": recall.get(name, {"auto_answer": True}),
            })  # fmt: skip
            found.served[name] = await stack.enter_async_context(running(config))
        for name in names:
            for other in names:
                if other in near(name):
                    access = found.served[other].gateway.access
                    given = access.new_token(name, frozenset({Scope.PARTNER}))
                    (root / f"{name}-at-{other}.token").write_text(given)
        yield found


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])
