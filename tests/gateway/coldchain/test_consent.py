"""Whose shipments a gateway reports by itself: nobody publishes our temperatures, or fills our memory, by naming us."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest

from chaincode.coldchain.records import Shipment
from gateway.alarms.alarm import What
from gateway.coldchain.errors import ShipmentError
from gateway.coldchain.shipping_order import Opening, WantedLogger
from tests.gateway.coldchain.test_alarms import served
from tests.gateway.coldchain.trade import POLICY, SERIES, Truck, now_us, opened, progress, trade, truck, until
from tests.support.site import Site

DAY_US = 86_400_000_000


def asked(by: Site, of: Site, recipient: str = "Maker", from_us: int = 0) -> Shipment:
    """A shipment that names a logger of another gateway, which has heard of it when this returns."""
    loggers, units = [WantedLogger("truck", SERIES)], [secrets.token_hex(32)]
    wanted = Opening(POLICY, recipient, loggers, units, of.folder.origin, from_us)
    shipment: Shipment = by.run(by.gateway.supply.cold.open(wanted))
    index = by.gateway.supply.cold.after
    of.wait(lambda: of.gateway.supply.cold.after() >= index())
    return shipment


def _is_watched(at: Site, shipment: Shipment) -> bool:
    return shipment.shipment_id in at.gateway.supply.cold._watching._watched


def _reads_warm(carrier: Site, logger: Truck, shipment: Shipment) -> None:
    """A reading that would be reported at once, and is not."""
    logger.reads(20.0)
    carrier.run(carrier._drain())
    assert not _is_watched(carrier, shipment)
    assert progress(carrier, shipment).seq == 0


def test_a_stranger_does_not_get_our_temperatures_published(tmp_path: Path) -> None:
    with trade(tmp_path, "maker", "carrier", carrier={"coldchain": {}}) as (maker, carrier):
        logger = truck(carrier)
        logger.reads(5.0)
        shipment = asked(maker, carrier)
        # A person hears of it, as an alarm; as often as it asks, once a minute.
        asked(maker, carrier)
        (alert,) = carrier.alerts("unaccepted")
        assert (alert.source, shipment.shipment_id.hex() in alert.text) == ("Maker", True)
        kept = carrier.gateway.supply.alarms._store
        carrier.wait(lambda: any(one.numbers["kind"] == "unaccepted" for one in kept.after(0, 10)))
        _reads_warm(carrier, logger, shipment)

        async def accept() -> int:
            async with served(carrier) as client:
                return (await client.post(f"/v1/shipments/{shipment.shipment_id.hex()}/accept")).status_code

        assert carrier.run(accept()) == 200
        assert until(maker, shipment, lambda p: p.held).seq == 1
        with pytest.raises(ShipmentError, match="reported by carrier"):
            maker.run(maker.gateway.supply.cold.accept(shipment.shipment_id))


def test_a_partner_does_not_get_the_past_published(tmp_path: Path) -> None:
    with trade(tmp_path, "maker", "carrier") as (maker, carrier):
        logger = truck(carrier)
        shipment = asked(maker, carrier, from_us=now_us() - 8 * DAY_US)
        assert len(carrier.alerts("unaccepted")) == 1
        _reads_warm(carrier, logger, shipment)
        opened(maker, carrier, "Maker", from_us=now_us() - 6 * DAY_US)  # is watched when this returns


def test_one_partner_does_not_fill_the_list_of_what_is_watched(tmp_path: Path) -> None:
    bound: dict[str, Any] = {"coldchain": {"report_for": ["Maker"], "max_shipments": 2}}
    with trade(tmp_path, "maker", "carrier", "pharmacy", carrier=bound, pharmacy=bound) as (maker, carrier, pharmacy):
        truck(carrier)
        shipments = [asked(maker, carrier, "Pharmacy") for _ in range(4)]
        assert [_is_watched(carrier, one) for one in shipments] == [True, True, False, False]
        pharmacy.wait(lambda: pharmacy.gateway.supply.cold.after() >= carrier.gateway.supply.cold.after())
        assert [_is_watched(pharmacy, one) for one in shipments] == [True, True, False, False]
        for _ in range(3):
            assert _is_watched(carrier, asked(carrier, carrier))  # what we opened ourselves is not counted


def test_who_receives_a_strangers_goods_watches_without_reporting(tmp_path: Path) -> None:
    with trade(tmp_path, "maker", "carrier", carrier={"coldchain": {}}) as (maker, carrier):
        logger = truck(carrier)
        shipment = asked(maker, carrier, "Carrier")
        assert _is_watched(carrier, shipment)
        logger.reads(20.0)
        carrier.run(carrier._drain())
        assert progress(carrier, shipment).seq == 0
        carrier.run(carrier.gateway.supply.cold.accept(shipment.shipment_id))
        until(carrier, shipment, lambda p: p.held)
        kept = carrier.gateway.supply.alarms._store
        carrier.wait(lambda: any(one.what is What.EXCURSION for one in kept.after(0, 10)))
        carrier.run(asyncio.sleep(0))
