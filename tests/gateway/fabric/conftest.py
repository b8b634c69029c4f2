"""A real channel of five partners for the gateways of these tests."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from network.topology import Organisation
from tests.contract_suite.actors import Actor
from tests.network.networks import RunningNetwork, running, topology

DEPOT, MAKER = "DepotMSP", "MakerMSP"


@pytest.fixture(scope="package")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """Five organisations, four BFT orderers, the contract. An organisation has one first gateway, so a module that
    begins with one takes an organisation of its own; that of the depot is `depot`, which admits others."""
    wanted = topology(tmp_path_factory.mktemp("channel"))
    organisations = [*wanted.organisations, Organisation(msp_id=DEPOT), Organisation(msp_id=MAKER)]
    with running(msgspec.structs.replace(wanted, organisations=organisations)) as network:
        yield network


@pytest.fixture(scope="package")
def depot(channel: RunningNetwork) -> Actor:
    """The depot's first gateway."""
    pytest.importorskip("grpc", reason="needs the extra 'fabric'")
    from chain.ledger.fabric.ledger import FabricLedger
    from chain.ledger.fabric.profile import read_profile

    first = Actor("depot.example/first", "depot.example/first")

    async def act() -> None:
        async with FabricLedger(read_profile(channel.profiles[DEPOT]), first.key) as ledger:
            await ledger.submit("identities.bootstrap", *first.bootstrap())

    asyncio.run(act())
    return first
