"""Which shipments of the contract `coldchain` went with which units: those that this organisation has a part in.

A shipment's units never change, so each is read once, in the background from the start on. Callable as
`lookup.Shipments`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from chain.ledger.interface import Ledger
from chaincode.coldchain.records import Shipment
from crypto import cbor
from crypto.errors import SealtrailError
from gateway.device.backoff import Backoff
from gateway.supply.ourselves import OwnOrganisation

log = logging.getLogger(__name__)
FRESH_S: Final = 10.0
MAX_SHIPMENTS: Final = 20_000
MAX_ANSWER: Final = 1 << 20


class LedgerShipments:
    """Asks the ledger for the list again when the last one is older than ten seconds; until `fill` is done none is
    known."""

    def __init__(self, ledger: Ledger, origin: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`origin`: of this gateway's log, which is its name on the ledger."""
        self._ledger, self._organisation, self._clock = ledger, OwnOrganisation(ledger, origin), clock
        self._units: dict[bytes, tuple[bytes, ...]] = {}  # of each shipment
        self._due, self._one, self._filled = float("-inf"), asyncio.Lock(), False

    async def fill(self) -> None:
        """Read all there are once, however long the ledger is away."""
        backoff = Backoff(0.5, 60.0)
        while not self._filled:
            try:
                await self._refresh()
                self._filled, self._due = True, self._clock() + FRESH_S
            except SealtrailError as e:
                log.warning("the consumer page does not know the shipments yet: %s", e)
                await asyncio.sleep(backoff.next())

    async def __call__(self, units: Sequence[bytes]) -> Sequence[bytes] | None:
        """Ids of the shipments that one of the units went with; None where they are not all known: there are too many,
        or they are being read."""
        if not self._filled:
            return None
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
            listed, onward = cbor.decode(answer, MAX_ANSWER)
            for shipment in listed:
                if shipment not in self._units:
                    self._units[shipment] = await self._inside(shipment)
            if onward is None:
                return
            after = (onward,)

    async def _inside(self, shipment: bytes) -> tuple[bytes, ...]:
        found, _ = cbor.decode(await self._ledger.evaluate("coldchain.get", shipment), MAX_ANSWER)
        return Shipment.decode(found).units
