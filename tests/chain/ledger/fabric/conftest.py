"""One small Fabric network for all live tests here."""

from collections.abc import Iterator

import pytest

from tests.chain.ledger.fabric.small_network import SmallNetwork, require_programs, small_network


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNetwork]:
    """Four BFT orderers and two organisations with the chaincode of small_chaincode.py."""
    require_programs()
    with small_network(tmp_path_factory.mktemp("fabric"), "BFT") as net:
        yield net
