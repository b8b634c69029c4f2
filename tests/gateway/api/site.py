"""A real site in a temporary folder: store, ledger, contract, pipeline and anchoring, driven step by step.

Devices sign real events and seals; the gateway's own batch code admits and writes them. No sockets, no clock of its
own: every time is given.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chain.erasing import done, finish, log_erasure
from chain.event import BLIND_BYTES, Event, Message, SignedSeal, content_hash
from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.reading import EmbeddedLedgerReader
from chain.log.checkpoints import Checkpoints
from chain.log.publish import Publisher
from chain.log.reader import LogReader
from chain.policy import LedgerLine, LogLine, Policy
from chain.receipts import ReceiptBuilder
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash, sign_seal
from chain.site import Folder, SiteReader, SiteWriter
from chain.store.database import Database
from chaincode.identities import enrolment
from crypto import labels
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import root_of
from gateway.access import Access, Scope, SeriesLimits, SourceSettings
from gateway.alarms.opening import mail_carrier
from gateway.alarms.parts import Alarms
from gateway.alarms.store import AlarmStore
from gateway.anchoring import Anchorer
from gateway.capture.parts import make_captures
from gateway.closing import Closing
from gateway.coldchain.parts import ColdChain
from gateway.coldchain.store import ShipmentStore
from gateway.config import Config, ObjectsConfig, StorageConfig
from gateway.consumer.parts import open_consumer
from gateway.custody.parts import open_custody
from gateway.delivery.opening import open_outbox
from gateway.enquiry.parts import make_enquiries
from gateway.enrolment import Offer, Registrar
from gateway.index import Index
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.keychange.errors import MigrationError
from gateway.keychange.migration import Migrated
from gateway.live import Enrolment, LiveStatus
from gateway.objects.parts import SOURCE, open_objects
from gateway.own_log import Newest, OwnLog
from gateway.pipeline.admission import PlainNumbers
from gateway.pipeline.batch import Batch
from gateway.pipeline.group import together
from gateway.pipeline.hashes import RecentHashes
from gateway.pipeline.opening import Openers
from gateway.pipeline.sealing import Sealing
from gateway.pipeline.sources import SourceBook
from gateway.pipeline.writing import write
from gateway.preprocess import kinds
from gateway.recall.parts import open_recalls
from gateway.supply.ground import Ground
from gateway.supply.ledger_events import LedgerEvents
from gateway.supply.parts import Supply

ORIGIN = "plant-7.example/line-3"
START_US = 1_795_413_600_000_000  # 2026-11-23T06:00:00Z
SECOND = 1_000_000
MINUTE_US = 60 * SECOND
COLD = SourceSettings(limits=(SeriesLimits("", "Cel", 2.0, 8.0),))
LATE_AFTER_US = 300 * SECOND


@dataclass
class Device:
    """A source with a real key. `send` numbers events; what is not given to the site is a gap."""

    name: str
    key: PrivateKey
    boot: int = 1
    seq: int = 0
    sealed: int = 0
    previous: bytes = FIRST_PREVIOUS
    hashes: list[bytes] = field(default_factory=list)

    def event(self, kind: str, payload: object, sensed_us: int) -> bytes:
        found = kinds.by_name(kind)
        body = json.dumps(payload, separators=(",", ":")).encode()
        blind = os.urandom(BLIND_BYTES)
        raw = Event(self.name, self.boot, self.seq, found.code, found.version, sensed_us, blind, body).encode()
        self.seq += 1
        self.hashes.append(content_hash(raw))
        return raw

    def reading(self, value: float, sensed_us: int, series: str = "urn:dev:ops:cold-1:temperature") -> bytes:
        return self.event("reading", [{"n": series, "u": "Cel", "v": value}], sensed_us)

    def seal(self, signed_us: int) -> SignedSeal:
        """Sign everything since the last seal of this boot."""
        hashes = self.hashes[self.sealed :]
        seal = Seal(
            self.name, self.boot, self.sealed, len(hashes), root_of(hashes), self.previous, signed_us,
            self.key.public.kid,
        )  # fmt: skip
        signed = sign_seal(seal, self.key)
        self.sealed, self.previous = self.seq, seal_hash(signed.seal)
        return signed

    def restart(self) -> None:
        self.boot, self.seq, self.sealed, self.hashes = self.boot + 1, 0, 0, []


class Site:
    """The gateway's parts around one folder, and the Live that the REST interface asks."""

    def __init__(self, root: Path, origin: str = ORIGIN) -> None:
        self.folder = Folder.create(root, origin)
        self.signers = self.folder.log_signers(create=True)
        key = self.folder.gateway_key(create=True)
        ledger_signers = self.folder.ledger_signers(create=True)
        self.writer = SiteWriter.open(self.folder)
        self.access = Access(self.folder)
        self.ledger = EmbeddedLedger(self.folder.ledger, self.folder.ledger_name, ledger_signers, key)
        self.proofs = EmbeddedLedgerReader(self.folder.ledger)
        self.book = SourceBook()
        self.registrar = Registrar(self.folder, self.ledger, self.access, self.book, lambda: self.writer.log.size)
        self._publishing = Database(self.folder.database)
        publisher = Publisher(LogReader(self._publishing), Checkpoints(self._publishing), self.signers)
        self.anchorer = Anchorer(self._publishing, publisher, self.ledger, checkpoint_s=1, anchor_s=1)
        asyncio.run(self.registrar.prepare(key, tuple(s.vkey for s in self.signers)))
        self.index = Index(self.folder, self.access.settings)
        self.numbers = PlainNumbers(self.access.next_boot())
        self.recent = RecentHashes()
        self.openers = Openers(LATE_AFTER_US)
        newest = Newest(self.folder)
        records = OwnLog(self.folder, self.access, self, self.add_plain, SOURCE, "object", newest)
        self.heard: list[tuple[str, bytes]] = []
        self.objects = open_objects(
            self.folder, ObjectsConfig(max_object_bytes=2**21 - 1, max_bytes=2**22), StorageConfig(reserve_bytes=0),
            self.ledger, log=records.append, anchor=self.anchorer.flush,
            heard=lambda handle, stored: self.heard.append((handle, stored.object_id)),
            log_size=lambda: self.writer.log.size,
        )  # fmt: skip
        config = Config.model_validate({"origin": ORIGIN, "data": root, "front_door": {"port": 0}, "api": {"port": 0}})
        ground = Ground(
            config, self.folder, self.ledger, self.access,
            lambda source, kind: OwnLog(self.folder, self.access, self, self.add_plain, source, kind, newest),
            self.anchorer.flush, lambda: self.writer.log.size, Closing(),
        )  # fmt: skip
        ground.closing.callback(newest.close)
        outbox = open_outbox(ground, mail_carrier(ground))
        custody = asyncio.run(open_custody(ground, outbox))
        cold = ColdChain(ground, ShipmentStore(root), custody.units)  # nothing runs by itself here
        alarms, consumer = Alarms(ground, AlarmStore(root), cold, outbox), asyncio.run(open_consumer(ground, custody))
        recalls = asyncio.run(open_recalls(ground, outbox, custody))
        captures, enquiries = make_captures(ground), make_enquiries(ground, outbox)
        events = LedgerEvents(self.ledger, cold.after, cold.heeded, ())
        self.supply = Supply(ground, outbox, custody, cold, alarms, events, consumer, recalls, captures, enquiries)
        self.connected: tuple[str, ...] = ()
        self.problems: tuple[str, ...] = ()
        self.stored = 0

    def close(self) -> None:
        asyncio.run(self.supply.ground.closing.aclose())
        asyncio.run(self.ledger.close())
        self.objects.keeper.close()
        asyncio.run(self.supply.outbox.__aexit__())
        for part in (self.writer.db, self._publishing, self.access, self.index):
            part.close()

    @property
    def policy(self) -> Policy:
        logs = tuple(LogLine(signer.vkey) for signer in self.signers)
        ledgers = tuple(LedgerLine("embedded", signer.vkey) for signer in self.folder.ledger_signers())
        return Policy(logs, (), (), "none", ledgers)

    def receipts(self, reader: SiteReader) -> ReceiptBuilder:
        return ReceiptBuilder(reader, self.proofs)

    def token(self, *scopes: Scope) -> str:
        return self.access.new_token("+".join(scopes) or "none", frozenset(scopes))

    # -- sources and what they send

    def device(self, name: str, settings: SourceSettings = COLD) -> Device:
        """Invite and enrol a device as it would itself."""
        code, key = self.access.invite(name, settings), PrivateKey.generate(Algorithm.ED25519)
        proof = key.sign(enrolment(name, ORIGIN, key.public), labels.ENROL)
        asyncio.run(self.registrar.enrol(code, str(key.public.algorithm), key.public.raw, proof))
        return Device(name, key)

    def plain(self, name: str) -> None:
        self.access.add_plain(name, SourceSettings(allow_plain=True))
        asyncio.run(self.registrar.refresh(name))

    def take(
        self, source: str, events: Sequence[bytes] = (), seals: Sequence[SignedSeal] = (), *,
        received_us: int, plain: tuple[str, bytes] | None = None,
    ) -> list[Verdict]:  # fmt: skip
        """One message through admission, batch and a durable commit."""
        channel, kind, payload = Channel.EVENTS, "", Message(tuple(events), tuple(seals)).encode()
        if plain:
            channel, kind, payload = Channel.PLAIN, *plain
        inbound = Inbound(source, True, channel, kind, [payload], len(payload), received_us, "front", lambda told: None)
        sealing = Sealing(self.writer, self.recent)
        batch = Batch(self.writer, self.book, self.numbers, self.openers, sealing, LATE_AFTER_US)
        (judged,) = together([inbound])
        batch.judge(judged)
        batch.judge_seals()
        with self.writer.db.transaction() as tx:
            first = self.writer.log.size
            batch.place(first)
            write(self.writer, tx, batch, first, received_us + 1000)
        self.stored += batch.events
        return judged.verdicts

    def readings(self, device: Device, values: Iterable[float], start_us: int = START_US, step_s: int = 60) -> None:
        """One message of readings, one a minute, with their seal."""
        events = [device.reading(v, start_us + i * step_s * SECOND) for i, v in enumerate(values)]
        end_us = start_us + len(events) * step_s * SECOND
        self.take(device.name, events, [device.seal(end_us)], received_us=end_us)

    def anchor(self) -> None:
        asyncio.run(self.anchorer.flush())

    def erase(self, subject: str) -> None:
        """Destroy what is stored of a subject, as the gateway does it."""
        log_erasure(self.writer, subject, "tester", "a test", START_US)
        done(self.writer, finish(self.writer))

    def follow(self) -> int:
        reader = SiteReader.open(self.folder)
        try:
            count = 0
            while new := self.index.follow(reader):
                count += new
            return count
        finally:
            reader.close()

    # -- gateway.ingest.inbound.Sink, for the gateway's own records

    def submit(self, inbound: Inbound) -> None:
        (payload,) = inbound.payloads
        inbound.done(self.take(inbound.source, received_us=inbound.received_us, plain=(inbound.kind, payload)))

    def congested(self) -> bool:
        return False

    def crowded(self, lane: str) -> bool:
        return False

    def on_relief(self, wake: Callable[[], None]) -> None:
        wake()

    # -- Live

    def status(self) -> LiveStatus:
        state = self.anchorer.state
        return LiveStatus(
            time.time_ns() // 1000 - 3600 * SECOND, ORIGIN, self.writer.log.size, state.checkpoint_size,
            state.anchored_size, state.anchored_us, self.stored + 3, self.stored, 2, 1, 0, self.connected,
            3_500_000, 10**9, self.problems, self.book.doubtful(),
        )  # fmt: skip

    def invite(self, source: str, settings: SourceSettings) -> str:
        return self.access.invite(source, settings)

    async def add_plain(self, source: str, settings: SourceSettings) -> str:
        password = self.access.add_plain(source, settings)
        await self.registrar.refresh(source)
        return password

    def offer(self, code: str) -> Offer:
        return self.registrar.offer(code)

    async def enrol(self, code: str, algorithm: str, public_key: bytes, proof: bytes) -> Enrolment:
        source, password = await self.registrar.enrol(code, algorithm, public_key, proof)
        key = self.folder.gateway_key().public
        vkeys = tuple(map(str, self.folder.log_vkeys()))
        return Enrolment(source, ORIGIN, "127.0.0.1", 1883, False, password, str(key.algorithm), key.raw, vkeys)

    async def rotate(
        self, source: str, algorithm: str, public_key: bytes, from_index: int, old: bytes, new: bytes
    ) -> None:
        await self.registrar.rotate(source, algorithm, public_key, from_index, old, new)

    async def migrate(self, algorithm: str, *, force: bool = False) -> Migrated:
        raise MigrationError(f"no change to {algorithm} here")

    async def revoke(self, source: str, reason: str, compromised_from: int | None = None) -> None:
        await self.registrar.revoke(source, reason, compromised_from)
