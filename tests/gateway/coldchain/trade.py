"""Companies on one ledger, each with a real gateway, on one event loop; and loggers on a truck."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaincode.coldchain.policy import Direction, Limit, Policy
from chaincode.coldchain.records import Progress, Shipment
from gateway.access import SeriesLimits, SourceSettings
from gateway.coldchain.shipping_order import Opening, WantedLogger
from tests.support.site import Site
from tests.support.source import Source, message

LEDGER = {"name": "trade.example/ledger"}
SERIES = "truck:temperature"
LIMITS = (Limit(Direction.BELOW, 2_000), Limit(Direction.ABOVE, 8_000))
POLICY = Policy("test", LIMITS, calibration_days=None)
COLD = SourceSettings(limits=(SeriesLimits("", "Cel", 2.0, 8.0),))
DEADLINE_S = 20.0


def now_us() -> int:
    return time.time_ns() // 1000


class OneLoop:
    """A runner that several sites share, so that all of them go on while one of them is asked."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def close(self) -> None:
        """A site closes it; whoever made it ends it."""

    def end(self) -> None:
        self._runner.close()


@dataclass
class Truck:
    """A logger that reports to its carrier's gateway."""

    site: Site
    source: Source

    def reads(self, celsius: float, at_us: int | None = None) -> None:
        """One reading, on disk when this returns."""
        time_s = (now_us() if at_us is None else at_us) / 1e6
        event = self.source.event([{"n": SERIES, "u": "Cel", "v": celsius, "t": time_s}], sensed_us=now_us())
        self.site.send(self.source, message([event], self.source.seal(signed_us=now_us())), received_us=now_us())


def truck(carrier: Site, name: str = "truck", settings: SourceSettings = COLD) -> Truck:
    return Truck(carrier, carrier.enrol(name, settings))


def opened(shipper: Site, carrier: Site, recipient: str, policy: Policy = POLICY, **more: Any) -> Shipment:
    """The shipper opens a shipment whose logger is the carrier's truck; the carrier's gateway has heard of it."""
    units = [secrets.token_hex(32) for _ in range(2)]
    wanted = Opening(policy, recipient, [WantedLogger("truck", SERIES)], units, carrier.folder.origin, **more)
    shipment: Shipment = shipper.run(shipper.gateway.supply.cold.open(wanted, "tests"))
    carrier.wait(lambda: carrier.gateway.supply.cold.concerns(shipment.shipment_id))
    return shipment


def progress(at: Site, shipment: Shipment) -> Progress:
    return at.run(at.gateway.supply.cold.view.shipment(shipment.shipment_id))[1]


def until(at: Site, shipment: Shipment, true: Callable[[Progress], Any], within_s: float = DEADLINE_S) -> Progress:
    """Wait for a state of the shipment on the ledger, as `at` sees it."""

    async def wait() -> Progress:
        async with asyncio.timeout(within_s):
            while not true(found := (await at.gateway.supply.cold.view.shipment(shipment.shipment_id))[1]):
                await asyncio.sleep(0.01)
            return found

    return at.run(wait())


@contextmanager
def trade(root: Path, *names: str, site: type[Site] = Site, **settings: dict[str, Any]) -> Iterator[list[Any]]:
    """Gateways of these companies; `settings` by name."""
    loop = OneLoop()
    try:
        with ExitStack() as stack:
            sites = []
            for name in names:
                shared = LEDGER | {"folder": root / "ledger", "organisation": name.title()}
                more = {"coldchain": {"report_for": [other.title() for other in names]}} | settings.get(name, {})
                made = site(root / name, origin=f"{name}.example/gw", shared_ledger=shared, **more)
                made._runner.close()
                made._runner = loop  # type: ignore[assignment]
                sites.append(stack.enter_context(made))
            yield sites
    finally:
        loop.end()
