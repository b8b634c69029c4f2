"""Readings in memory: bounded for each shipment and for all, read once, and figures made of them now and then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.site import SiteReader
from chaincode.coldchain.records import Logger, Shipment
from chaincode.evidence import EvidenceRef
from gateway.coldchain import collector, reporting
from gateway.coldchain.collector import Collector, Room, first_leaf_since
from gateway.coldchain.errors import ShipmentError
from gateway.coldchain.reporting import Reporter
from tests.gateway.api.site import MINUTE_US, ORIGIN, START_US, Site
from tests.gateway.coldchain.trade import POLICY, opened, trade, truck, until

READINGS = 100


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteReader]:
    """Of a site with a hundred readings of one logger."""
    made = Site(tmp_path_factory.mktemp("collecting") / "site")
    made.readings(made.device("truck"), [4.0] * READINGS)
    found = SiteReader.open(made.folder)
    yield found
    found.close()
    made.close()


def _collector(room: Room) -> Collector:
    logger = Logger(f"{ORIGIN}#truck", "urn:dev:ops:cold-1:temperature")
    evidence = EvidenceRef(ORIGIN, 0, bytes(32))
    shipment = Shipment(
        bytes(32), POLICY.id, "Maker", ORIGIN, "Carrier", "Pharmacy", START_US, (logger,), (), evidence, START_US, "tx"
    )
    return Collector(shipment, POLICY, 0, room)


def _size(reader: SiteReader) -> int:
    return reader.entries.size()


def test_a_shipment_of_too_many_readings_keeps_none_however_often_it_is_tried(
    reader: SiteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "MAX_SAMPLES", READINGS // 2)
    room = Room()
    one, read = _collector(room), list[int]()
    monkeypatch.setattr(one, "_read", lambda *given, _read=one._read: read.append(1) or _read(*given))
    for _ in range(5):
        with pytest.raises(ShipmentError, match="over 50 readings"):
            one.collect(reader, _size(reader))
        assert (one._sorter.samples, one.end, room.free) == ([[]], 0, Room().free)
    assert len(read) == 1  # it is not read again in vain


def test_all_shipments_share_the_room(reader: SiteReader) -> None:
    room = Room(READINGS * 5 // 2)
    first, second, small = _collector(room), _collector(room), _collector(room)
    assert len(first.collect(reader, _size(reader))) == READINGS
    for _ in range(3):
        with pytest.raises(ShipmentError, match="fill their room"):
            second.collect(reader, _size(reader))
    assert room.free == READINGS * 3 // 2
    # A small one finds room beside the large ones.
    assert len(small.collect(reader, READINGS // 2)) == READINGS // 2
    small.drop()
    first.drop()
    assert len(second.collect(reader, _size(reader))) == READINGS  # each once
    assert len(second._sorter.samples[0]) == READINGS
    assert second.collect(reader, _size(reader)) == []
    second.drop()
    assert room.free == READINGS * 5 // 2


def test_a_fault_while_reading_leaves_no_reading_twice(reader: SiteReader, monkeypatch: pytest.MonkeyPatch) -> None:
    one, size = _collector(Room()), _size(reader)
    add, left = one._sorter.add, [READINGS // 2]

    def failing(*given: object) -> int:
        left[0] -= 1
        if not left[0]:
            raise OSError("a disk that fails once")
        return add(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(one._sorter, "add", failing)
    with pytest.raises(OSError, match="fails once"):
        one.collect(reader, size)
    assert len(one.collect(reader, size)) == READINGS


def test_a_clock_that_was_set_back_hides_no_entry(tmp_path: Path) -> None:
    made = Site(tmp_path / "site")
    device = made.device("truck")
    for at in (0, 10, 30, 20, 21, 40):  # minutes
        made.readings(device, [4.0], START_US + at * MINUTE_US)
    with_times = SiteReader.open(made.folder)
    try:
        times = [collector._logged_us(one) for one in with_times.entries.entries(0, _size(with_times))]
        assert times != sorted(times)
        for at_us in times:
            first = first_leaf_since(with_times, at_us)
            assert all(time_us < at_us for time_us in times[:first])
            assert times[first] >= at_us
    finally:
        with_times.close()
        made.close()


def test_many_readings_are_looked_at_without_figures_and_one_outside_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[int]()
    report = Reporter._report
    monkeypatch.setattr(reporting, "REST", 1e9)  # as if figures took very long
    monkeypatch.setattr(Reporter, "_report", lambda self, *given: made.append(1) or report(self, *given))
    with trade(tmp_path, "carrier") as (carrier,):
        logger = truck(carrier)
        shipment = opened(carrier, carrier, "Pharmacy")
        watched = carrier.gateway.supply.cold._watching._watched[shipment.shipment_id]
        for n in range(1, 6):
            logger.reads(5.0)
            carrier.wait(lambda n=n: watched.reporter and len(watched.reporter._collector._sorter.samples[0]) == n)
        assert len(made) == 1
        logger.reads(9.5)
        until(carrier, shipment, lambda p: p.held, reporting.LONGEST_REST_S / 2)
        assert len(made) == 2  # that of the report
