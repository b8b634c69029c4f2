"""The cold chain of a gateway, opened and running."""

import asyncio

from gateway.coldchain.parts import ColdChain
from gateway.coldchain.store import ShipmentStore
from gateway.custody.units import Units
from gateway.supply.ground import Ground


async def open_cold(ground: Ground, units: Units) -> ColdChain:
    """Goes on with the shipments under way; it ends with the gateway."""
    store = await asyncio.to_thread(ShipmentStore, ground.folder.root)
    ground.closing.callback(store.close)
    made = ColdChain(ground, store, units)
    ground.closing.push_async_callback(made.end)
    await made.start()
    return made
