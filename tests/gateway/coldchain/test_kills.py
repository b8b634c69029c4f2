"""kill −9 at many steps between a reading's log entry and its report: after the next start it is reported, once."""

import pickle
import secrets
from pathlib import Path

from chaincode.coldchain.alarms import Cause
from chaincode.coldchain.records import Shipment
from chaincode.coldchain.report import Report
from crypto.keys import PrivateKey
from gateway.coldchain.shipping_order import Opening, WantedLogger
from tests.gateway.coldchain.trade import POLICY, SERIES, Truck, truck, until
from tests.support.killing import Steps, steps_killed
from tests.support.site import Site
from tests.support.source import Source
from tests.torture.scale import LONG

STRIDE = 1 if LONG else 5
PROGRAM = """
import sys
from pathlib import Path
from tests.gateway.coldchain.test_kills import work
from tests.support.killing import kill_in_copies
kill_in_copies(Path(sys.argv[1]), work, 1, int(sys.argv[2]))
"""


def work(root: Path, steps: Steps) -> None:
    """A gateway with a shipment under way takes a warm reading and reports it; a step before and after each part."""
    from chain.ledger.store import LedgerStore
    from chain.log.checkpoints import Checkpoints
    from gateway.coldchain.collector import Collector
    from gateway.supply.proving import Prover

    with Site(root) as site:
        parts = ((LedgerStore, "submit"), (Collector, "collect"), (Collector, "report"), (Checkpoints, "mark_anchored"))
        for owner, name in (*parts, (Prover, "_build")):
            _stepped(owner, name, steps)
        source, shipment = _kept(root)
        Truck(site, source).reads(9.0)
        until(site, shipment, lambda p: p.held)


def _keep(root: Path, source: Source, shipment: Shipment) -> None:
    numbers = (source.boot, source.seq, source.sealed, source.previous, source.events)
    (root / "kept").write_bytes(pickle.dumps((source.name, source.key.to_pem(), *numbers, shipment.encode())))


def _kept(root: Path) -> tuple[Source, Shipment]:
    name, pem, *numbers, shipment = pickle.loads((root / "kept").read_bytes())
    return Source(name, PrivateKey.from_pem(pem), *numbers), Shipment.decode(shipment)


def _stepped(owner: object, name: str, steps: Steps) -> None:
    inner = getattr(owner, name)

    def outer(*args: object, **more: object) -> object:
        steps()
        made = inner(*args, **more)
        steps()
        return made

    setattr(owner, name, outer)


def test_killed_at_any_step_it_reports_once_and_everything(tmp_path: Path) -> None:
    root = tmp_path / "original"
    with Site(root) as site:
        logger = truck(site)
        wanted = Opening(POLICY, "Pharmacy", [WantedLogger("truck", SERIES)], [secrets.token_hex(32)])
        shipment = site.run(site.gateway.supply.cold.open(wanted))
        logger.reads(5.0)
        site.drain()
    _keep(root, logger.source, shipment)
    last = steps_killed(PROGRAM, root, STRIDE, timeout=900 if LONG else 120)
    killed = range(1, last, STRIDE)
    assert len(killed) >= 2
    for at in killed:
        with Site(tmp_path / f"at-{at}") as site:
            stored = len([record for record in site.records() if record.source == "truck" and record.kind == 1])
            found = until(site, shipment, lambda p, stored=stored: p.held == (stored == 2))
            assert [alarm.finding.cause for alarm in found.alarms] == [Cause.LIMIT] * (stored == 2)
            reported = site.run(site.gateway.supply.cold.view.reports(shipment.shipment_id))
            assert [Report.decode(one.report).seq for one in reported] == list(range(1, found.seq + 1))
            assert found.seq == (stored == 2)  # each alarm was reported once, whatever the kill interrupted
