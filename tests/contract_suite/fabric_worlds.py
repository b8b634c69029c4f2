"""Worlds on one real Fabric channel: peers of three organisations endorse, each with its own chaincode server.

One network serves the whole suite, since starting one takes seconds; many_worlds.py keeps the worlds apart.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from chain.ledger.interface import LedgerEvent, Submitted
from chaincode.contract import function_named
from crypto.keys import Algorithm, PrivateKey
from network.topology import Chaincode
from tests.contract_suite import many_worlds
from tests.contract_suite.world import World
from tests.network.chaincode_program import serving
from tests.network.networks import PARTNERS, running, topology

if TYPE_CHECKING:
    from chain.ledger.fabric.ledger import FabricLedger

READY_MADE = 32
CODES = 2  # common.BlockMetadataIndex: validation codes, one byte a transaction


class Channel:
    """The channel of all worlds. Counts what is on it: a refused call must leave nothing there."""

    def __init__(self, open_for: Callable[[str], "FabricLedger"]) -> None:
        """`open_for` opens the channel for an organisation, by its MSP id."""
        self._open_for, self._ledgers = open_for, dict[str, "FabricLedger"]()
        self.ledger = self.of("")
        self.newest = -1, ""  # index and id of the newest transaction that was seen
        self.submitted = 0
        self.conflicts = 0  # calls that were committed as invalid for another's, and sent again
        self._valid: list[bytes] = []  # transactions as they stand in the blocks that were looked at
        self._worlds = self._blocks = self._transactions = 0
        self._started: list[World] = []

    def of(self, organisation: str) -> "FabricLedger":
        """The channel through this organisation's peer; PlantMSP's without a name."""
        msp_id = organisation or PARTNERS[0]
        if msp_id not in self._ledgers:
            self._ledgers[msp_id] = self._open_for(msp_id)
        return self._ledgers[msp_id]

    async def close(self) -> None:
        for ledger in self._ledgers.values():
            await ledger.close()

    async def transactions(self) -> int:
        """How many transactions, valid or not, all blocks hold by now."""
        from fabric_protos.common.common_pb2 import Block
        from fabric_protos.common.ledger_pb2 import BlockchainInfo
        from fabric_protos.peer.transaction_pb2 import MVCC_READ_CONFLICT, VALID

        self.catch_up(self.ledger)
        height = BlockchainInfo.FromString(await self._ask(b"GetChainInfo")).height
        for number in range(self._blocks, height):
            block = Block.FromString(await self._ask(b"GetBlockByNumber", str(number).encode()))
            self._transactions += len(block.data.data)
            codes = block.metadata.metadata[CODES]
            self.conflicts += codes.count(MVCC_READ_CONFLICT)
            self._valid += [one for one, code in zip(block.data.data, codes, strict=True) if code == VALID]
        self._blocks = height
        return self._transactions

    async def _ask(self, function: bytes, *args: bytes) -> bytes:
        reader = self.ledger._reader
        return await self.ledger._gateway.evaluate(reader._query("qscc", function, reader._name.encode(), *args))

    def catch_up(self, ledger: "FabricLedger") -> None:
        """An organisation's peer answers once it has what another's told: the worlds are of one ledger, and not of
        peers that may be a block apart. A gateway knows of others' transactions by its own peer alone."""
        from chain.ledger.fabric.reader import POSITION_BITS

        index, tx_id = self.newest
        if index >> POSITION_BITS > ledger._gateway._newest[0]:
            ledger._gateway._newest, ledger._gateway._level = (index >> POSITION_BITS, tx_id), None

    def world(self, runner: asyncio.Runner) -> World:
        """A new world, in which nothing has happened."""
        self._worlds += 1
        name, begin = f"world{self._worlds}", self.newest[0]

        def open_as(caller: PrivateKey, organisation: str = "") -> OneWorld:
            return OneWorld(self, caller, name, begin, organisation)

        def replayed() -> int:
            from tests.contract_suite.replay import replay

            runner.run(self.transactions())
            return replay(name, self._valid)

        return World(runner, open_as, lambda: runner.run(self.transactions()), replayed)

    def started(self, runner: asyncio.Runner) -> World:
        """A world that is started. Many are made at once: one by one they would take the suite's time."""
        if not self._started:
            self._started = [self.world(runner) for _ in range(READY_MADE)]
            runner.run(_begin(self._started))
        return self._started.pop()


async def _begin(worlds: list[World]) -> None:
    await asyncio.gather(*(world.begin() for world in worlds))


class OneWorld:
    """chain.ledger.interface.Ledger that shows one world of the channel, which began behind the index `begin`."""

    def __init__(self, channel: Channel, caller: PrivateKey, world: str, begin: int, organisation: str) -> None:
        self._channel, self._ledger = channel, channel.of(organisation).as_caller(caller)
        self._world, self._begin = world, begin

    async def submit(self, function: str, *args: bytes) -> Submitted:
        self._channel.catch_up(self._ledger)
        done = await self._ledger.submit(f"{self._world}/{function}", *args)
        self._channel.submitted += 1
        self._channel.newest = max(self._channel.newest, (done.index, done.tx_id))
        return done

    async def evaluate(self, function: str, *args: bytes) -> bytes:
        self._channel.catch_up(self._ledger)
        return await self._ledger.evaluate(f"{self._world}/{function}", *args)

    async def events(self, after: int) -> AsyncIterator[LedgerEvent]:
        async for event in self._ledger.events(max(after, self._begin)):
            world, _, name = event.name.partition("/")
            if world == self._world:
                yield replace(event, name=name)

    async def evidence(self, index: int) -> bytes:
        return await self._ledger.evidence(index)

    async def close(self) -> None:
        """The channel is everybody's and stays open."""


def _is_query(called: str) -> bool:
    return function_named(called.partition("/")[2]).query


@contextmanager
def channel(folder: Path, runner: asyncio.Runner) -> Iterator[Channel]:
    """A network with many_worlds.py on its channel; at the end, what is on it is what the tests committed."""
    wanted = msgspec.structs.replace(topology(folder), chaincode=Chaincode(command=serving(many_worlds.__name__)))
    with running(wanted) as network:
        from chain.ledger.fabric.ledger import FabricLedger
        from chain.ledger.fabric.profile import read_profile

        nobody = PrivateKey.generate(Algorithm.ED25519)

        def open_for(msp_id: str) -> FabricLedger:
            return FabricLedger(read_profile(network.profiles[msp_id]), nobody, is_query=_is_query)

        made = Channel(open_for)
        before = runner.run(made.transactions())
        yield made
        found = runner.run(made.transactions())
        assert found - before == made.submitted + made.conflicts
        runner.run(made.close())
