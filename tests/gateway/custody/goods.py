"""Companies with real gateways on one shared ledger, and their EPCIS events."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from chain.site import Folder, SiteReader
from chaincode.lots.records import Balance, LotRecord
from chaincode.lots.unit_records import UnitRecord
from gateway.access import Access, Scope
from gateway.config import Config
from gateway.custody.parts import Custody
from gateway.custody.schema import HandoverState
from gateway.custody.tasks import Task
from gateway.preprocess.gs1 import check_digit
from gateway.server import running
from gateway.service import Gateway
from tests.support.mosquitto import quiet_port

CONTEXT = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
ID = "https://id.gs1.org"
GTIN = "09520002000019"
DEADLINE_S = 20.0
T = TypeVar("T")
NAMES = {
    "maker": "9520002000002", "wholesaler": "9520004000000", "pharmacy": "9520005000009", "depot": "9520006000008",
}  # fmt: skip


def msp(name: str) -> str:
    return f"{name.title()}MSP"


def pack(number: int, gtin: str = GTIN) -> str:
    return f"{ID}/01/{gtin}/21/S{number:07}"


def packs(first: int, last: int) -> list[str]:
    return [pack(number) for number in range(first, last)]


def lot_uri(lot: str, gtin: str = GTIN) -> str:
    return f"{ID}/01/{gtin}/10/{lot}"


def sscc(number: int) -> str:
    body = f"09520002{number:09}"
    return f"{ID}/00/{body}{check_digit(body)}"


@dataclass(frozen=True)
class Goods:
    """One test's own lot, packs and logistic units."""

    number: int

    @property
    def lot(self) -> str:
        return f"LOT-{self.number}"

    @property
    def lot_uri(self) -> str:
        return lot_uri(self.lot)

    def pack(self, number: int) -> str:
        return pack(10_000 * self.number + number)

    def packs(self, first: int, last: int) -> list[str]:
        return [self.pack(number) for number in range(first, last)]

    def sscc(self, number: int) -> str:
        return sscc(1000 * self.number + number)


@dataclass
class Company:
    """One company's gateway, and its events. All gateways of a test run on one loop, whenever a company waits."""

    name: str
    gateway: Gateway
    runner: asyncio.Runner
    url: str
    token: str = ""
    deadline_s: float = DEADLINE_S
    _minute: int = field(default=0)

    @property
    def custody(self) -> Custody:
        return self.gateway.supply.custody

    @property
    def organisation(self) -> str:
        return msp(self.name)

    @property
    def party(self) -> str:
        return f"{ID}/417/{NAMES[self.name]}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def wait(self, true: Callable[[], Any]) -> None:
        async def until() -> None:
            async with asyncio.timeout(self.deadline_s):
                while not true():
                    await asyncio.sleep(0.01)

        self.run(until())

    def until(self, true: Callable[[], Any]) -> None:
        """As `wait`, for what asks a gateway itself."""
        end = time.monotonic() + self.deadline_s
        while not true():
            assert time.monotonic() < end, "it did not come true in time"
            self.run(asyncio.sleep(0.02))

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """As an operator of the company."""
        if not self.token:
            self.token = self.gateway.access.new_token("operator", frozenset({Scope.OPERATOR}))

        def ask() -> httpx.Response:
            headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
            return httpx.request(method, self.url + path, headers=headers, timeout=20, **more)

        return self.run(asyncio.to_thread(ask))

    def alerts(self, kind: str) -> list[str]:
        with closing(SiteReader.open(self.gateway.folder)) as reader:
            return [alert.text for alert in reader.notices.alerts(limit=10_000) if alert.kind == kind]

    # -- events

    def capture(self, kind: str, step: str | None, action: str | None = None, **members: Any) -> int:
        """One event through the pipeline; the index of its record."""
        return self.capture_all([self.event(kind, step, action, **members)])[0]

    def event(self, kind: str, step: str | None, action: str | None = None, **members: Any) -> bytes:
        self._minute += 1
        given = {"bizStep": step, "action": action, "readPoint": {"id": f"{ID}/414/{NAMES[self.name]}"}}
        moment = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(
            minutes=self._minute % 1440, seconds=self._minute // 1440
        )
        when = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        named = {name: value for name, value in given.items() if value}
        body: dict[str, Any] = {
            "@context": CONTEXT, "type": kind, "eventTime": when, "eventTimeZoneOffset": "+00:00", **named, **members,
        }  # fmt: skip
        return json.dumps(body).encode()

    def capture_all(self, payloads: Sequence[bytes]) -> list[int]:
        own = self.gateway.supply.ground.own_log("epcis-capture", "epcis")
        return self.run(own.append_all(payloads))

    def commissioned(self, things: Sequence[str], lot: str, expiry: str = "2028-12-31") -> int:
        return self.capture("ObjectEvent", "commissioning", "ADD", epcList=list(things),
                            ilmd={"cbvmda:lotNumber": lot, "cbvmda:itemExpirationDate": expiry})  # fmt: skip

    def amount_made(self, uri: str, quantity: float, uom: str | None = None) -> int:
        return self.capture("ObjectEvent", "commissioning", "ADD", quantityList=[amount(uri, quantity, uom)])

    def packed(self, parent: str, things: Sequence[str], action: str = "ADD", **members: Any) -> int:
        step = "packing" if action == "ADD" else "unpacking"
        return self.capture("AggregationEvent", step, action, parentID=parent, childEPCs=list(things), **members)

    def shipped(self, to: "Company", things: Sequence[str], **members: Any) -> int:
        return self.capture("ObjectEvent", "shipping", "OBSERVE", epcList=list(things), **between(self, to), **members)

    def received(self, sender: "Company", things: Sequence[str], step: str = "receiving", **members: Any) -> int:
        return self.capture("ObjectEvent", step, "OBSERVE", epcList=list(things), **between(sender, self), **members)

    def ended(self, things: Sequence[str], step: str = "dispensing", disposition: str = "dispensed") -> int:
        return self.capture("ObjectEvent", step, "DELETE", epcList=list(things), disposition=disposition)

    # -- what came of it

    def settle(self) -> None:
        """Everything that is logged was taken, and everything that can be told the ledger was told."""
        self.wait(self._settled)

    def _settled(self) -> bool:
        keeping, handovers = self.custody.keeping, self.custody.handovers
        assert not keeping.problem, keeping.problem
        assert not handovers.problem, handovers.problem
        return keeping.idle and handovers.idle

    def tasks(self, leaf: int) -> list[Task]:
        return self.custody.tasks.of_record(leaf)

    def evaluate(self, function: str, *args: bytes) -> bytes:
        return self.run(self.gateway.ledger.evaluate(function, *args))

    def unit(self, uri: str) -> UnitRecord:
        return UnitRecord.decode(self.evaluate("lots.unit", self.custody.units.id_of(uri)))

    def lot(self, uri: str) -> LotRecord:
        return LotRecord.decode(self.evaluate("lots.get", self.custody.units.id_of(uri)))

    def balance(self, uri: str) -> Balance:
        lot_id = self.custody.units.id_of(uri)
        return Balance.decode(self.evaluate("lots.balance", lot_id, self.organisation.encode()))


def kept(company: Company, *units: str) -> None:
    """The hand-over of these units came, and was taken."""
    book = company.custody.book
    taken = (HandoverState.KEPT, HandoverState.RECEIVED)
    company.wait(
        lambda: set(units) <= {u for one in book.page(2**63 - 1, 1000) if one.state in taken for u in one.units}
    )


def states(company: Company, leaf: int) -> list[tuple[str, str, str]]:
    """What the event of this record led to: name, state and code."""
    return [(task.name, task.state.name.lower(), task.code) for task in company.tasks(leaf)]


def amount(uri: str, quantity: float, uom: str | None = None) -> dict[str, Any]:
    return {"epcClass": uri, "quantity": quantity} | ({"uom": uom} if uom else {})


def between(sender: Company, recipient: Company) -> dict[str, Any]:
    return {
        "sourceList": [{"type": "possessing_party", "source": sender.party}],
        "destinationList": [{"type": "possessing_party", "destination": recipient.party}],
    }  # fmt: skip


@contextmanager
def companies(
    root: Path, *names: str, deadline_s: float = DEADLINE_S, profiles: Mapping[str, Path] | None = None, **settings: Any
) -> Iterator[list[Company]]:  # fmt: skip
    """Their gateways run with REST; each has the others as partners. With connection profiles by MSP id the ledger
    is Fabric."""
    ports = {name: quiet_port() for name in names}
    for name in names:
        access = Access(Folder.create(root / name, f"{name}.example/gw"))
        for other in names:
            file = root / f"{other}-at-{name}.token"
            file.write_text(access.new_token(msp(other), frozenset({Scope.PARTNER})))
            file.chmod(0o600)
        access.close()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            ledgers = {name: _ledger(root, name, profiles) for name in names}
            made = [runner.run(_start(stack, runner, root, name, ports, ledgers[name] | settings)) for name in names]
            for company in made:
                company.deadline_s = deadline_s
            yield made
        finally:
            runner.run(stack.aclose())


def _ledger(root: Path, name: str, profiles: Mapping[str, Path] | None) -> dict[str, Any]:
    if profiles is not None:
        return {"ledger": "fabric", "fabric": {"profile": profiles[msp(name)]}}
    return {"shared_ledger": {"name": "trade.example/ledger", "folder": root / "ledger", "organisation": msp(name)}}


async def _start(
    stack: AsyncExitStack, runner: asyncio.Runner, root: Path, name: str, ports: dict[str, int],
    settings: dict[str, Any],
) -> Company:  # fmt: skip
    partners = [
        {"organisation": msp(other), "parties": [NAMES[other]], "url": f"http://127.0.0.1:{port}",
         "token_file": root / f"{name}-at-{other}.token"}
        for other, port in ports.items() if other != name
    ]  # fmt: skip
    config = Config.model_validate({
        "origin": f"{name}.example/gw", "data": root / name, "front_door": {"port": 0}, "api": {"port": ports[name]},
        "log": {"checkpoint_interval_s": 3600, "anchor_interval_s": 3600}, "delivery": {"retry_max_s": 0.1},
        "partners": partners, **settings,
    })  # fmt: skip
    started = await stack.enter_async_context(running(config))
    return Company(name, started.gateway, runner, started.url)
