"""Shipments between real gateways on one ledger: excursion, quarantine, release, explanation, silence."""

from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.coldchain.alarms import Cause
from chaincode.errors import Code, ContractError
from tests.gateway.coldchain.trade import POLICY, now_us, opened, progress, trade, truck, watched
from tests.support.site import Site


def test_a_warm_reading_holds_the_goods_until_another_organisation_releases_them(tmp_path: Path) -> None:
    with trade(tmp_path, "maker", "carrier", "wholesaler") as (maker, carrier, wholesaler):
        logger = truck(carrier)
        shipment = opened(maker, carrier, "Wholesaler")
        watched(carrier, shipment)
        logger.reads(5.0)
        logger.reads(9.5)
        all_wait = [maker, carrier, wholesaler]
        for at in all_wait:
            _until_held(at, carrier, shipment.shipment_id)
        found = progress(maker, shipment)
        assert [alarm.finding.cause for alarm in found.alarms] == [Cause.LIMIT]
        # Nobody releases what it reported.
        with pytest.raises(ContractError) as refused:
            carrier.run(carrier.gateway.supply.cold.release(shipment.shipment_id, "it was only the door"))
        assert refused.value.code is Code.FORBIDDEN
        wholesaler.run(wholesaler.gateway.supply.cold.release(shipment.shipment_id, "stability data cover it"))
        assert not progress(maker, shipment).held


def _until_held(at: Site, carrier: Site, shipment_id: bytes) -> None:
    async def held() -> bool:
        return (await at.gateway.supply.cold.view.shipment(shipment_id))[1].held

    import asyncio

    async def wait() -> None:
        async with asyncio.timeout(20):
            while not await held():
                await asyncio.sleep(0.01)

    carrier.run(asyncio.sleep(0.5))
    at.run(wait())
