"""Tells recipients that are connected over MQTT of what they were granted, and hands them small objects at once.

`st/1/<source>/objects` carries a notice, `st/1/<source>/objects/<id>` the ciphertext itself where it is small. Both
with QoS 0: what got lost comes again with the next subscription, as long as nothing was signed for as opened. A
recipient trusts neither: the ledger says what was granted, and the digest what it is.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from chain.event import MAX_MESSAGE_BYTES
from chaincode.errors import ContractError
from chaincode.exchange_records import DeliveryStatement, Verdict
from chaincode.identity_records import source_handle
from crypto.errors import SealtrailError
from gateway.access import Access
from gateway.objects.catalogue import StoredObject
from gateway.objects.errors import AlteredObjectError, UnknownObjectError
from gateway.objects.exchange import Exchange, Granted
from gateway.objects.keeper import Keeper

log = logging.getLogger(__name__)
MAX_INLINE_BYTES = MAX_MESSAGE_BYTES - 1024  # with topic and header it still fits the MQTT limit
MAX_PENDING = 256  # told at a subscription
MAX_TASKS = 1024
ASKED_AT_ONCE = 8  # sources for which the ledger is asked at the same time
PAUSE_S = 1.0  # between two runs for one source
Publish = Callable[[str, str, bytes], bool]
Listens = Callable[[str, str], bool]


class Delivery:
    """Runs on the event loop. `publish(source, topic, payload)` sends to a source if it is connected and subscribed."""

    def __init__(self, origin: str, access: Access, publish: Publish, listens: Listens) -> None:
        """`listens(source, topic)`: a connection of the source subscribed to this topic."""
        self._origin, self._access, self._publish, self._listens = origin, access, publish, listens
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: set[str] = set()  # sources that are told what is pending
        self._again: set[str] = set()  # of these, who subscribed meanwhile
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)
        self._parts: tuple[Keeper, Exchange] | None = None

    def serve(self, keeper: Keeper, exchange: Exchange) -> None:
        """What it tells of."""
        self._parts = keeper, exchange

    def granted(self, handle: str, stored: StoredObject) -> None:
        """A new grant: its recipient hears of it, if it is a source of this log or has a login of its own name."""
        source = self._source_of(handle)
        if source is not None:
            self._start(source, lambda: self._tell(source, stored))

    def subscribed(self, source: str) -> None:
        """A source subscribed to something. If it listens here, tell it what it was granted and has not signed for as
        opened: one run at a time for a source, so that asking again and again costs nobody else."""
        if not self._listens(source, topic_of(source)):
            return
        if source in self._telling:
            self._again.add(source)
        elif self._start(source, lambda: self._tell_until_quiet(source)):
            self._telling.add(source)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, source: str, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """False where too much is under way: it is told at its next subscription."""
        if len(self._tasks) >= MAX_TASKS:
            return False

        async def run() -> None:
            try:
                await work()
            except SealtrailError as e:
                log.warning("%s is not told of its objects: %s", source, e)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _tell_until_quiet(self, source: str) -> None:
        try:
            while True:
                self._again.discard(source)
                async with self._asking:
                    await self._tell_pending(source)
                await asyncio.sleep(PAUSE_S)
                if source not in self._again:
                    return
        finally:
            self._telling.discard(source)

    def _source_of(self, handle: str) -> str | None:
        origin, mark, name = handle.partition("#")
        if mark:
            return name if origin == self._origin else None
        return handle if self._is_login(handle) else None

    def _is_login(self, name: str) -> bool:
        """Whether a partner logs in under this name: a source that may report nothing."""
        settings = self._access.settings(name).get(name)
        return settings is not None and not settings.kinds

    async def _tell_pending(self, source: str) -> None:
        assert self._parts is not None
        keeper, exchange = self._parts
        handle = source if self._is_login(source) else source_handle(self._origin, source)
        told, after = 0, None
        while page := await exchange.listed(handle, after):
            for object_id in page:
                try:
                    if not _open(await exchange.granted(object_id, handle)):
                        continue
                    told += 1
                    if told > MAX_PENDING or not await self._tell(source, await keeper.get(object_id)):
                        return  # it is gone, or does not read
                except (ContractError, UnknownObjectError):
                    continue  # granted by another gateway, which keeps it
                except AlteredObjectError as e:
                    log.error("%s is told of an object and not given it: %s", source, e)
            after = page[-1]

    async def _tell(self, source: str, stored: StoredObject) -> bool:
        """The notice, and a small object itself; False where nobody took it."""
        name, topic = stored.object_id.hex(), topic_of(source)
        notice = {"object": name, "digest": stored.digest.hex(), "size": stored.size, "url": f"/v1/objects/{name}"}
        told = self._publish(source, topic, json.dumps(notice).encode())
        if told and stored.size <= MAX_INLINE_BYTES:
            assert self._parts is not None
            pieces = self._parts[0].read(stored, 0, stored.size)
            told = self._publish(source, f"{topic}/{name}", await asyncio.to_thread(b"".join, pieces))
        return told


def topic_of(source: str) -> str:
    """Where a source hears of its objects."""
    return f"st/1/{source}/objects"


def _open(granted: Granted) -> bool:
    """Whether it is still to be delivered."""
    verdicts = [DeliveryStatement.decode(said.statement).verdict for said in granted.deliveries]
    return granted.record.revoked is None and Verdict.OPENED not in verdicts
