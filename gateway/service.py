"""The gateway as a running service: opens the site, starts doors, pipeline, anchoring and API, stops in order.

Start-up is recovery: the same code runs after a clean stop and after kill −9. It opens the site, compares log
and ledger, and refuses to go on where they contradict each other.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from chain.erasing import done
from chain.errors import ForkError, LedgerError, StoreError
from chain.handover import Handover
from chain.ledger.interface import LedgerEvent
from chain.ledger.reading import open_reader
from chain.log.checkpoints import Checkpoints
from chain.log.publish import Publisher
from chain.log.quorum import WitnessQuorum
from chain.log.reader import LogReader
from chain.policy import parse_policy
from chain.sealed.keys import encapsulation_key
from chain.site import Folder, Lock, SiteWriter
from chain.store.database import UNREADABLE, Database
from chain.store.epochs import Sealing
from chain.store.erasures import StoredErasure
from crypto import cbor, tokens
from crypto.files import write_durably
from crypto.keys import PrivateKey, algorithm_named
from crypto.note import NoteSigner
from gateway.access import Access, Scope, SourceSettings
from gateway.anchoring import Anchorer
from gateway.config import Config
from gateway.descriptors import Shortage, shares
from gateway.doors import broker_options, read_file, tls_server
from gateway.enrolment import NotAdmittedError, Offer, Registrar
from gateway.erasing import destroy, log_it, resume
from gateway.index.follower import forget_index
from gateway.ingest.mqtt.limits import FrontDoorLimits
from gateway.ingest.mqtt.listener import FrontDoor
from gateway.joining import write_request
from gateway.keychange.migration import Migrated, Migration, handovers_of, taken_up
from gateway.ledgers import SiteLedger, open_ledger
from gateway.live import Enrolment, LiveStatus, TlsUse
from gateway.objects.delivery import Delivery
from gateway.objects.parts import FILES, ObjectLog, Objects, open_objects
from gateway.pipeline.acknowledging import Acknowledger
from gateway.pipeline.admission import PlainNumbers
from gateway.pipeline.committer import Committed, Committer
from gateway.pipeline.disk import DiskBound
from gateway.pipeline.sources import SourceBook
from gateway.presence import Presence, SourceLogin
from gateway.sessions.start import open_sessions

if TYPE_CHECKING:
    from crypto.tls.server import TlsServer

log = logging.getLogger(__name__)
FIRST_TOKEN_FILE = "first-token"  # noqa: S105 - a file name
MAX_EVENT_BYTES = 8 * 1024
ERASING_TRIES = 5
TIDY_S = 10.0  # how often the keys of sessions that are over are forgotten
_ALL_SCOPES = frozenset(Scope)


class Gateway:
    """One site's gateway. Implements gateway.live.Live. Use `async with`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.folder = Folder.create(config.data, config.origin)
        self.book = SourceBook(sessions_required=config.sessions.required)
        self.presence = Presence()
        self.shortage, self.shares = Shortage(), shares(config.front_door.max_connections)
        self._closing = AsyncExitStack()
        self._announce: Callable[[PrivateKey], None] = lambda key: None  # the session key, once there are sessions
        self._started_us = time.time_ns() // 1000
        self._fork: ForkError | None = None
        self.index_problem = ""  # told by whoever follows the log for the index
        self.api_tls: TlsServer | None = None  # told by whoever serves HTTP
        self.http_full: Callable[[], bool] = lambda: False  # told by whoever serves HTTP
        self._tasks: list[asyncio.Task[None]] = []
        self._one_erasure = asyncio.Lock()
        self.forget_in_index = self._forget_in_index  # another way where somebody follows the log for the index

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
        self._key = key
        self.access = Access(self.folder)
        self._closing.callback(self.access.close)
        site = SiteWriter.open(self.folder, self._sealing())
        self._closing.callback(site.db.close)
        # What was to be erased is gone before anybody is served.
        for erased in resume(self.folder, site, self.access):
            log.warning("the erasure at entry %d, which was cut short, is carried out", erased.leaf)
        side = open_ledger(self.config, self.folder, key)
        self._closing.push_async_callback(side.close)
        self.ledger, self.keeper = side.ledger, side.keeper(self.folder.origin, self._heard)
        if self.folder.key_folder.next is not None:
            signers, key = await self._in_midst_of_change(signers, key)
        # 3. Never go on with a log that contradicts its anchor.
        publishing = Database(self.folder.database)
        self._closing.callback(publishing.close)
        self.anchorer = self._anchorer(publishing, signers)
        self._closing.push_async_callback(self.anchorer.close)
        self.registrar = Registrar(self.folder, self.ledger, self.access, self.book, self._log_size, self._settled)
        await self._meet_ledger(key, signers, side)
        if side.kept and (size := side.kept.newest_size(self.folder.origin)):
            await self.anchorer.proved(size)  # a crash may have come after the proof was kept and before this
        # 4. The pipeline, then the doors.
        self._start_pipeline(site, key)
        self.migration = Migration(
            self.folder, self.ledger, side.embedded, self.anchorer, self._log_size, self._uses_key
        )  # fmt: skip
        self._uses_key(key, handovers_of(self.folder, key))
        if self.migration.pending:
            self._task(self.migration.finish())
        self.objects = self._objects()
        self._task(self.anchorer.run())
        if self.keeper:
            self._task(self.keeper.run())
        self._first_token()
        await self._open_doors()

    async def _in_midst_of_change(
        self, signers: tuple[NoteSigner, ...], key: PrivateKey
    ) -> tuple[tuple[NoteSigner, ...], PrivateKey]:
        """The keys that the ledger has taken; the present ones while a ledger elsewhere is away."""
        try:
            return await taken_up(self.folder, self.ledger)
        except LedgerError as e:
            log.warning("the ledger is away in the midst of a change of keys: %s", e)
            return signers, key

    def _sealing(self) -> Sealing | None:
        """To whom payloads are sealed, where this gateway shall not read them."""
        settings = self.config.sealing
        to = tuple(map(encapsulation_key, settings.recipients))
        if len({key.kid for key in to}) != len(to):
            raise StoreError("sealing.recipients names a key twice")
        for key in to:
            log.info("payloads are sealed to %s (%s) and cannot be read here", key.kid.hex()[:16], key.suite)
        return Sealing(to, settings.epoch_s) if to else None

    async def _meet_ledger(self, key: PrivateKey, signers: tuple[NoteSigner, ...], side: SiteLedger) -> None:
        """Enrol on the ledger and compare it with the log. A ledger elsewhere may be away: a site that it knows takes
        events meanwhile, and signs nothing before the comparison."""
        try:
            await self.registrar.prepare(key, tuple(signer.vkey for signer in signers))
            await self.anchorer.check()  # before the sources: a ledger that was put back may not know them
            if side.kept is None:
                with closing(open_reader(self.folder)) as reader:
                    self.registrar.recall(reader)  # many times quicker than asking the contract for each
            else:
                await self.registrar.refresh()
        except NotAdmittedError as e:
            if side.kept is None:
                raise
            request = write_request(self.folder.root, self.folder.origin, key)
            raise NotAdmittedError(f"{e}; there run `sealtrail gateway admit {request}`, then start again") from e
        except LedgerError as e:
            if side.kept is None or not side.may_be_away:
                raise
            log.warning("the ledger is away, events are logged and nothing is signed until it is back: %s", e)
            self.registrar.recall(side.kept)

    async def _heard(self, event: LedgerEvent) -> None:
        """News from a ledger elsewhere, its proof being kept by now."""
        items = cbor.decode(event.payload, MAX_EVENT_BYTES)
        if event.name == "logs.fork":
            self.anchorer.look_again()
        elif event.name == "logs.anchored":
            await self.anchorer.proved(items[1])
        elif event.name.startswith("identities."):
            await self.registrar.changed(items[0])

    def _anchorer(self, db: Database, signers: tuple[NoteSigner, ...]) -> Anchorer:
        settings, quorum = self.config.log, None
        if settings.witness_policy:
            text = read_file(settings.witness_policy)
            quorum = WitnessQuorum(parse_policy(text))
            self._closing.push_async_callback(quorum.close)
            write_durably(self.folder.witness_policy, text)  # exported with the site's own keys
        else:
            self.folder.witness_policy.unlink(missing_ok=True)
        publisher = Publisher(LogReader(db), Checkpoints(db), signers, quorum)
        return Anchorer(
            db, publisher, self.ledger, checkpoint_s=settings.checkpoint_interval_s,
            anchor_s=settings.anchor_interval_s, on_fork=self._forked, proofs_follow=self.keeper is not None,
        )  # fmt: skip

    def _start_pipeline(self, site: SiteWriter, key: PrivateKey) -> None:
        settings, storage = self.config.pipeline, self.config.storage
        self.disk = DiskBound(self.folder.root, storage.max_bytes, storage.reserve_bytes)
        self.acknowledger = Acknowledger(self.folder.origin, key, self._publish_receipt)
        self.committer = Committer(
            site, self.book, self.disk, PlainNumbers(self.access.next_boot()), loop=asyncio.get_running_loop(),
            on_commit=self._committed, late_after_us=int(settings.late_after_s * 1e6),
            queue_bytes=settings.queue_bytes, seal_overdue_s=settings.seal_overdue_s,
        )  # fmt: skip
        self.committer.start()
        self._closing.push_async_callback(self._stop_committer)
        self._task(self.acknowledger.run())

    def _objects(self) -> Objects:
        records = ObjectLog(self.folder, self.access, self.committer.inbox, self.add_plain)
        self.delivery = Delivery(self.folder.origin, self.access, self._publish, self._listens)
        made = open_objects(
            self.folder, self.config.objects, self.config.storage, self.ledger, log=records.append,
            anchor=self.anchorer.flush, heard=self.delivery.granted, log_size=self._log_size,
            bucket=self.config.bucket,
        )  # fmt: skip
        self._closing.callback(made.keeper.close)
        self.disk.count_apart(FILES, lambda: 0 if self.config.bucket else made.keeper.held_bytes)
        self.delivery.serve(made.keeper, made.exchange)
        self._closing.push_async_callback(self.delivery.close)
        return made

    async def _open_doors(self) -> None:
        settings = self.config.front_door
        limits = FrontDoorLimits(
            connections=self.shares.sources, waiting=self.shares.waiting, receive_maximum=settings.receive_maximum
        )
        login = SourceLogin(self.access, self.book)
        self.sessions, self.session_key = open_sessions(
            self.folder, self.config.sessions, self.committer.inbox, self.book, self._post,
            lambda: self.anchorer.state.note, self._log_size,
        )  # fmt: skip
        self._announce = lambda key: self.sessions.announce(self.session_key.announce(key))
        self._announce(self._key)
        self._task(self._tidy_sessions())
        self._front_tls = tls_server(settings, "front_door")
        self.front = FrontDoor(
            settings.host, settings.port, self.sessions, login, self.presence, limits=limits,
            tls=self._front_tls, on_not_accepted=self.shortage.note, on_subscribed=self._subscribed,
        )  # fmt: skip
        try:
            await self.front.start()
        except OSError as e:
            raise StoreError(f"cannot listen for MQTT on {settings.host}:{settings.port}: {e.strerror}") from e
        self._closing.push_async_callback(self.front.stop)
        self.side = None
        if self.config.side_door:
            from gateway.ingest.side.door import SideDoor

            self.side = SideDoor(self.sessions, broker_options(self.config.side_door))
            await self.side.start()
            self._closing.push_async_callback(self.side.stop)

    async def _tidy_sessions(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            self.sessions.tidy()

    def _post(self, source: str, door: str, topic: str, payload: bytes) -> bool:
        """To the door by which the source was heard."""
        if door == "side":
            return self.side is not None and self.side.publish(topic, payload)
        return self.front.publish(source, topic, payload)

    async def _stop_committer(self) -> None:
        await asyncio.to_thread(self.committer.stop)

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._closing.push_async_callback(end)

    def _first_token(self) -> None:
        """Make the first API token, once, into a private file; its path is shown, never the token."""
        path = self.folder.root / FIRST_TOKEN_FILE
        if not self.access.has_tokens():
            token = tokens.new_token()
            write_durably(path, token.encode() + b"\n", mode=0o600)  # first, lest a crash leaves one that nobody knows
            self.access.add_token("first", _ALL_SCOPES, token)
            log.info("the first API token is in %s", path)

    def _forked(self, error: ForkError) -> None:
        self._fork = error
        log.critical("the log contradicts its anchor; nothing more is signed: %s", error)

    # -- between the parts

    def _committed(self, news: Committed) -> None:
        """After each commit, on the loop: verdicts to the doors, receipts to the sources, urgency to the anchor."""
        for judged in news.judged:
            judged.answer()
        for stored in news.stored:
            self.acknowledger.add(stored)
        if news.urgent:
            self.anchorer.urgent()

    def _subscribed(self, source: str) -> None:
        """A source listens: tell it of changes of the gateway's key, and of objects that are its own."""
        self.acknowledger.subscribed(source)
        self.delivery.subscribed(source)

    async def _publish_receipt(self, source: str, payload: bytes, session: bool) -> bool:
        if session:
            return self.sessions.answer(source, payload)
        if await self.front.publish_receipt(source, payload):
            return True
        return await self.side.publish_receipt(source, payload) if self.side else False

    def _publish(self, source: str, topic: str, payload: bytes) -> bool:
        return self.front.publish(source, topic, payload)

    def _listens(self, source: str, topic: str) -> bool:
        return self.front.listens(source, topic)

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
        self._announce(key)

    def _log_size(self) -> int:
        return self.committer.counters.log_size

    async def _settled(self) -> None:
        await self.committer.settled()

    # -- Live

    def status(self) -> LiveStatus:
        anchors, counters = self.anchorer.state, self.committer.counters
        return LiveStatus(
            self._started_us, self.folder.origin, self._log_size(), anchors.checkpoint_size, anchors.anchored_size,
            anchors.anchored_us, counters.received, counters.stored, counters.duplicates, counters.rejected,
            self.committer.inbox.size, self.presence.names(), self.disk.used_bytes, self.disk.limit_bytes,
            self._problems(), self.book.doubtful(), self._tls_uses(), self.front.groups() if self._front_tls else {},
            len(self.sessions.table), self.sessions.counters.handshakes,
            self.sessions.counters.refused + self.sessions.counters.limited,
        )  # fmt: skip

    def _tls_uses(self) -> tuple[TlsUse, ...]:
        broker = self.side.tls if self.side else None
        places = (("mqtt", self._front_tls), ("https", self.api_tls), ("broker", broker))
        return tuple(TlsUse(place, dict(tls.counters.by_group), tls.counters.failures) for place, tls in places if tls)

    def _problems(self) -> tuple[str, ...]:
        found = [str(p) for p in (self._fork, self.committer.problem) if p]
        if self.anchorer.state.problem:
            found.append(f"anchoring: {self.anchorer.state.problem}")
        if self.keeper and self.keeper.problem:
            found.append(f"proofs from the ledger: {self.keeper.problem}")
        if self.migration.problem:
            found.append(f"the change of keys: {self.migration.problem}")
        found += [f"front door: {self.front.problem}"] if self.front.problem else []
        if self.http_full():
            found.append(f"HTTP: all {self.shares.http} connections are taken; see who holds so many")
        found += [self.shortage.problem] if self.shortage.problem else []
        if self.index_problem:
            found.append(f"the record index waits: {self.index_problem}")
        if self.side and not self.side.subscribed:
            found.append("side door: not connected to the broker; it is tried again and again")
        return tuple(found)

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
            source, self.folder.origin, settings.public_host or settings.host, self.front.port,
            settings.tls_certificate is not None, password, str(key.algorithm), key.raw,
            tuple(map(str, self.folder.log_vkeys())), self._offered_session_key(), self.session_key.serial,
        )  # fmt: skip

    async def migrate(self, algorithm: str, *, force: bool = False) -> Migrated:
        try:
            return await self.migration.run(algorithm_named(algorithm), force=force)
        except Exception:
            if self.migration.pending:
                self._task(self.migration.finish())  # the ledger has taken some of it
            raise

    def _offered_session_key(self) -> bytes:
        """Not where a group of gateways shares a broker: a session lives in one of them."""
        side = self.config.side_door
        return b"" if side and side.shared_group else self.session_key.key.raw

    async def rotate(self, source: str, algorithm: str, public_key: bytes, from_index: int, old: bytes,
                     new: bytes) -> None:  # fmt: skip
        before = self.book.get(source)
        try:
            await self.registrar.rotate(source, algorithm, public_key, from_index, old, new)
        finally:  # a request that changes nothing is anybody's, and ends nothing; one that fails may have been taken
            after = self.book.get(source)
            if before and after and before.keys != after.keys:
                self.sessions.drop(source)

    async def erase(self, subject: str, by: str, reason: str) -> list[StoredErasure]:
        async with self._one_erasure:
            work = partial(log_it, subject=subject, by=by, reason=reason)
            await asyncio.to_thread(self.committer.between_commits, work)
            erased = await self._destroyed()
            await self.forget_in_index()
            await asyncio.to_thread(self.committer.between_commits, partial(done, erasures=erased))
        return erased

    async def _destroyed(self) -> list[StoredErasure]:
        """Carry out what is logged. A reader may be in the way of the journal for a while; a start tries it too."""
        for left in reversed(range(ERASING_TRIES)):
            try:
                work = partial(destroy, access=self.access, book=self.book)
                return await asyncio.to_thread(self.committer.between_commits, work)
            except StoreError as e:
                if not left:
                    raise
                log.warning("an erasure is not carried out yet: %s", e)
                await asyncio.sleep(1)
        raise AssertionError

    async def _forget_in_index(self) -> None:
        await asyncio.to_thread(forget_index, self.folder)

    async def revoke(self, source: str, reason: str, compromised_from: int | None = None) -> None:
        await self.registrar.revoke(source, reason, compromised_from)
        self.sessions.drop(source)
        self.front.put_out(source)
