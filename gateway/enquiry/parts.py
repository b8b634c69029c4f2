"""Queries as a part of a running gateway."""

import asyncio
from dataclasses import dataclass, field

from gateway.events.view import EventsViews
from gateway.query.view import MAX_VIEWS
from gateway.supply.ground import Ground


@dataclass(frozen=True, slots=True)
class Enquiries:
    """What the REST interface meets. `gate` bounds the questions to the index at once."""

    views: EventsViews
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_VIEWS))


async def open_enquiries(ground: Ground) -> Enquiries:
    """Opened; its files end with the gateway."""
    views = EventsViews(ground.folder)
    ground.closing.callback(views.close)
    return Enquiries(views)
