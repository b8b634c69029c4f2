"""Transient data reaches the contract on real peers, and nothing that any node keeps."""

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric import protos
from chain.ledger.fabric.evidence import FabricEvidence, verify
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chain.ledger.fabric.proposal import check_prepared, make_proposal
from crypto.errors import ProofError
from network.topology import Chaincode
from tests.chain.ledger.fabric import transient_contract
from tests.chain.ledger.fabric.test_evidence import _edited, _payload_edited
from tests.network.chaincode_program import serving
from tests.network.networks import RunningNetwork, running, topology

pytestmark = pytest.mark.fabric
SECRET = token_hex(32).encode()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    chaincode = Chaincode(command=serving(transient_contract.__name__))
    wanted = msgspec.structs.replace(topology(tmp_path_factory.mktemp("transient")), chaincode=chaincode)
    with running(wanted) as net:
        yield net


def _ledger(network: RunningNetwork) -> FabricLedger:
    return FabricLedger(read_profile(network.profiles["PlantMSP"]), is_query=lambda _: False)


def _holding(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_the_contract_has_it_and_the_ledger_does_not(network: RunningNetwork) -> None:
    async def act() -> None:
        async with _ledger(network) as ledger:
            done = await ledger.submit("write", b"an argument", transient={"secret": SECRET})
            assert done.result == sha256(SECRET).digest()
            evidence = FabricEvidence.decode(await ledger.evidence(done.index))
            proved = verify(evidence, {evidence.config_header.hash}).transaction
            assert (proved.tx_id, proved.args) == (done.tx_id, (b"write", b"an argument"))

    asyncio.run(act())
    assert _holding(network.topology.folder, b"an argument"), "the search finds what peers keep"
    assert _holding(network.topology.folder, SECRET) == []


def test_a_gateway_peer_cannot_slip_it_into_the_transaction(network: RunningNetwork) -> None:
    """A lying peer puts the transient data into the payload that the client is to sign and publish."""

    def slip(action: Any) -> None:
        action.chaincode_proposal_payload = _edited(
            protos.proposal.ChaincodeProposalPayload,
            action.chaincode_proposal_payload,
            lambda payload: payload.TransientMap.update(secret=SECRET),
        )

    async def act() -> None:
        async with _ledger(network) as ledger:
            sent = make_proposal(ledger._identity, "sealtrail", "sealtrail", [b"write"], None, {"secret": SECRET})
            payload = await ledger._gateway.endorse(sent)
            channel = await ledger._reader.channel()
            assert check_prepared(payload, sent, channel).result == sha256(SECRET).digest()
            with pytest.raises(ProofError, match="answered another proposal"):
                check_prepared(_payload_edited(payload, slip), sent, channel)

    asyncio.run(act())
