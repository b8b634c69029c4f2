"""Goods go from one company to the next, with secrets, history and proofs; and back come answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.custody.schema import HandoverState, TaskState
from tests.gateway.custody.goods import Company, companies, lot_uri, pack, packs, sscc

LOT = lot_uri("LOT-1")
Trade = list[Company]


@pytest.fixture
def trade(tmp_path: Path) -> Iterator[Trade]:
    with companies(tmp_path, "maker", "wholesaler", "pharmacy") as made:
        yield made


def test_from_maker_to_patient(trade: Trade) -> None:
    maker, wholesaler, pharmacy = trade
    maker.commissioned(packs(0, 20), "LOT-1")
    cases, pallet = [sscc(1), sscc(2)], sscc(3)
    maker.packed(cases[0], packs(0, 10))
    maker.packed(cases[1], packs(10, 20))
    maker.packed(pallet, cases)
    maker.shipped(wholesaler, [pallet])
    maker.settle()
    kept(wholesaler)
    wholesaler.received(maker, [pallet])
    wholesaler.settle()
    assert wholesaler.unit(pallet).custodian == "WholesalerMSP"
    wholesaler.shipped(pharmacy, [cases[1]])
    wholesaler.settle()
    kept(pharmacy)
    pharmacy.received(wholesaler, [cases[1]])
    leaf = pharmacy.ended([pack(12)])
    pharmacy.settle()
    assert [(task.name, task.state, task.reason) for task in pharmacy.tasks(leaf)] == [
        ("unpack", TaskState.DONE, ""), ("dispense", TaskState.DONE, ""),
    ]  # fmt: skip
    assert (pharmacy.balance(LOT).count, pharmacy.balance(LOT).dispensed) == (9, 1)
    maker.wait(lambda: maker.custody.book.page(2**63 - 1, 1)[0].state is HandoverState.ARRIVED)


def kept(company: Company, count: int = 1) -> None:
    """So many hand-overs came, and were taken."""
    company.wait(lambda: len(company.custody.book.in_state(HandoverState.KEPT)) >= count)
