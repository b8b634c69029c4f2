"""Shipments between real gateways on one ledger: excursion, quarantine, release, explanation, silence."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.coldchain.alarms import Cause
from chaincode.coldchain.policy import Limit
from chaincode.coldchain.records import Progress
from chaincode.coldchain.report import Report
from chaincode.errors import Code, ContractError
from gateway.alarms.alarm import What
from tests.gateway.coldchain.trade import LIMITS, POLICY, now_us, opened, progress, trade, truck, until
from tests.support.site import Site


def _refused(at: Site, work: object) -> Code:
    with pytest.raises(ContractError) as refused:
        at.run(work)  # type: ignore[arg-type]
    return refused.value.code


def _causes(found: Progress) -> list[Cause]:
    return [alarm.finding.cause for alarm in found.alarms]


def test_a_warm_reading_holds_the_goods_until_another_organisation_releases_them(tmp_path: Path) -> None:
    with trade(tmp_path, "maker", "carrier", "wholesaler") as (maker, carrier, wholesaler):
        logger = truck(carrier)
        shipment = opened(maker, carrier, "Wholesaler")
        logger.reads(5.0)
        begun = time.monotonic()
        logger.reads(9.5)
        found = until(wholesaler, shipment, lambda p: p.held)
        assert time.monotonic() - begun < 15
        assert _causes(found) == [Cause.LIMIT]
        reported = maker.run(maker.gateway.supply.cold.view.reports(shipment.shipment_id))
        (figures,) = Report.decode(reported[-1].report).loggers
        assert (figures.count, figures.least, figures.most) == (2, 5_000, 9_500)
        # More of the same while it is held is no news; what it came to is on the ledger when it is over.
        logger.reads(9.6)
        time.sleep(1.1)
        logger.reads(5.0)
        until(maker, shipment, lambda p: p.alarms[0].finding.figure >= 2)
        # Nobody releases what it reported.
        assert (
            _refused(carrier, carrier.gateway.supply.cold.release(shipment.shipment_id, "the door")) is Code.FORBIDDEN
        )
        wholesaler.run(wholesaler.gateway.supply.cold.release(shipment.shipment_id, "stability data cover it"))
        assert not progress(maker, shipment).held
        for at, whats in ((maker, 2), (carrier, 2), (wholesaler, 2)):
            at.wait(lambda at=at, whats=whats: len(_alarms(at, shipment.shipment_id)) == whats)
            assert [alarm.what for alarm in _alarms(at, shipment.shipment_id)] == [What.EXCURSION, What.RELEASED]
        # What goes on to be warm after the release is a new excursion.
        logger.reads(9.7)
        until(maker, shipment, lambda p: p.held)


def _alarms(at: Site, shipment_id: bytes) -> list:  # type: ignore[type-arg]
    """Oldest first."""
    found = at.gateway.supply.alarms._store.page(None, 100, pending=False)
    return [alarm for alarm in reversed(found) if alarm.subject == shipment_id.hex()]


def test_what_was_read_before_the_opening_counts_and_what_is_older_does_not(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier") as (carrier,):
        logger = truck(carrier)
        begin = now_us()
        logger.reads(20.0, begin - 3_600_000_000)
        logger.reads(7.0, begin + 1000)
        shipment = opened(carrier, carrier, "Pharmacy", from_us=begin)
        logger.reads(1.5)
        until(carrier, shipment, lambda p: p.held)
        reported = carrier.run(carrier.gateway.supply.cold.view.reports(shipment.shipment_id))
        (figures,) = Report.decode(reported[-1].report).loggers
        assert (figures.count, figures.least, figures.most) == (2, 1_500, 7_000)


def test_missing_readings_are_an_excursion_until_somebody_explained_them(tmp_path: Path) -> None:
    policy = replace(POLICY, gap_s=1, interval_s=60)
    with trade(tmp_path, "maker", "carrier") as (maker, carrier):
        truck(carrier)
        shipment = opened(maker, carrier, "Pharmacy", policy)
        found = until(maker, shipment, lambda p: p.held)
        assert _causes(found) == [Cause.GAP]
        cold = maker.gateway.supply.cold
        assert _refused(maker, cold.release(shipment.shipment_id, "it was cold outside")) is Code.UNEXPLAINED
        by_carrier = carrier.gateway.supply.cold
        carrier.run(by_carrier.explain(shipment.shipment_id, 0, "battery", "the battery was empty", "driver"))
        maker.run(cold.release(shipment.shipment_id, "it was cold outside"))
        assert not progress(maker, shipment).held
        with carrier.reader() as reader:
            texts = [
                dict(reader.payloads.segment_of(leaf).events[0].fields).get("text")  # type: ignore[union-attr]
                for leaf, record in enumerate(carrier.records()) if record.kind == 8
            ]  # fmt: skip
        assert "the battery was empty" in texts


def test_a_reporter_that_falls_silent_is_called_overdue_by_the_others(tmp_path: Path) -> None:
    policy = replace(POLICY, gap_s=2, interval_s=3)
    with trade(tmp_path, "maker", "carrier") as (maker, carrier):
        truck(carrier)
        shipment = opened(maker, carrier, "Maker", policy)
        carrier.run(carrier.gateway.supply.cold.end())  # its watching stops, as if it were switched off
        found = until(maker, shipment, lambda p: Cause.OVERDUE in _causes(p), 15)
        assert found.held
        maker.wait(lambda: any(alarm.what is What.OVERDUE for alarm in _alarms(maker, shipment.shipment_id)))


def test_time_that_is_allowed_is_used_up_without_a_further_reading(tmp_path: Path) -> None:
    policy = replace(POLICY, limits=(LIMITS[0], replace(LIMITS[1], allowed_s=1)))
    assert isinstance(policy.limits[1], Limit)
    with trade(tmp_path, "carrier") as (carrier,):
        logger = truck(carrier)
        shipment = opened(carrier, carrier, "Pharmacy", policy)
        logger.reads(9.0)
        carrier.run(carrier._drain())
        assert not progress(carrier, shipment).held
        found = until(carrier, shipment, lambda p: p.held)
        assert _causes(found) == [Cause.LIMIT]


def test_a_closed_shipment_is_reported_to_its_end_and_no_further(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier", "pharmacy") as (carrier, pharmacy):
        logger = truck(carrier)
        shipment = opened(carrier, carrier, "Pharmacy")
        logger.reads(5.0)
        pharmacy.run(pharmacy.gateway.supply.cold.close(shipment.shipment_id, "tests"))
        found = until(carrier, shipment, lambda p: p.complete)
        assert (found.held, found.alarms) == (False, ())
        assert found.closed is not None
        assert found.through_us == found.closed.at_us
        for at in (carrier, pharmacy):
            at.wait(lambda at=at: at.gateway.supply.cold.concerns(shipment.shipment_id).done)
        count = found.seq
        logger.reads(30.0)
        carrier.run(carrier._drain())
        assert progress(carrier, shipment).seq == count


def test_after_a_restart_it_goes_on_where_the_ledger_is(tmp_path: Path) -> None:
    with trade(tmp_path, "carrier") as (carrier,):
        logger = truck(carrier)
        shipment = opened(carrier, carrier, "Pharmacy")
        logger.reads(5.0)
        source = logger.source
    with trade(tmp_path, "carrier") as (carrier,):
        logger.site, logger.source = carrier, source
        logger.reads(9.0)
        found = until(carrier, shipment, lambda p: p.held)
        assert found.seq == 1
        reported = carrier.run(carrier.gateway.supply.cold.view.reports(shipment.shipment_id))
        assert [Report.decode(one.report).loggers[0].count for one in reported] == [2]
