"""One trade for all tests of lots, as it was in the beginning."""

import pytest

from tests.chaincode.lots.memory_world import Trade


@pytest.fixture(scope="session")
def _trade() -> Trade:
    return Trade()


@pytest.fixture
def trade(_trade: Trade) -> Trade:
    return _trade.again()
