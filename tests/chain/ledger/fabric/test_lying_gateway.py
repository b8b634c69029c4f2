"""A gateway peer that swaps the transaction or the endorsements before the client signs is found out."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric import protos
from chain.ledger.fabric.errors import LyingPeerError
from chain.ledger.fabric.gateway import messages
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_identity
from tests.chain.ledger.fabric.proxy import Forward, proxied
from tests.chain.ledger.fabric.small_network import SmallNetwork, is_query
from tests.chain.ledger.fabric.test_evidence import _edit_answer, _edit_argument, _edited, _payload_edited

pytestmark = pytest.mark.fabric
Lie = Callable[[bytes], bytes]


def _lying(net: SmallNetwork, lie: Lie, match: str) -> None:
    """Submit through a peer that changes the prepared payload: an error that says so, and nothing was submitted."""

    async def act() -> None:
        async with proxied(net) as (proxy, profile):

            async def hook(name: str, request: bytes, forward: Forward, context: Any) -> bytes:
                answer = await forward()
                if name != "Endorse":
                    return answer
                response = messages.EndorseResponse.FromString(answer)
                response.prepared_transaction.payload = lie(response.prepared_transaction.payload)
                return bytes(response.SerializeToString())

            proxy.hook = hook
            async with FabricLedger(profile, is_query=is_query) as ledger:
                with pytest.raises(LyingPeerError, match=match):
                    await ledger.submit("put", b"lied", b"truth")
            assert len(proxy.named("Endorse")) == 1
            assert proxy.named("Submit") == []

    asyncio.run(act())


def test_an_honest_proxy_passes(small: SmallNetwork) -> None:
    async def act() -> None:
        async with proxied(small) as (proxy, profile), FabricLedger(profile, is_query=is_query) as ledger:
            assert (await ledger.submit("put", b"proxied", b"1")).result == b"1"
            assert len(proxy.named("Submit")) == 1

    asyncio.run(act())


def test_altered_arguments(small: SmallNetwork) -> None:
    _lying(small, lambda payload: _payload_edited(payload, _edit_argument), "answered another proposal")


def test_altered_result(small: SmallNetwork) -> None:
    edit = lambda action: _edit_answer(action, "payload", b"lie")  # noqa: E731
    _lying(small, lambda payload: _payload_edited(payload, edit), "signature does not verify")


def test_dropped_endorsement(small: SmallNetwork) -> None:
    def drop(action: Any) -> None:
        del action.action.endorsements[1:]

    _lying(small, lambda payload: _payload_edited(payload, drop), "2 organisations must endorse")


def test_another_transaction(small: SmallNetwork) -> None:
    """One that is whole and properly endorsed, but is not what this client asked for now."""
    kept: list[bytes] = []

    async def prepare() -> None:
        async with proxied(small) as (proxy, profile):

            async def keep(name: str, request: bytes, forward: Forward, context: Any) -> bytes:
                answer = await forward()
                if name == "Endorse":
                    kept.append(messages.EndorseResponse.FromString(answer).prepared_transaction.payload)
                return answer

            proxy.hook = keep
            async with FabricLedger(profile, is_query=is_query) as ledger:
                await ledger.submit("put", b"lied", b"earlier")

    asyncio.run(prepare())
    _lying(small, lambda _: kept[0], "another proposal than the one that was sent")


def test_endorsed_by_a_client(small: SmallNetwork) -> None:
    """Signed in earnest by a member of the right organisation, who is no peer."""
    identity = read_identity(small.write_profile("Org2"))

    def forge(action: Any) -> None:
        _edit_answer(action, "payload", b"lie")
        for endorsement in action.action.endorsements:
            endorsement.endorser = identity.creator
            endorsement.signature = identity.sign(action.action.proposal_response_payload + identity.creator)

    _lying(small, lambda payload: _payload_edited(payload, forge), "is no peer of Org2MSP")


def test_endorsed_by_peers_of_a_strange_ca(small: SmallNetwork, tmp_path: Path) -> None:
    """Signed in earnest by peers with the right names, from another CA that calls itself the same."""
    from chain.ledger.fabric.profile import Identity
    from crypto.x509_ecdsa import EcdsaSigner

    twin = small.twin_peers(tmp_path)

    def identity(org: str) -> Identity:
        msp = twin / f"peerOrganizations/{org.lower()}.test/peers/peer0.{org.lower()}.test/msp"
        pem = next((msp / "signcerts").iterdir()).read_bytes()
        signer = EcdsaSigner.from_pem(next((msp / "keystore").iterdir()).read_bytes())
        creator = protos.identities.SerializedIdentity(mspid=f"{org}MSP", id_bytes=pem)
        return Identity(creator.SerializeToString(), signer.sign)

    def forge(action: Any) -> None:
        _edit_answer(action, "payload", b"lie")
        for endorsement, org in zip(action.action.endorsements, ("Org1", "Org2"), strict=True):
            peer = identity(org)
            endorsement.endorser = peer.creator
            endorsement.signature = peer.sign(action.action.proposal_response_payload + peer.creator)

    _lying(small, lambda payload: _payload_edited(payload, forge), "does not lead to a pinned root")


def test_an_altered_header(small: SmallNetwork) -> None:
    def later(header: Any) -> None:
        header.timestamp.seconds += 3600

    def alter(payload: Any) -> None:
        payload.header.channel_header = _edited(protos.common.ChannelHeader, payload.header.channel_header, later)

    _lying(small, lambda payload: _edited(protos.common.Payload, payload, alter), "answered another proposal")
