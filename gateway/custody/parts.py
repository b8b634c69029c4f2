"""Custody of one gateway, put together: what other parts, REST and the commands work with."""

import asyncio
from dataclasses import dataclass

from chain.site import SiteReader
from gateway.custody.coming import Coming
from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.follower import Follower
from gateway.custody.handover.book import Book
from gateway.custody.handover.building import Builder
from gateway.custody.handover.exchanging import Handovers
from gateway.custody.handover.taking import Taking
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
from gateway.delivery.opening import note_alert
from gateway.delivery.outbox import Outbox
from gateway.supply.ground import Ground


@dataclass(frozen=True, slots=True)
class Custody:
    """Secrets and ids of units, serial trees, what is in what, the partners, what the ledger is being told, and what
    passes between partners' gateways."""

    store: Store
    units: Units
    trees: Trees
    containers: Containers
    lots: Lots
    tasks: Tasks
    partners: Partners
    keeping: Keeping
    book: Book
    handovers: Handovers

    def start(self, ground: Ground) -> None:
        """Follow the log, send and take hand-overs from now on; ends with the gateway."""
        ground.closing.task(self.keeping.run())
        ground.closing.task(self.handovers.run())


async def open_custody(ground: Ground, outbox: Outbox) -> Custody:
    """Open custody.db; it is closed with the gateway."""
    store = await asyncio.to_thread(Store, ground.folder.root)
    ground.closing.callback(store.close)
    reader = await asyncio.to_thread(SiteReader.open, ground.folder)
    ground.closing.callback(reader.close)
    return await asyncio.to_thread(_made, ground, outbox, store, reader)


def _made(ground: Ground, outbox: Outbox, store: Store, reader: SiteReader) -> Custody:
    config, folder = ground.config, ground.folder
    units, trees, tasks, book = Units(store, folder.site_key()), Trees(store), Tasks(store), Book(store)
    partners, containers, places = Partners(config.partners), Containers(store, units), Places(store, trees)
    lots = Lots(store, units, tasks)
    sealing = Sealing(store, units, containers, lots, trees, tasks)
    transitions = Transitions(
        store, units, containers, lots, sealing, tasks, partners, data_wait_s=config.custody.data_wait_s
    )
    keeping = Keeping(
        ground, store, units, lots, sealing, tasks, Coming(store, units, containers, tasks, book),
        Follower(store, reader, transitions, tasks, book), Arguments(units, containers, lots, trees, places),
    )  # fmt: skip

    async def alert(kind: str, source: str, text: str) -> None:
        await asyncio.to_thread(note_alert, folder, kind, source, text)

    handovers = Handovers(
        ground, store, units, book, Builder(folder, store, units, containers, trees, places, book),
        Taking(folder, store, units, containers, trees, places, book, ground.own_log), partners, outbox, alert=alert,
        taken=keeping.wake,
    )  # fmt: skip
    keeping.ended.append(handovers.ended)
    keeping.told = handovers.wake
    return Custody(store, units, trees, containers, lots, tasks, partners, keeping, book, handovers)
