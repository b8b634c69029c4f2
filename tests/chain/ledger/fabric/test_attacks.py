"""Lies of a gateway against its log, on a network of three organisations: every organisation's peer refuses each one.

The liar has its own organisation's certificate, keys and peer. What it cannot have is the others' endorsement.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from fabric_protos.common.ledger_pb2 import BlockchainInfo

from chain.ledger.fabric.connection import peer_messages
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chain.ledger.fabric.proposal import make_proposal
from chain.ledger.fabric.transaction import read_transaction
from chain.ledger.interface import Submitted
from chaincode.errors import Code, ContractError
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, AnchorStatus, ForkRecord
from crypto import cbor
from crypto.checkpoint import open_checkpoint
from crypto.keys import Algorithm, PrivateKey
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.network.networks import PARTNERS, RunningNetwork, running, topology

pytestmark = pytest.mark.fabric
PLANT, CARRIER, _ = PARTNERS
ANCHOR = "logs.anchor"
ORIGIN, SECOND, OTHER = "plant.example/gw1", "plant.example/gw2", "carrier.example/gw3"
GATEWAY, STOLEN, CARRIERS = Actor("plant/1", ORIGIN), Actor("plant/2", SECOND), Actor("carrier/1", OTHER)
ROTATED = PrivateKey.generate(Algorithm.ED25519)  # GATEWAY's key before
LOG, STOLENS, CARRIERS_LOG = (MemoryLog(origin, log_signers(origin)) for origin in (ORIGIN, SECOND, OTHER))
FORGED = LOG.fork()


async def _begin(network: RunningNetwork) -> None:
    """Anchored logs of three gateways in two organisations; one gateway has a new key, one is revoked."""
    before = Actor(GATEWAY.name, ORIGIN, ROTATED)
    async with _open(network, PLANT, PLANT, ROTATED) as ledger:
        await ledger.submit("identities.bootstrap", *before.bootstrap())
        await ledger.submit("identities.rotate", *before.rotation(GATEWAY.key, 0))
        first, second = ledger.as_caller(GATEWAY.key), ledger.as_caller(STOLEN.key)
        await first.submit("identities.enrol", *STOLEN.enrolment("gateway"))
        for its, log in ((first, LOG), (second, STOLENS)):
            await its.submit("logs.register", log.origin.encode(), *log.vkeys())
            await its.submit(ANCHOR, *log.anchor(0, 5))
        await first.submit(ANCHOR, *LOG.anchor(5, 9))
        await first.submit("identities.revoke", *STOLEN.revocation(5, b"stolen"))
    async with _open(network, CARRIER, CARRIER, CARRIERS.key) as ledger:
        await ledger.submit("identities.bootstrap", *CARRIERS.bootstrap())
        await ledger.submit("logs.register", OTHER.encode(), *CARRIERS_LOG.vkeys())
        last = await ledger.submit(ANCHOR, *CARRIERS_LOG.anchor(0, 5))
    for peer in PARTNERS:
        async with _open(network, peer, peer) as ledger:
            assert await _event_of(ledger, last) == "logs.anchored"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    with running(topology(tmp_path_factory.mktemp("attacks"))) as net:
        asyncio.run(_begin(net))
        yield net


def _open(network: RunningNetwork, member: str, peer: str, caller: PrivateKey | None = None) -> FabricLedger:
    """The ledger as a member of one organisation sees it through the peer of one organisation and no other."""
    profile = read_profile(network.profiles[member])
    theirs = tuple(node for node in read_profile(network.profiles[peer]).peers if node.msp_id == peer)
    return FabricLedger(msgspec.structs.replace(profile, peers=theirs), caller)


async def _event_of(ledger: FabricLedger, done: Submitted) -> str:
    """The name of this transaction's event, once this peer has its block."""
    async for event in ledger.events(done.index - 1):
        assert event.tx_id == done.tx_id
        return event.name
    raise AssertionError("the events ended")


@dataclass(frozen=True)
class Attack:
    """An anchor with these arguments by the holder of the key `caller`, with a certificate of `member`."""

    expected: str
    args: Sequence[bytes]
    caller: PrivateKey | None = GATEWAY.key
    member: str = PLANT


NOTE, *PROOF = LOG.anchor(9, 12)
FORK = Attack(AnchorStatus.FORK, [FORGED.note(9)])
ATTACKS = {
    "a smaller size": Attack(Code.SMALLER_SIZE, LOG.anchor(5, 7)),
    "a rewritten past": Attack(Code.BAD_PROOF, FORGED.anchor(9, 12)),
    "no proof": Attack(Code.BAD_PROOF, [NOTE]),
    "a proof from another size": Attack(Code.BAD_PROOF, [NOTE, *LOG.proof(5, 12)]),
    "an altered proof": Attack(Code.BAD_PROOF, [NOTE, *PROOF[:-1], bytes(32)]),
    "a fork with one key of two": Attack(Code.BAD_SIGNATURE, [FORGED.note(9, LOG.signers[:1])]),
    "another gateway's log": Attack(Code.NOT_OWNER, CARRIERS_LOG.anchor(5, 6)),
    "another gateway's origin": Attack(Code.NOT_OWNER, MemoryLog(OTHER, log_signers(OTHER)).anchor(5, 6)),
    "a revoked key": Attack(Code.KEY_CLOSED, STOLENS.anchor(5, 6), STOLEN.key),
    "a rotated key": Attack(Code.KEY_CLOSED, [NOTE, *PROOF], ROTATED),
    "a key of nobody": Attack(Code.NOT_ENROLLED, [NOTE, *PROOF], Actor("x", ORIGIN).key),
    "a certificate without a key": Attack(Code.NOT_ENROLLED, [NOTE, *PROOF], None),
    "a key in another organisation": Attack(Code.FORBIDDEN, [NOTE, *PROOF], GATEWAY.key, CARRIER),
}


async def _judged(network: RunningNetwork, peer: str, attack: Attack) -> str:
    """What that organisation's own peer makes of it: the code of its refusal, or the status that it endorses."""
    async with _open(network, attack.member, peer) as ledger:
        called = (ANCHOR.encode(), *attack.args)
        sent = make_proposal(ledger._identity, "sealtrail", "sealtrail", called, attack.caller)
        try:
            payload = await ledger._gateway.endorse(sent, [peer])
        except ContractError as e:
            assert {said.msp_id for said in peer_messages(e.__cause__)} == {peer}  # noqa: PT017 - some are endorsed
            return str(e.code)
        answered = read_transaction(payload)
        assert {one.endorser.msp_id for one in answered.endorsements} == {peer}
        return str(AnchorAnswer.decode(answered.result).status)


async def _submit(network: RunningNetwork, attack: Attack) -> Submitted:
    async with _open(network, attack.member, attack.member, attack.caller) as ledger:
        return await ledger.submit(ANCHOR, *attack.args)


async def _height(network: RunningNetwork) -> int:
    async with _open(network, PLANT, PLANT) as ledger:
        query = make_proposal(ledger._identity, "sealtrail", "qscc", [b"GetChainInfo", b"sealtrail"])
        return int(BlockchainInfo.FromString(await ledger._gateway.evaluate(query)).height)


@pytest.mark.parametrize("name", [*ATTACKS, "a fork"])
@pytest.mark.parametrize("peer", PARTNERS)
def test_every_organisations_peer_judges_alike(network: RunningNetwork, peer: str, name: str) -> None:
    attack = ATTACKS.get(name, FORK)
    assert asyncio.run(_judged(network, peer, attack)) == attack.expected


def test_every_peer_endorses_the_truth(network: RunningNetwork) -> None:
    """Else the refusals might have other reasons."""
    for peer in PARTNERS:
        assert asyncio.run(_judged(network, peer, Attack("", [NOTE, *PROOF]))) == AnchorStatus.ANCHORED


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_refused_leaves_nothing_on_the_channel(network: RunningNetwork, name: str) -> None:
    async def act() -> None:
        before = await _height(network)
        with pytest.raises(ContractError) as caught:
            await _submit(network, ATTACKS[name])
        assert str(caught.value.code) == ATTACKS[name].expected
        assert await _height(network) == before

    asyncio.run(act())


def test_a_fork_commits_as_evidence_on_every_peer(network: RunningNetwork) -> None:
    async def seen(peer: str, done: Submitted) -> None:
        async with _open(network, peer, peer) as ledger:
            assert await _event_of(ledger, done) == "logs.fork"
            (record,) = cbor.decode(await ledger.evaluate("logs.forks", ORIGIN.encode()), 2**20)
            fork, keys = ForkRecord.decode(record), [signer.vkey for signer in LOG.signers]
            notes = [open_checkpoint(note, keys).checkpoint for note in (fork.anchored_note, fork.refused_note)]
            assert notes == [LOG.checkpoint(9), FORGED.checkpoint(9)]
            assert fork.tx_id == done.tx_id
            head = AnchoredCheckpoint.decode(await ledger.evaluate("logs.head", ORIGIN.encode()))
            assert (head.size, head.root) == (9, LOG.checkpoint(9).root)

    async def act() -> None:
        done = await _submit(network, FORK)
        assert AnchorAnswer.decode(done.result).status is AnchorStatus.FORK
        for peer in PARTNERS:
            await seen(peer, done)

    asyncio.run(act())
