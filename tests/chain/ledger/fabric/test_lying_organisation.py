"""A whole organisation lies: its gateway rewrites its log, and its own peer and contract say yes to it."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.errors import EndorseError
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chain.ledger.fabric.proposal import make_proposal
from chaincode.errors import Code
from chaincode.log_records import AnchoredCheckpoint, AnchorStatus
from network.topology import Chaincode
from tests.chain.ledger.fabric import lying_contract
from tests.chain.ledger.fabric.test_attacks import (
    ANCHOR,
    CARRIER,
    FORGED,
    GATEWAY,
    LOG,
    ORIGIN,
    PLANT,
    Attack,
    _begin,
    _judged,
    _open,
)
from tests.network.chaincode_program import serving
from tests.network.networks import PARTNERS, RunningNetwork, running, topology

pytestmark = pytest.mark.fabric
REWRITTEN = Attack(Code.BAD_PROOF, FORGED.anchor(9, 12))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    assert lying_contract.LIAR == PLANT
    chaincode = Chaincode(command=serving(lying_contract.__name__))
    wanted = msgspec.structs.replace(topology(tmp_path_factory.mktemp("liar")), chaincode=chaincode)
    with running(wanted) as net:
        asyncio.run(_begin(net))
        yield net


async def _require_true_heads(network: RunningNetwork) -> None:
    for peer in PARTNERS:
        async with _open(network, peer, peer) as ledger:
            head = AnchoredCheckpoint.decode(await ledger.evaluate("logs.head", ORIGIN.encode()))
            assert (head.size, head.root) == (9, LOG.checkpoint(9).root)


def test_only_the_liars_own_peer_endorses_the_lie(network: RunningNetwork) -> None:
    judged = {peer: asyncio.run(_judged(network, peer, REWRITTEN)) for peer in PARTNERS}
    assert judged == dict.fromkeys(PARTNERS, Code.BAD_PROOF) | {PLANT: AnchorStatus.ANCHORED}


def test_through_the_gateway_the_others_refuse_it(network: RunningNetwork) -> None:
    """Its own peer says yes, so the contract as the liar has it did not refuse: the others' peers did."""

    async def act() -> None:
        async with FabricLedger(read_profile(network.profiles[PLANT]), GATEWAY.key, patience_s=1.0) as ledger:
            with pytest.raises(EndorseError, match="bad-proof") as caught:
                await ledger.submit(ANCHOR, *REWRITTEN.args)
        assert {peer.msp_id for peer in caught.value.peers} == set(PARTNERS) - {PLANT}
        await _require_true_heads(network)

    asyncio.run(act())


def test_with_its_own_endorsement_alone_it_is_committed_as_invalid(network: RunningNetwork) -> None:
    """The liar's client checks nothing: it signs what its own peer endorsed and hands it to the orderers."""

    async def act() -> None:
        async with _open(network, PLANT, PLANT) as ledger:
            called = (ANCHOR.encode(), *REWRITTEN.args)
            sent = make_proposal(ledger._identity, "sealtrail", "sealtrail", called, GATEWAY.key)
            payload = await ledger._gateway.endorse(sent, [PLANT])
            await ledger._gateway.submit(sent.tx_id, payload)
            code, _ = await ledger._gateway.commit_status(sent.tx_id)
            assert code == "ENDORSEMENT_POLICY_FAILURE"
        await _require_true_heads(network)

    asyncio.run(act())


def test_the_truth_still_passes_beside_the_liar(network: RunningNetwork) -> None:
    async def act() -> None:
        async with _open(network, PLANT, CARRIER, GATEWAY.key) as ledger:
            await ledger.submit(ANCHOR, *LOG.anchor(9, 12))

    asyncio.run(act())
