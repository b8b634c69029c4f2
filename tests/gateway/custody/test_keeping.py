"""From EPCIS events to the ledger: what is made, packed, opened, shipped, ended; and what is refused and why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.custody.schema import TaskState
from tests.gateway.custody.goods import Company, companies, lot_uri, pack, packs, sscc

LOT = lot_uri("LOT-1")


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[Company]:
    with companies(tmp_path, "maker", "wholesaler") as (maker, _):
        yield maker


def test_a_lot_is_closed_by_its_amount_packed_and_opened(maker: Company) -> None:
    maker.amount_made(LOT, 12)
    maker.commissioned(packs(0, 6), "LOT-1")
    cases, pallet = [sscc(1), sscc(2)], sscc(3)
    maker.packed(cases[0], packs(0, 4))
    maker.packed(pallet, cases)
    maker.settle()
    assert maker.custody.tasks.counts()["done"] == 0  # the lot is not whole
    maker.commissioned(packs(6, 12), "LOT-1")
    maker.settle()
    record = maker.lot(LOT)
    assert (record.count, record.serialised, record.maker) == (12, True, "MakerMSP")
    assert record.expiry_day == 21549
    maker.packed(cases[0], packs(4, 6))
    maker.packed(cases[1], packs(6, 12))
    leaf = maker.ended([pack(5)], "decommissioning", "damaged")
    maker.settle()
    assert [(task.name, task.state) for task in maker.tasks(leaf)] == [("decommission", TaskState.DONE)]
    assert (maker.balance(LOT).count, maker.balance(LOT).decommissioned) == (11, 1)
