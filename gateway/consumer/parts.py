"""The consumer page of one gateway, put together."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from chain.errors import StoreError
from gateway.consumer.containers import PackedInto
from gateway.consumer.facts import PackLookup
from gateway.consumer.lookup import LedgerLookup
from gateway.consumer.scans import Scans
from gateway.consumer.shipments import LedgerShipments
from gateway.custody.parts import Custody
from gateway.events.view import EventsViews
from gateway.supply.ground import Ground

FORGET_S = 1800.0
AT_ONCE = 8  # look-ups; each is a few questions to the ledger, which answers one after the other
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Consumer:
    """What the routes work with."""

    lookup: PackLookup
    scans: Scans
    shipments: LedgerShipments
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))  # of look-ups

    def start(self, ground: Ground) -> None:
        """Forget places on time, also while nobody scans, and learn of the shipments; ends with the gateway."""
        ground.closing.task(self._forgetting())
        ground.closing.task(self.shipments.fill())

    async def _forgetting(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.scans.forget, time.time_ns() // 1000)
            except StoreError as e:
                log.warning("scans.db: places of past days were not forgotten: %s", e)
            await asyncio.sleep(FORGET_S)


async def open_consumer(ground: Ground, custody: Custody) -> Consumer:
    """Open scans.db; it is closed with the gateway."""
    scans = await asyncio.to_thread(Scans, ground.folder.root)
    ground.closing.callback(scans.close)
    views = EventsViews(ground.folder)
    ground.closing.callback(views.close)
    origin, ledger = ground.folder.origin, ground.ledger
    shipments = LedgerShipments(ledger, origin)
    lookup = LedgerLookup(custody.units, custody.trees, ledger, origin, PackedInto(views), shipments)
    return Consumer(lookup, scans, shipments)
