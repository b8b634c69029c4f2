"""Many gateways on one channel do not get into each other's way: no transaction of theirs ever conflicts."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric import protos
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chain.ledger.fabric.proposal import make_proposal
from chaincode.log_records import AnchorAnswer, AnchorStatus
from tests.contract_suite.actors import Actor, MemoryLog, admitted, log_signers
from tests.gateway.fabric.conftest import DEPOT
from tests.network.networks import RunningNetwork
from tests.torture.scale import scaled

pytestmark = pytest.mark.fabric
GATEWAYS, ANCHORS = scaled(12, 50), 4
FILTER = 2  # common.BlockMetadataIndex: validation codes, one byte a transaction


async def _anchors(ledger: FabricLedger, log: MemoryLog) -> None:
    """One in flight, as a gateway does it."""
    for size in range(1, ANCHORS + 1):
        answer = await ledger.submit("logs.anchor", *log.anchor(size - 1, size))
        assert AnchorAnswer.decode(answer.result).status is AnchorStatus.ANCHORED


async def _codes(ledger: FabricLedger, number: int) -> list[int]:
    identity, name = ledger._identity, ledger._profile.channel
    query = make_proposal(identity, name, "qscc", [b"GetBlockByNumber", name.encode(), str(number).encode()])
    block: Any = protos.common.Block.FromString(await ledger._gateway.evaluate(query))
    return list(block.metadata.metadata[FILTER])


def test_many_gateways_anchor_at_once_without_a_conflict(channel: RunningNetwork, depot: Actor) -> None:
    async def act() -> None:
        profile = read_profile(channel.profiles[DEPOT])
        log = MemoryLog(depot.origin, log_signers(depot.origin))
        async with FabricLedger(profile, depot.key) as ledger:
            opened = await ledger.submit("logs.register", depot.origin.encode(), *log.vkeys())
            gateways = await asyncio.gather(*(admitted(ledger, f"many.example/{number}") for number in range(GATEWAYS)))
            ledgers = [FabricLedger(profile, actor.key) for actor, _ in gateways]
            try:
                work = zip(ledgers, gateways, strict=True)
                await asyncio.gather(*(_anchors(one, log) for one, (_, log) in work))
            finally:
                await asyncio.gather(*(one.close() for one in ledgers))
            last = await ledger.submit("logs.anchor", *log.anchor(0, 1))
            blocks = range(opened.index >> 20, (last.index >> 20) + 1)
            codes = [code for number in blocks for code in await _codes(ledger, number)]
        assert len(codes) == GATEWAYS * (2 + ANCHORS) + 2
        assert set(codes) == {protos.transaction.VALID}

    asyncio.run(act())
