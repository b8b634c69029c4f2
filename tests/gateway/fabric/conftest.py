"""A real channel of four partners for the gateways of these tests."""

from collections.abc import Iterator

import msgspec
import pytest

from network.topology import Organisation
from tests.network.networks import RunningNetwork, running, topology

DEPOT = "DepotMSP"


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """Four organisations, four BFT orderers, the contract. An organisation has one first gateway, so a module that
    begins with one takes an organisation of its own."""
    wanted = topology(tmp_path_factory.mktemp("channel"))
    organisations = [*wanted.organisations, Organisation(msp_id=DEPOT)]
    with running(msgspec.structs.replace(wanted, organisations=organisations)) as network:
        yield network
