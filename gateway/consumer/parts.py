"""The consumer page of one gateway, put together."""

import asyncio
from dataclasses import dataclass

from gateway.consumer.containers import PackedInto
from gateway.consumer.facts import PackLookup
from gateway.consumer.lookup import LedgerLookup, Shipments
from gateway.consumer.scans import Scans
from gateway.custody.parts import Custody
from gateway.events.view import EventsViews
from gateway.supply.ground import Ground


@dataclass(frozen=True, slots=True)
class Consumer:
    """What the routes work with."""

    lookup: PackLookup
    scans: Scans


async def open_consumer(ground: Ground, custody: Custody, shipments: Shipments | None = None) -> Consumer:
    """Open scans.db; it is closed with the gateway. `shipments`: see LedgerLookup."""
    scans = await asyncio.to_thread(Scans, ground.folder.root)
    ground.closing.callback(scans.close)
    views = EventsViews(ground.folder)
    ground.closing.callback(views.close)
    lookup = LedgerLookup(
        custody.units, custody.trees, ground.ledger, ground.folder.origin, PackedInto(views), shipments
    )
    return Consumer(lookup, scans)
