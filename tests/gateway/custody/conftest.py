"""Companies whose gateways run for all tests of a module: each test has lots and units of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.gateway.custody.goods import Company, Goods, companies

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
