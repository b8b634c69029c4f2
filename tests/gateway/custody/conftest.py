"""Companies whose gateways run for all tests of a module: each test has lots and units of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from gateway.custody.handover.format import Part
from tests.gateway.custody.goods import Company, Goods, companies, kept
from tests.gateway.custody.handing import parts_of

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Company]]:
    """Maker, wholesaler and pharmacy on one ledger."""
    with companies(
        tmp_path_factory.mktemp("trade"), "maker", "wholesaler", "pharmacy", custody={"data_wait_s": 0.2}
    ) as made:  # fmt: skip
        yield made


@pytest.fixture
def goods() -> Goods:
    """Names of goods that no other test has."""
    return Goods(next(_NUMBERS))


@pytest.fixture
def shipment(trade: list[Company], goods: Goods) -> list[Part]:
    """The parts of a true hand-over to the wholesaler, under an id that did not come yet."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 4), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 4))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.settle()
    kept(wholesaler, goods.sscc(1))
    return parts_of(maker, goods.sscc(1))
