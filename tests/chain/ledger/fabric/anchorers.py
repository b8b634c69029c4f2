"""Load that can prove that nothing was lost: many gateways, each moving the head of its own log by one leaf at a time.

Each has one anchor in flight. After an outcome that it cannot know it reads the head and goes on from there, as a
gateway does. `prove` then compares what each was told with the events of the chain.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chain.errors import LedgerError
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import Profile, read_profile
from chaincode.errors import ContractError
from chaincode.log_records import AnchorAnswer, AnchoredCheckpoint, AnchorStatus
from crypto import cbor
from tests.contract_suite.actors import Actor, MemoryLog, log_signers

PACE_S = 0.05  # so that the load leaves some of a small machine to the network
PAUSE_S = 0.2
PROVED_WITHIN_S = 60.0
_numbers = itertools.count()


@dataclass
class Anchorer:
    """One gateway. `reported` are the sizes that it was told are anchored, `errors` what it was told instead."""

    ledger: FabricLedger
    actor: Actor
    log: MemoryLog
    size: int = 0
    reported: list[int] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    async def run(self, stop: asyncio.Event, successes: list[tuple[float, str]]) -> None:
        """Until `stop`. Errors that are none of ours end it, and with it the test."""
        while not stop.is_set():
            try:
                await self._anchor_next()
                successes.append((time.monotonic(), self.log.origin))
                await asyncio.sleep(PACE_S)
            except (LedgerError, ContractError) as e:
                self.errors.append(e)
                await self.learn()

    async def _anchor_next(self) -> None:
        done = await self.ledger.submit("logs.anchor", *self.log.anchor(self.size, self.size + 1))
        answer = AnchorAnswer.decode(done.result)
        # "unchanged": what it could not know had committed before.
        assert answer.status in (AnchorStatus.ANCHORED, AnchorStatus.UNCHANGED)
        assert answer.size == self.size + 1
        self._reached(answer.size)

    async def learn(self) -> None:
        """Read the head, as often as that takes."""
        deadline = time.monotonic() + PROVED_WITHIN_S
        while True:
            try:
                self._reached((await self.head(self.ledger)).size)
                return
            except LedgerError:
                assert time.monotonic() < deadline, "the ledger did not come back"
                await asyncio.sleep(PAUSE_S)

    async def head(self, ledger: FabricLedger) -> AnchoredCheckpoint:
        return AnchoredCheckpoint.decode(await ledger.evaluate("logs.head", self.log.origin.encode()))

    def _reached(self, size: int) -> None:
        assert size in (self.size, self.size + 1), f"{self.log.origin} went from {self.size} to {size}"
        if size > self.size:
            self.reported.append(size)
        self.size = size


@dataclass
class Load:
    """Anchorers at work. `successes` are the moments (monotonic, s) at which one was told "anchored", with its log."""

    ledgers: Sequence[FabricLedger]
    anchorers: Sequence[Anchorer]
    successes: list[tuple[float, str]] = field(default_factory=list)

    @property
    def errors(self) -> list[Exception]:
        return [error for one in self.anchorers for error in one.errors]

    def longest_pause(self, since: float, prefix: str = "") -> float:
        """The longest time without a success after this moment, in s, of all logs whose names begin so."""
        ours = (moment for moment, origin in self.successes if origin.startswith(prefix))
        moments = [since, *(moment for moment in ours if moment > since), time.monotonic()]
        return max(b - a for a, b in itertools.pairwise(moments))

    async def progress(self, each: int = 1, within_s: float = 120.0) -> None:
        """Wait until every anchorer has moved on by so many."""
        goals = [(one, one.size + each) for one in self.anchorers]
        async with asyncio.timeout(within_s):
            while any(one.size < goal for one, goal in goals):
                await asyncio.sleep(0.02)

    async def prove(self) -> None:
        """Every checkpoint stands on the chain once and in order, and no anchorer was told of another."""
        seen = await self._anchored()
        for one in self.anchorers:
            sizes = seen[one.log.origin]
            assert sizes == list(range(1, one.size + 1)), f"{one.log.origin}: {sizes}"
            assert one.reported == sizes
        await asyncio.gather(*(self._agrees(ledger, one) for ledger in self.ledgers for one in self.anchorers))

    async def _agrees(self, ledger: FabricLedger, one: Anchorer) -> None:
        """Wait until this partner's peer has caught up with the log's head, and compare it."""
        async with asyncio.timeout(PROVED_WITHIN_S):
            while (found := await one.head(ledger)).size < one.size:
                await asyncio.sleep(PAUSE_S)
        assert (found.size, found.root) == (one.size, one.log.checkpoint(one.size).root)

    async def _anchored(self) -> dict[str, list[int]]:
        """The sizes in the chain's events by origin, up to every anchorer's head; nothing comes after it."""
        seen: dict[str, list[int]] = {one.log.origin: [] for one in self.anchorers}
        # A transaction after all others, whose event shows that all of them were read.
        first = self.anchorers[0]
        stranger = Actor(f"{first.actor.name}-last", first.log.origin)
        last = await first.ledger.submit("identities.enrol", *stranger.enrolment("source"))
        async with asyncio.timeout(PROVED_WITHIN_S):
            async for event in self.ledgers[-1].events(-1):
                if event.name == "logs.anchored":
                    origin, size, _ = cbor.decode(event.payload, 2**16)
                    if origin in seen:
                        seen[origin].append(size)
                if event.index >= last.index:
                    break
        return seen


class Partners:
    """The organisations of a network with a first gateway each, which enrols the others."""

    def __init__(self, profiles: dict[str, Path]) -> None:
        self.profiles = {msp_id: read_profile(file) for msp_id, file in profiles.items()}
        self._first: dict[str, Actor] = {}

    async def _enrol(self, msp_id: str, ledger: FabricLedger) -> Anchorer:
        if msp_id not in self._first:
            founder = Actor(f"{msp_id.lower()}/first", f"{msp_id.lower()}.example/first")
            await ledger.as_caller(founder.key).submit("identities.bootstrap", *founder.bootstrap())
            self._first[msp_id] = founder
        name = f"{msp_id.lower()}/gw{next(_numbers)}"
        actor, log = Actor(name, name), MemoryLog(name, log_signers(name))
        await ledger.as_caller(self._first[msp_id].key).submit("identities.enrol", *actor.enrolment("gateway"))
        own = ledger.as_caller(actor.key)
        await own.submit("logs.register", log.origin.encode(), *log.vkeys())
        return Anchorer(own, actor, log)

    async def _enrol_some(self, msp_id: str, ledger: FabricLedger, count: int) -> list[Anchorer]:
        first = [await self._enrol(msp_id, ledger)]  # alone, since it may found the organisation
        return first + await asyncio.gather(*(self._enrol(msp_id, ledger) for _ in range(count - 1)))

    @contextlib.asynccontextmanager
    async def anchoring(
        self, each: int, open_ledger: Callable[[Profile], FabricLedger] = FabricLedger
    ) -> AsyncIterator[Load]:
        """So many anchorers for each organisation at work; ended and proved when the block ends."""
        async with contextlib.AsyncExitStack() as stack:
            ledgers = {
                msp_id: await stack.enter_async_context(open_ledger(profile))
                for msp_id, profile in self.profiles.items()
            }
            enrolled = [await self._enrol_some(msp_id, ledger, each) for msp_id, ledger in ledgers.items()]
            load, stop = Load(list(ledgers.values()), list(itertools.chain(*enrolled))), asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                for one in load.anchorers:
                    tasks.create_task(one.run(stop, load.successes))
                try:
                    await load.progress()
                    yield load
                finally:
                    stop.set()
            await load.prove()
