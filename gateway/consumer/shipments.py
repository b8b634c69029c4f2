"""Which shipments of the contract `coldchain` went with which units: those that this organisation has a part in.

A shipment's units never change, so each is read once. Callable as `lookup.Shipments`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from chain.ledger.interface import Ledger
from chaincode.coldchain.queries import MAX_LISTED
from chaincode.coldchain.records import Shipment
from crypto import cbor
from gateway.supply.ourselves import OwnOrganisation

FRESH_S: Final = 10.0
MAX_SHIPMENTS: Final = 20_000
MAX_ANSWER: Final = 1 << 20


class LedgerShipments:
    """Asks the ledger for the list again when the last one is older than ten seconds."""

    def __init__(self, ledger: Ledger, origin: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`origin`: of this gateway's log, which is its name on the ledger."""
        self._ledger, self._organisation, self._clock = ledger, OwnOrganisation(ledger, origin), clock
        self._units: dict[bytes, tuple[bytes, ...]] = {}  # of each shipment
        self._due, self._one = float("-inf"), asyncio.Lock()

    async def __call__(self, units: Sequence[bytes]) -> Sequence[bytes] | None:
        """Ids of the shipments that one of the units went with; None where there are too many to know them all."""
        async with self._one:
            if self._clock() >= self._due:
                await self._refresh()
                self._due = self._clock() + FRESH_S
        if len(self._units) > MAX_SHIPMENTS:
            return None
        wanted = frozenset(units)
        return [shipment for shipment, inside in self._units.items() if not wanted.isdisjoint(inside)]

    async def _refresh(self) -> None:
        organisation = (await self._organisation()).encode()
        after: tuple[bytes, ...] = ()
        while len(self._units) <= MAX_SHIPMENTS:
            answer = await self._ledger.evaluate("coldchain.list", organisation, b"any", *after)
            listed: list[bytes] = cbor.decode(answer, MAX_ANSWER)
            for shipment in listed:
                if shipment not in self._units:
                    self._units[shipment] = await self._inside(shipment)
            if len(listed) < MAX_LISTED:
                return
            after = (listed[-1],)

    async def _inside(self, shipment: bytes) -> tuple[bytes, ...]:
        found, _ = cbor.decode(await self._ledger.evaluate("coldchain.get", shipment), MAX_ANSWER)
        return Shipment.decode(found).units
