"""Two companies hand goods over on a real Fabric channel, each by its own gateway and peer, from EPCIS events alone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chain.site import Folder
from gateway.custody.schema import HandoverState, TaskState
from gateway.joining import admit, read_request, write_request
from tests.contract_suite.actors import Actor
from tests.gateway.custody.goods import Company, companies, lot_uri, pack, packs, sscc
from tests.gateway.fabric.conftest import DEPOT
from tests.network.networks import RunningNetwork

pytestmark = pytest.mark.fabric
LOT = lot_uri("LOT-1")


@pytest.fixture
def trade(channel: RunningNetwork, depot: Actor, tmp_path: Path) -> Iterator[list[Company]]:
    folder = Folder.create(tmp_path / "depot", "depot.example/gw")
    request = read_request(write_request(folder.root, folder.origin, folder.gateway_key(create=True)))

    async def admitted() -> None:
        async with FabricLedger(read_profile(channel.profiles[DEPOT]), depot.key) as ledger:
            await admit(ledger, request)

    asyncio.run(admitted())
    with companies(tmp_path, "maker", "depot", deadline_s=60, profiles=channel.profiles) as made:
        yield made


def test_custody_follows_the_events_of_two_companies(trade: list[Company]) -> None:
    maker, depot = trade
    maker.commissioned(packs(0, 4), "LOT-1")
    cases = [sscc(1), sscc(2)]
    for i, unit in enumerate(cases):
        maker.packed(unit, packs(2 * i, 2 * i + 2))
    maker.shipped(depot, cases)
    depot.received(maker, cases)  # before the hand-over came: it waits for that
    maker.wait(lambda: maker.custody.book.page(2**63 - 1, 1)[0].state is HandoverState.ARRIVED)
    leaf = depot.ended([pack(3)])
    depot.settle()
    assert [(task.name, task.state, task.reason) for task in depot.tasks(leaf)] == [
        ("unpack", TaskState.DONE, ""), ("dispense", TaskState.DONE, ""),
    ]  # fmt: skip
    assert (depot.balance(LOT).count, depot.balance(LOT).dispensed) == (1, 1)
    assert maker.unit(cases[0]) == depot.unit(cases[0])
    assert depot.unit(cases[0]).custodian == DEPOT
