"""An organisation's gateway on a real network: it anchors a log that grows by one with each anchor."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

from chain.ledger.fabric.evidence import FabricEvidence
from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from tests.contract_suite.actors import Actor, MemoryLog, log_signers

ORIGIN = "plant.example/gw1"


class Anchoring:
    """Opens the profile anew for each transaction, so with the certificates that are there at the time."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._actor, self._log = Actor("plant/gateway", ORIGIN), MemoryLog(ORIGIN, log_signers(ORIGIN))
        self._sizes = itertools.count()
        self.evidence: list[FabricEvidence] = []

    def enrol(self) -> None:
        async def act(ledger: FabricLedger) -> None:
            await ledger.submit("identities.bootstrap", *self._actor.bootstrap())
            await ledger.submit("logs.register", ORIGIN.encode(), *self._log.vkeys())

        asyncio.run(self._with_ledger(act))

    def anchor(self) -> None:
        """An anchor that is committed as valid, and its evidence."""
        size = next(self._sizes)

        async def act(ledger: FabricLedger) -> None:
            done = await ledger.submit("logs.anchor", *self._log.anchor(size, size + 1))
            self.evidence.append(FabricEvidence.decode(await ledger.evidence(done.index)))

        asyncio.run(self._with_ledger(act))

    async def _with_ledger(self, act: Callable[[FabricLedger], Awaitable[None]]) -> None:
        async with FabricLedger(read_profile(self._profile), self._actor.key) as ledger:
            await act(ledger)
