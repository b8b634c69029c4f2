"""Custody of one gateway, put together: what other parts, REST and the commands work with."""

import asyncio
from dataclasses import dataclass

from chain.site import SiteReader
from gateway.custody.coming import Coming
from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.follower import Follower
from gateway.custody.keeping import Keeping
from gateway.custody.lots import Lots
from gateway.custody.partners import Partners
from gateway.custody.places import Places
from gateway.custody.sealing import Sealing
from gateway.custody.tasks import Tasks
from gateway.custody.telling import Arguments
from gateway.custody.transitions import Transitions
from gateway.custody.trees import Trees
from gateway.custody.units import Units
from gateway.supply.ground import Ground


@dataclass(frozen=True, slots=True)
class Custody:
    """Secrets and ids of units, serial trees, what is in what, the partners, and what the ledger is being told."""

    store: Store
    units: Units
    trees: Trees
    containers: Containers
    lots: Lots
    tasks: Tasks
    partners: Partners
    keeping: Keeping

    def start(self, ground: Ground) -> None:
        """Follow the log from now on; ends with the gateway."""
        ground.closing.task(self.keeping.run())


async def open_custody(ground: Ground) -> Custody:
    """Open custody.db; it is closed with the gateway."""
    store = await asyncio.to_thread(Store, ground.folder.root)
    ground.closing.callback(store.close)
    reader = await asyncio.to_thread(SiteReader.open, ground.folder)
    ground.closing.callback(reader.close)
    return await asyncio.to_thread(_made, ground, store, reader)


def _made(ground: Ground, store: Store, reader: SiteReader) -> Custody:
    config = ground.config
    units, trees, tasks = Units(store, ground.folder.site_key()), Trees(store), Tasks(store)
    partners, containers = Partners(config.partners), Containers(store, units)
    lots = Lots(store, units, tasks)
    sealing = Sealing(store, units, containers, lots, trees, tasks)
    transitions = Transitions(
        store, units, containers, lots, sealing, tasks, partners, data_wait_s=config.custody.data_wait_s
    )
    arguments = Arguments(units, containers, lots, trees, Places(store, trees))
    coming = Coming(store, units, containers, tasks)
    follower = Follower(store, reader, transitions, tasks)
    keeping = Keeping(ground, store, units, lots, sealing, tasks, coming, follower, arguments)
    return Custody(store, units, trees, containers, lots, tasks, partners, keeping)
