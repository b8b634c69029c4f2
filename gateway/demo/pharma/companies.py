"""The five companies of the story: who they are, the folders and configuration of their gateways, and these running.

Their gateways listen on free loopback ports, which a kept folder remembers. Only what was started here is ended.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.site import Folder
from crypto.files import write_durably
from gateway.access import Access, Scope
from gateway.demo.errors import DemoError

START_S, STOP_S = 60.0, 30.0
OWN_TOKEN = "token"  # noqa: S105 - a file name
LEDGER: Final = "medicines.sealtrail.example/ledger"


@dataclass(frozen=True, slots=True)
class Company:
    """`prefix`: its GS1 company prefix, of those that GS1 keeps for examples; `gln` is its place; `trades_with` are the
    neighbours in the chain."""

    name: str
    title: str
    msp_id: str
    prefix: str
    gln: str
    trades_with: tuple[str, ...]

    @property
    def origin(self) -> str:
        return f"{self.name}.sealtrail.example/gateway"

    @property
    def party(self) -> str:
        """Its place as EPCIS names it."""
        return f"https://id.gs1.org/414/{self.gln}"


SUPPLIER = Company("supplier", "Alpine Actives", "SupplierMSP", "9520001", "9520001000003", ("maker",))
MAKER = Company("maker", "Exemplar Pharma", "MakerMSP", "9520002", "9520002000002",
                ("supplier", "carrier", "wholesaler"))  # fmt: skip
CARRIER = Company("carrier", "Coldline Freight", "CarrierMSP", "9520003", "9520003000001", ("maker", "wholesaler"))
WHOLESALER = Company("wholesaler", "Meridian Wholesale", "WholesalerMSP", "9520004", "9520004000000",
                     ("maker", "carrier", "pharmacy"))  # fmt: skip
PHARMACY = Company("pharmacy", "Corner Pharmacy", "PharmacyMSP", "9520005", "9520005000009", ("wholesaler",))
ALL: Final = (SUPPLIER, MAKER, CARRIER, WHOLESALER, PHARMACY)
BY_NAME: Final = {company.name: company for company in ALL}


@dataclass(slots=True)
class Gateway:
    """A company's running gateway."""

    company: Company
    home: Path
    url: str
    token: str
    process: asyncio.subprocess.Process


def ports(home: Path, pages: int) -> dict[str, tuple[int, int]]:
    """Ports of pages and of MQTT by company's name: free ones, which a kept folder remembers. `pages`: of the maker."""
    file = home / "ports.json"
    if file.exists():
        return {name: (first, second) for name, (first, second) in json.loads(file.read_text()).items()}
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2 * len(ALL))]
        numbers = [one.getsockname()[1] for one in sockets]
    found = {company.name: (numbers[2 * n], numbers[2 * n + 1]) for n, company in enumerate(ALL)}
    if pages:
        found[MAKER.name] = (pages, found[MAKER.name][1])
    write_durably(file, json.dumps(found).encode())
    return found


def prepare(home: Path, ports: dict[str, tuple[int, int]], profiles: dict[str, Path] | None) -> None:
    """Folders, tokens for neighbours, and configuration files of all companies. `ports`: of pages and of MQTT, by
    name; `profiles`: connection profiles by MSP id, where the ledger is Fabric."""
    for company in ALL:
        folder = home / company.name
        folder.mkdir(parents=True, exist_ok=True)
        _give_tokens(home, company)
    for company in ALL:
        text = _config(home, company, ports, profiles[company.msp_id] if profiles else None)
        (home / company.name / "gateway.toml").write_text(text)


def _give_tokens(home: Path, company: Company) -> None:
    """Each neighbour gets a token for this company's gateway, once, labelled with the neighbour's organisation; the
    company itself one that may do everything."""
    access = Access(Folder.create(home / company.name / "data", company.origin))
    try:
        _give_token(access, home / company.name / OWN_TOKEN, "demo", frozenset(Scope))
        for name in company.trades_with:
            other = BY_NAME[name]
            _give_token(access, token_file(home, other, company), other.msp_id, frozenset({Scope.PARTNER}))
    finally:
        access.close()


def _give_token(access: Access, file: Path, label: str, scopes: frozenset[Scope]) -> None:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, access.new_token(label, scopes).encode(), mode=0o600)


def token_file(home: Path, holder: Company, of: Company) -> Path:
    """Where `holder` keeps its token for the gateway of `of`."""
    return home / holder.name / "partners" / f"{of.name}.token"


def _config(home: Path, company: Company, ports: dict[str, tuple[int, int]], profile: Path | None) -> str:
    pages, mqtt = ports[company.name]
    lines = [
        f'origin = "{company.origin}"', 'data = "data"', f'company = "{company.title}"',
        *(['ledger = "fabric"'] if profile else []),
        "[front_door]", f"port = {mqtt}", "[api]", f"port = {pages}",
        "[storage]", "reserve_bytes = 0", "[log]", "checkpoint_interval_s = 0.2", "anchor_interval_s = 1.0",
    ]  # fmt: skip
    if profile:
        lines += ["[fabric]", f'profile = "{profile}"']
    else:
        lines += [
            "[shared_ledger]", f'folder = "{home / "ledger"}"', f'name = "{LEDGER}"',
            f'organisation = "{company.msp_id}"',
        ]  # fmt: skip
    for name in company.trades_with:
        other = BY_NAME[name]
        lines += [
            "[[partners]]", f'organisation = "{other.msp_id}"', f'parties = ["{other.gln}"]',
            f'url = "http://127.0.0.1:{ports[name][0]}"', f'token_file = "{token_file(home, company, other)}"',
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[dict[str, Gateway]]:
    """All gateways, by name, until the block ends. The first makes the ledger; then the others start together."""
    async with AsyncExitStack() as stack:
        first, *others = ALL

        async def start(company: Company) -> Gateway:
            return await stack.enter_async_context(_gateway(home / company.name, company))

        found = [await start(first), *await asyncio.gather(*map(start, others))]
        yield {gateway.company.name: gateway for gateway in found}


@asynccontextmanager
async def _gateway(home: Path, company: Company) -> AsyncIterator[Gateway]:
    with (home / "gateway.log").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sealtrail", "up", "--config", str(home / "gateway.toml"), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        try:
            where = await _where(process, home)
            token = (home / OWN_TOKEN).read_text().strip()
            yield Gateway(company, home, where["url"], token, process)
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), STOP_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()


async def _where(process: asyncio.subprocess.Process, home: Path) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
    except TimeoutError as e:
        raise DemoError(f"the gateway in {home} did not come up within {START_S:.0f} s; see its gateway.log") from e
    if not line:
        raise DemoError(f"the gateway in {home} ended:\n{(home / 'gateway.log').read_text()[-1500:]}")
    where: dict[str, Any] = json.loads(line)
    return where
