"""A real channel of three partners for the gateways of these tests."""

from collections.abc import Iterator

import pytest

from tests.network.networks import RunningNetwork, running, topology


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """Three organisations, four BFT orderers, the contract."""
    with running(topology(tmp_path_factory.mktemp("channel"))) as network:
        yield network
