"""Custody of one gateway, put together: what other parts, REST and the commands work with."""

import asyncio
from dataclasses import dataclass

from gateway.custody.database import Store
from gateway.custody.partners import Partners
from gateway.custody.trees import Trees
from gateway.custody.units import Units
from gateway.supply.ground import Ground


@dataclass(frozen=True, slots=True)
class Custody:
    """Secrets and ids of units, serial trees, and the partners of the configuration."""

    units: Units
    trees: Trees
    partners: Partners


async def open_custody(ground: Ground) -> Custody:
    """Open custody.db; it is closed with the gateway."""
    store = await asyncio.to_thread(Store, ground.folder.root)
    ground.closing.callback(store.close)
    return Custody(Units(store, ground.folder.site_key()), Trees(store), Partners(ground.config.partners))
