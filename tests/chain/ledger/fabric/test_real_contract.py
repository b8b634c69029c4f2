"""The project's own contract on its own network: an anchor, and its proof offline."""

import asyncio
from collections.abc import Iterator

import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.evidence import FabricEvidence, verify
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chaincode.errors import Code, ContractError
from chaincode.identity_records import Identity
from chaincode.log_records import AnchorAnswer, AnchorStatus
from crypto.errors import ProofError
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.network.networks import RunningNetwork, running, topology

pytestmark = pytest.mark.fabric
ORIGIN = "plant.example/gw1"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    with running(topology(tmp_path_factory.mktemp("contract"))) as net:
        yield net


def test_an_anchor_and_its_evidence(network: RunningNetwork) -> None:
    gateway, log = Actor("plant/gateway", ORIGIN), MemoryLog(ORIGIN, log_signers(ORIGIN))
    anchor = log.anchor(0, 5)

    async def act() -> None:
        ledger = FabricLedger(read_profile(network.profiles["PlantMSP"]), gateway.key)
        async with ledger:
            enrolled = await ledger.submit("identities.bootstrap", *gateway.bootstrap())
            assert Identity.decode(enrolled.result).organisation == "PlantMSP"
            await ledger.submit("logs.register", ORIGIN.encode(), *log.vkeys())
            anchored = await ledger.submit("logs.anchor", *anchor)
            assert AnchorAnswer.decode(anchored.result).status is AnchorStatus.ANCHORED
            stranger = Actor("nobody", ORIGIN).key
            with pytest.raises(ContractError) as caught:
                await ledger.as_caller(stranger).submit("logs.anchor", *log.anchor(5, 6))
            assert caught.value.code is Code.NOT_ENROLLED
            evidence = FabricEvidence.decode(await ledger.evidence(anchored.index))
            events = ledger.events(-1)
            names = [(await anext(events)).name for _ in range(3)]
            await events.aclose()  # type: ignore[attr-defined]
            assert names[0] == "identities.enrolled"
        proved = verify(evidence, {evidence.config_header.hash})
        assert len(proved.endorsed_by) >= 2
        assert len(proved.attested_by) >= 2  # the third partner's peer may be a block behind
        assert (proved.transaction.function, proved.transaction.arguments) == ("logs.anchor", tuple(anchor))
        assert proved.transaction.result == anchored.result
        with pytest.raises(ProofError, match="not pinned"):
            verify(evidence, {bytes(32)})

    asyncio.run(act())
