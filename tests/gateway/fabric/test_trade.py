"""Two companies on a real Fabric channel, each with its own gateway and peer: goods handed over by events alone, and a
cold chain that the contract finds broken."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.event import Message
from chain.ledger.fabric.kept import KeptProofs
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chain.site import Folder
from chaincode.coldchain.alarms import Cause
from chaincode.coldchain.records import Progress, Shipment
from chaincode.coldchain.state import progress_key, shipment_key
from chaincode.errors import Code, ContractError
from chaincode.identities import enrolment
from crypto import labels
from crypto.keys import Algorithm, PrivateKey
from gateway.coldchain.shipping_order import Opening, WantedLogger
from gateway.custody.schema import HandoverState, TaskState
from gateway.ingest.inbound import Channel, Inbound
from gateway.joining import admit, read_request, write_request
from tests.contract_suite.actors import Actor
from tests.gateway.coldchain.trade import COLD, POLICY, SERIES, now_us
from tests.gateway.custody.goods import Company, companies, lot_uri, pack, packs, sscc
from tests.gateway.fabric.conftest import DEPOT
from tests.network.networks import RunningNetwork
from tests.support.source import Source

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


def truck(company: Company) -> Source:
    """A logger of this company."""
    source = Source("truck", PrivateKey.generate(Algorithm.ED25519))
    public, gateway = source.key.public, company.gateway
    proof = source.key.sign(enrolment(source.name, gateway.folder.origin, public), labels.ENROL)
    company.run(gateway.enrol(gateway.invite(source.name, COLD), str(public.algorithm), public.raw, proof))
    return source


def reads(company: Company, source: Source, celsius: float) -> None:
    now = now_us()
    event = source.event([{"n": SERIES, "u": "Cel", "v": celsius, "t": now / 1e6}], sensed_us=now)
    payload = Message((event,), (source.seal(signed_us=now),)).encode()
    said = Inbound(source.name, True, Channel.EVENTS, "", [payload], len(payload), now, "front", lambda _: None)
    company.gateway.committer.inbox.submit(said)


def progress(company: Company, shipment: Shipment) -> Progress:
    return company.run(company.gateway.supply.cold.view.shipment(shipment.shipment_id))[1]


def test_custody_follows_the_events_of_two_companies(trade: list[Company]) -> None:
    maker, depot = trade
    maker.commissioned(packs(0, 4), "LOT-1")
    cases = [sscc(1), sscc(2)]
    for i, unit in enumerate(cases):
        maker.packed(unit, packs(2 * i, 2 * i + 2))
    maker.shipped(depot, cases)
    depot.received(maker, cases)  # before the hand-over came: it waits for that
    maker.wait(lambda: [one.state for one in maker.custody.book.page(2**63 - 1, 1)] == [HandoverState.ARRIVED])
    leaf = depot.ended([pack(3)])
    depot.settle()
    assert [(task.name, task.state, task.reason) for task in depot.tasks(leaf)] == [
        ("unpack", TaskState.DONE, ""), ("dispense", TaskState.DONE, ""),
    ]  # fmt: skip
    assert (depot.balance(LOT).count, depot.balance(LOT).dispensed) == (1, 1)
    assert maker.unit(cases[0]) == depot.unit(cases[0])
    assert depot.unit(cases[0]).custodian == DEPOT
    warm_on_the_way(maker, depot)


def warm_on_the_way(maker: Company, depot: Company) -> None:
    """The maker's goods on the depot's truck: that one's own report brings them under quarantine."""
    unit = sscc(3)
    maker.commissioned(packs(10, 12), "LOT-2")
    maker.packed(unit, packs(10, 12))
    maker.settle()
    logger = truck(depot)
    wanted = Opening(POLICY, depot.organisation, [WantedLogger("truck", SERIES)], [unit], depot.gateway.folder.origin)
    shipment = maker.run(maker.gateway.supply.cold.open(wanted))
    depot.wait(lambda: depot.gateway.supply.cold.concerns(shipment.shipment_id))
    begun = time.monotonic()
    reads(depot, logger, 9.5)
    while not (found := progress(maker, shipment)).held:
        assert time.monotonic() < begun + maker.deadline_s
    assert [alarm.finding.cause for alarm in found.alarms] == [Cause.LIMIT]
    leaf = maker.shipped(depot, [unit])
    maker.settle()
    assert [task.code for task in maker.tasks(leaf)] == [Code.QUARANTINED]
    with pytest.raises(ContractError, match="another organisation releases"):
        depot.run(depot.gateway.supply.cold.release(shipment.shipment_id, "the door"))
    released = maker.run(maker.gateway.supply.cold.release(shipment.shipment_id, "stability data cover it"))
    # The reporter's site keeps proofs of its shipment, each of the newest that it heard of.
    with closing(KeptProofs(depot.gateway.folder.ledger, readonly=True)) as kept:
        depot.wait(lambda: kept.value(progress_key(shipment.shipment_id)) == released.encode())
        assert kept.value(shipment_key(shipment.shipment_id)) == shipment.encode()
        kept.check()
