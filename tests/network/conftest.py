"""A real network for the tests that need one; made once a module, taken down after it."""

from collections.abc import Iterator

import pytest

from tests.network.networks import RunningNetwork, running, topology


@pytest.fixture(scope="module")
def fabric_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """Three partners with a peer each and four BFT orderers, with the contract on the channel."""
    with running(topology(tmp_path_factory.mktemp("fabric"))) as network:
        yield network
