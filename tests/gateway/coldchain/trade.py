"""Companies on one ledger, each with a real gateway, and loggers on a truck: for the tests of cold chain and alarms."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaincode.coldchain.policy import Direction, Limit, Policy
from chaincode.coldchain.records import Progress, Shipment
from gateway.access import SeriesLimits, SourceSettings
from gateway.coldchain.opening import Opening, WantedLogger
from tests.support.site import Site
from tests.support.source import Source, message

LEDGER = {"name": "trade.example/ledger"}
SERIES = "truck:temperature"
POLICY = Policy("test", (Limit(Direction.BELOW, 2_000), Limit(Direction.ABOVE, 8_000)), calibration_days=None)
COLD = SourceSettings(limits=(SeriesLimits("", "Cel", 2.0, 8.0),))


def now_us() -> int:
    return time.time_ns() // 1000


def site(root: Path, name: str, **settings: Any) -> Site:
    shared = LEDGER | {"folder": root / "ledger", "organisation": name.title()}
    return Site(root / name, origin=f"{name}.example/gw", shared_ledger=shared, **settings)


@dataclass
class Truck:
    """A logger that reports to its carrier's gateway."""

    site: Site
    source: Source
    sent: list[float] = field(default_factory=list)

    def reads(self, celsius: float, at_us: int | None = None) -> None:
        """One reading, logged when this returns."""
        time_s = (now_us() if at_us is None else at_us) / 1e6
        pack = [{"n": SERIES, "u": "Cel", "v": celsius, "t": time_s}]
        event = self.source.event(pack, sensed_us=now_us())
        self.site.send(self.source, message([event], self.source.seal(signed_us=now_us())), received_us=now_us())
        self.sent.append(celsius)


def truck(carrier: Site, name: str = "truck", settings: SourceSettings = COLD) -> Truck:
    return Truck(carrier, carrier.enrol(name, settings))


def units(count: int = 2) -> list[str]:
    import secrets

    return sorted(secrets.token_hex(32) for _ in range(count))


def opened(shipper: Site, carrier: Site, recipient: str, policy: Policy = POLICY, **more: Any) -> Shipment:
    """The shipper opens a shipment whose logger is the carrier's truck."""
    loggers = [WantedLogger("truck", SERIES)]
    wanted = Opening(policy, recipient, loggers, units(), carrier.folder.origin, **more)
    return shipper.run(shipper.gateway.supply.cold.open(wanted, "tests"))


def progress(at: Site, shipment: Shipment) -> Progress:
    return at.run(at.gateway.supply.cold.view.shipment(shipment.shipment_id))[1]


def watched(at: Site, shipment: Shipment) -> None:
    """The gateway has heard of the shipment and looks at it."""
    at.wait(lambda: shipment.shipment_id in at.gateway.supply.cold._watching._watched)


@contextmanager
def trade(root: Path, *names: str, **settings: dict[str, Any]) -> Iterator[list[Site]]:
    """Gateways of these companies; `settings` by name."""
    with ExitStack() as stack:
        yield [stack.enter_context(site(root, name, **settings.get(name, {}))) for name in names]


def written(body: bytes) -> dict[str, Any]:
    return dict(json.loads(body))
