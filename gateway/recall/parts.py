"""Recalls of one gateway, opened with it."""

import asyncio

from gateway.custody.parts import Custody
from gateway.delivery.outbox import Outbox
from gateway.recall.book import Book
from gateway.recall.recalls import Recalls
from gateway.supply.ground import Ground


async def open_recalls(ground: Ground, outbox: Outbox, custody: Custody) -> Recalls:
    """Open recall.db; it is closed with the gateway. `Recalls.run` does what follows by itself."""
    book = await asyncio.to_thread(Book, ground.folder.root)
    ground.closing.callback(book.close)
    return Recalls(ground, outbox, custody, book, ground.config.recall)
