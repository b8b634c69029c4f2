"""The gateway as a running service: opens the site, starts its parts in order, ties them together, stops them.

Start-up is recovery: the same code runs after a clean stop and after kill −9. It opens the site, compares log
and ledger, and refuses to go on where they contradict each other. The parts know nothing of each other: what passes
between them, and what REST and the pages ask for, passes through here.
"""

import asyncio
import logging
import time
from functools import partial

from chain.errors import StoreError
from chain.handover import Handover
from chain.site import Folder, Lock, SiteWriter
from chain.store.database import UNREADABLE
from chain.store.erasures import StoredErasure
from crypto.keys import PrivateKey, algorithm_named
from gateway.access import Access, SourceSettings
from gateway.closing import Closing
from gateway.config import Config
from gateway.descriptors import Shortage, shares
from gateway.doors import Doors
from gateway.enrolment import Offer, Registrar
from gateway.erasing import Eraser, resume
from gateway.health import Health
from gateway.keychange.migration import Migrated, Migration, handovers_of
from gateway.ledgers import open_ledger
from gateway.live import Enrolment, LiveStatus
from gateway.meeting import heard, keys_of_now, meet
from gateway.objects.delivery import Delivery
from gateway.objects.parts import FILES, SOURCE, Objects, open_objects
from gateway.opening import make_anchorer, make_committer, make_first_token, sealing
from gateway.own_log import Newest, OwnLog
from gateway.pipeline.acknowledging import Acknowledger
from gateway.pipeline.committer import Committed
from gateway.pipeline.disk import DiskBound
from gateway.pipeline.sources import SourceBook
from gateway.supply.ground import Ground
from gateway.supply.parts import Supply, open_supply

log = logging.getLogger(__name__)


class Gateway:
    """One site's gateway. Implements gateway.live.Live. Use `async with`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.folder = Folder.create(config.data, config.origin)
        self.book = SourceBook(sessions_required=config.sessions.required)
        self.shortage, self.shares = Shortage(), shares(config.front_door.max_connections)
        self._closing = Closing()
        self._newest = Newest(self.folder)
        self._closing.callback(self._newest.close)
        self._started_us = time.time_ns() // 1000
        self.supply: Supply

    # -- life cycle

    async def __aenter__(self) -> "Gateway":
        try:
            await self._start()
        except BaseException as e:
            await self._closing.aclose()
            if isinstance(e, UNREADABLE):
                said = f"a database in {self.folder.root} cannot be read: {e}; run sealtrail fsck, or restore a backup"
                raise StoreError(said) from e
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def _start(self) -> None:
        # 1. The site is ours alone.
        lock = Lock(self.folder.root)
        self._closing.callback(lock.release)
        self.folder.key_folder.finish()
        # 2. Keys, store, ledger.
        signers, key = self.folder.log_signers(create=True), self.folder.gateway_key(create=True)
        self.access = Access(self.folder)
        self._closing.callback(self.access.close)
        site = SiteWriter.open(self.folder, sealing(self.config.sealing))
        self._closing.callback(site.db.close)
        # What was to be erased is gone before anybody is served.
        for erased in resume(self.folder, site, self.access):
            log.warning("the erasure at entry %d, which was cut short, is carried out", erased.leaf)
        side = open_ledger(self.config, self.folder, key)
        self._closing.push_async_callback(side.close)
        self.ledger = side.ledger
        signers, key = await keys_of_now(self.folder, self.ledger, signers, key)
        # 3. Never go on with a log that contradicts its anchor.
        self.anchorer = make_anchorer(
            self.config.log, self.folder, self.ledger, signers, self._closing, proofs_follow=side.kept is not None
        )  # fmt: skip
        self.registrar = Registrar(self.folder, self.ledger, self.access, self.book, self._log_size, self._settled)
        await meet(self.folder, side, self.registrar, self.anchorer, signers, key)
        # 4. The pipeline and what works with it, then the doors.
        self._start_pipeline(site, key)
        self.migration = Migration(
            self.folder, self.ledger, side.embedded, self.anchorer, self._log_size, self._uses_key
        )  # fmt: skip
        self._uses_key(key, handovers_of(self.folder, key))
        if self.migration.pending:
            self._closing.task(self.migration.finish())
        self.eraser = Eraser(self.folder, self.committer, self.access, self.book)
        self.objects = self._open_objects()
        self._closing.task(self.anchorer.run())
        self.supply = await open_supply(self._ground())
        self.supply.alarms.mqtt.speak(self.doors.front.publish, self.doors.front.listens)
        self.keeper = side.keeper(self.folder.origin, partial(heard, self.registrar, self.anchorer))
        if self.keeper:
            self._closing.task(self.keeper.run())
        self.health = Health(
            self._started_us, self.folder.origin, self.anchorer, self.committer, self.doors, self.disk, self.book,
            self.migration, self.keeper, self.shortage, self.shares,
        )  # fmt: skip
        self.health.of_supply = self.supply.problems
        make_first_token(self.folder, self.access)
        await self.doors.open(self._closing)

    def _start_pipeline(self, site: SiteWriter, key: PrivateKey) -> None:
        """The committer, the doors that fill its inbox (still shut), and who tells sources what is stored."""
        storage = self.config.storage
        self.disk = DiskBound(self.folder.root, storage.max_bytes, storage.reserve_bytes)
        self.committer = make_committer(
            self.config.pipeline, site, self.book, self.disk, self.access, self._committed
        )  # fmt: skip
        self.committer.start()
        self._closing.push_async_callback(asyncio.to_thread, self.committer.stop)
        self.doors = Doors(
            self.config, self.folder, self.access, self.committer.inbox, self.book, self.shares,
            checkpoint=lambda: self.anchorer.state.note, log_size=self._log_size, on_subscribed=self._subscribed,
            on_not_accepted=self.shortage.note,
        )  # fmt: skip
        self.acknowledger = Acknowledger(self.folder.origin, key, self.doors.publish_receipt)
        self._closing.task(self.acknowledger.run())

    def _open_objects(self) -> Objects:
        front = self.doors.front
        self.delivery = Delivery(self.folder.origin, self.access, front.publish, front.listens)
        made = open_objects(
            self.folder, self.config.objects, self.config.storage, self.ledger,
            log=self._own_log(SOURCE, "object").append, anchor=self.anchorer.flush, heard=self.delivery.granted,
            log_size=self._log_size,
            bucket=self.config.bucket,
        )  # fmt: skip
        self._closing.callback(made.keeper.close)
        self.disk.count_apart(FILES, lambda: 0 if self.config.bucket else made.keeper.held_bytes)
        self.delivery.serve(made.keeper, made.exchange)
        self._closing.push_async_callback(self.delivery.close)
        return made

    def _ground(self) -> Ground:
        return Ground(
            self.config, self.folder, self.ledger, self.access, self._own_log, self.anchorer.flush, self._log_size,
            self._closing,
        )  # fmt: skip

    def _own_log(self, source: str, kind: str) -> OwnLog:
        return OwnLog(self.folder, self.access, self.committer.inbox, self.add_plain, source, kind, self._newest)

    # -- between the parts

    def _committed(self, news: Committed) -> None:
        """After each commit, on the loop: verdicts to the doors, receipts to the sources, urgency to the anchor."""
        for judged in news.judged:
            judged.answer()
        for stored in news.stored:
            self.acknowledger.add(stored)
        if news.urgent:
            self.anchorer.urgent()
        self.supply.committed(news)

    def _subscribed(self, source: str) -> None:
        """A source listens: tell it of changes of the gateway's key, and of objects that are its own."""
        self.acknowledger.subscribed(source)
        self.delivery.subscribed(source)
        self.supply.subscribed(source)

    async def drain(self) -> None:
        """Wait until everything received is durable and anchored, and the proof of that is at hand."""
        while self.committer.inbox.size:
            await asyncio.sleep(0.02)
        await self.anchorer.flush()
        while self.anchorer.state.proved_size < self.anchorer.state.anchored_size:
            await asyncio.sleep(0.02)

    def _uses_key(self, key: PrivateKey, handovers: tuple[Handover, ...]) -> None:
        """The gateway signs with this key, and sources follow to it by these statements."""
        self._key = key
        self.acknowledger.use(key, [handover.encode() for handover in handovers])
        self.doors.announce(key)

    def _log_size(self) -> int:
        return self.committer.counters.log_size

    async def _settled(self) -> None:
        await self.committer.settled()

    # -- Live

    def status(self) -> LiveStatus:
        return self.health.status()

    def invite(self, source: str, settings: SourceSettings) -> str:
        return self.access.invite(source, settings)

    async def add_plain(self, source: str, settings: SourceSettings) -> str:
        password = await asyncio.to_thread(self.access.add_plain, source, settings)
        await self.registrar.refresh(source)
        return password

    def offer(self, code: str) -> Offer:
        return self.registrar.offer(code)

    async def enrol(self, code: str, algorithm: str, public_key: bytes, proof: bytes) -> Enrolment:
        source, password = await self.registrar.enrol(code, algorithm, public_key, proof)
        settings, key = self.config.front_door, self._key.public
        return Enrolment(
            source, self.folder.origin, settings.public_host or settings.host, self.doors.front.port,
            settings.tls_certificate is not None, password, str(key.algorithm), key.raw,
            tuple(map(str, self.folder.log_vkeys())), self.doors.offered_session_key,
            self.doors.session_key.serial,
        )  # fmt: skip

    async def migrate(self, algorithm: str, *, force: bool = False) -> Migrated:
        try:
            return await self.migration.run(algorithm_named(algorithm), force=force)
        except Exception:
            if self.migration.pending:
                self._closing.task(self.migration.finish())  # the ledger has taken some of it
            raise

    async def rotate(self, source: str, algorithm: str, public_key: bytes, from_index: int, old: bytes,
                     new: bytes) -> None:  # fmt: skip
        before = self.book.get(source)
        try:
            await self.registrar.rotate(source, algorithm, public_key, from_index, old, new)
        finally:  # a request that changes nothing is anybody's, and ends nothing; one that fails may have been taken
            after = self.book.get(source)
            if before and after and before.keys != after.keys:
                self.doors.rekeyed(source)

    async def erase(self, subject: str, by: str, reason: str) -> list[StoredErasure]:
        return await self.eraser.erase(subject, by, reason)

    async def revoke(self, source: str, reason: str, compromised_from: int | None = None) -> None:
        await self.registrar.revoke(source, reason, compromised_from)
        self.doors.put_out(source)
