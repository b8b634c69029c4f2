"""Alarms of one gateway, put together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

from chain.ledger.interface import LedgerEvent
from crypto.errors import SealtrailError
from gateway.alarms import store
from gateway.alarms.alarm import Alarm
from gateway.alarms.from_ledger import FromLedger
from gateway.alarms.from_site import FromSite, number_of
from gateway.alarms.mqtt import MqttTelling
from gateway.alarms.store import AlarmStore
from gateway.alarms.telling import Telling
from gateway.coldchain.parts import ColdChain
from gateway.config import ApiConfig
from gateway.delivery.outbox import Outbox
from gateway.supply.ground import Ground

log = logging.getLogger(__name__)
LOOK_S = 0.5  # how often the site's own alerts are looked at
_PAGE = 100


class Alarms:
    """What other parts, REST and the pages work with. On the event loop."""

    def __init__(self, ground: Ground, kept: AlarmStore, cold: ColdChain, outbox: Outbox) -> None:
        self._store, self._from_site, self.origin = kept, FromSite(ground.folder), ground.folder.origin

        async def concerns(shipment_id: bytes) -> object:
            return await asyncio.to_thread(cold.concerns, shipment_id)

        self._from_ledger = FromLedger(concerns, cold.view.organisation)  # type: ignore[arg-type]
        config = ground.config
        self.telling = Telling(config.alarms, kept, outbox, config.delivery.bounds(), self.origin, _url(config.api))
        self.mqtt = MqttTelling(ground.access, kept, self.origin)
        self._news = asyncio.Event()
        self._ended = False
        self._site_problem = ""

    async def heed(self, event: LedgerEvent) -> None:
        """An event of the ledger."""
        if found := await self._from_ledger.alarms(event):
            self._told(await asyncio.to_thread(self._store.raise_all, found, (store.LEDGER, event.index)))

    async def acknowledge(self, number: int, by: str, reason: str) -> Alarm:
        """AlarmError where it is not there. Who came first stays."""
        return await asyncio.to_thread(self._store.acknowledge, number, by, reason)

    async def page(self, before: int | None, limit: int, *, pending: bool) -> list[Alarm]:
        return await asyncio.to_thread(lambda: self._store.page(before, limit, pending=pending))

    async def counts(self) -> tuple[int, int, int]:
        """Alarms kept, those that nobody has acknowledged, and those that fell out of the table."""
        return await asyncio.to_thread(self._store.counts)

    def pending(self, most: int) -> tuple[bool, int]:
        """Whether any alarm is kept, and how many nobody has acknowledged, up to `most`. Blocks for moments."""
        return self._store.pending(most)

    async def newest(self) -> int:
        return await asyncio.to_thread(self._store.newest)

    async def stream(self, after: int, quiet_s: float) -> AsyncIterator[list[Alarm]]:
        """Alarms behind this id, then new ones as they are raised; an empty list where none came for `quiet_s`. Ends
        with the gateway."""
        while not self._ended:
            news = self._news
            found = await asyncio.to_thread(self._store.after, after, _PAGE)
            if found:
                after = found[-1].id
                yield found
                continue
            try:
                async with asyncio.timeout(quiet_s):
                    await news.wait()
            except TimeoutError:
                yield []

    def problems(self) -> Iterator[str]:
        yield from (f"alarms for {name} wait: {problem}" for name, problem in self.telling.problems.items())
        if self._site_problem:
            yield f"alarms wait: {self._site_problem}"

    async def run(self) -> None:
        """Raise alarms of the site's own alerts, until cancelled. Those from before this part was there raise none."""
        after = -1
        while True:
            try:
                if after < 0:
                    newest = await asyncio.to_thread(self._from_site.newest)
                    after = await asyncio.to_thread(self._store.mark, store.ALERTS, newest)
                while found := await asyncio.to_thread(self._from_site.after, after):
                    upto = number_of(found[-1])
                    self._told(await asyncio.to_thread(self._store.raise_all, found, (store.ALERTS, upto)))
                    after = upto  # only now: what could not be kept is read again
                self._site_problem = ""
            except Exception as e:  # outermost boundary of this task: it must outlive any fault, and say so
                if self._site_problem != str(e):
                    log.warning("the site's alerts wait: %s", e, exc_info=not isinstance(e, SealtrailError))
                self._site_problem = str(e) or repr(e)
            await asyncio.sleep(LOOK_S)

    def end_streams(self) -> None:
        """Who follows the stream has heard everything: the interface stops, and waits for nobody."""
        self._ended = True
        self._news.set()

    async def end(self) -> None:
        self.end_streams()
        await self.mqtt.close()

    def _told(self, new: list[Alarm]) -> None:
        if new:
            self.telling.wake()
            self.mqtt.raised(new)
            self._news.set()
            self._news = asyncio.Event()


def _url(api: ApiConfig) -> str:
    """Where people find this gateway, as far as its configuration tells."""
    scheme = "https" if api.tls_certificate else "http"
    return api.public_url.rstrip("/") or (f"{scheme}://{api.host}:{api.port}" if api.port else "")
