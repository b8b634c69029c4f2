"""A batch in the making: events and seals of many messages, grouped by source, each checked against what is
stored and against what came before it in the same batch.

Nothing is written here. What is admitted will be in one commit; what is refused becomes a dead letter in the
same commit. Single-threaded: owned by the committer. Seals: gateway.pipeline.sealing.
"""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from chain.erasure import PERSON
from chain.errors import LogError, StoreError
from chain.event import content_hash
from chain.record import Authentication, Record, RecordFlag
from chain.site import SiteWriter
from chaincode.identity_records import KeyRecord
from crypto.errors import SealtrailError
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.pipeline.admission import PlainNumbers, admit, open_event, open_message
from gateway.pipeline.errors import ConflictError, FaultError, RefusedError
from gateway.pipeline.group import Group, Judged
from gateway.pipeline.opening import Openers
from gateway.pipeline.sealing import Sealing
from gateway.pipeline.sources import EnrolledSource, SourceBook
from gateway.pipeline.stretch import AdmittedEvent, CameSeal, Stretch, hashes_between
from gateway.preprocess.kind import Context

log = logging.getLogger(__name__)
_URGENT = int(RecordFlag.URGENT)
_STORE_FAILURES = (StoreError, LogError, sqlite3.Error, OSError, MemoryError)
FUTURE_TOLERANCE_US = 60_000_000  # clocks differ; beyond a minute ahead an event is suspect
DECLINED = 16  # messages that go one by one after one that was not in plain form: bounds what is looked at twice


@dataclass(frozen=True, slots=True)
class DeadLetterDraft:
    """Refused input on its way into the dead-letter table; `alert` is the kind of alert it deserves, or empty;
    `subject` is whom it concerns by the source's settings."""

    inbound: Inbound
    reason: str
    payload: bytes
    alert: str
    subject: str


@dataclass(frozen=True, slots=True)
class _WaitingSeals:
    """Seals whose signatures are being verified. They came in messages `at` + n; `key` is the one they are tried by."""

    judged: Judged
    group: Group
    at: int
    seals: Sequence[CameSeal]
    key: KeyRecord | None


class Batch:
    """Collects messages until the committer takes it."""

    def __init__(self, site: SiteWriter, book: SourceBook, numbers: PlainNumbers, openers: Openers,
                 sealing: Sealing, late_after_us: int) -> None:  # fmt: skip
        self._site, self._book, self._numbers = site, book, numbers
        self._openers, self._sealing, self._late_after_us = openers, sealing, late_after_us
        self._waiting: list[_WaitingSeals] = []
        self._ahead = sealing.ahead()
        self.groups: dict[str, Group] = {}
        self.refused: list[DeadLetterDraft] = []
        self.events = 0
        self.duplicates = 0

    def judge(self, judged: Judged) -> None:
        """Take what is acceptable of some messages, and fill in their verdicts."""
        try:
            group = self._group(admit(judged.came, self._book))
        except Exception as e:  # blame() tells apart whose fault it is
            judged.verdicts.extend([self.blame(judged.came, e, payload) for payload in judged.payloads])
            return
        group.session |= judged.came.session
        while len(judged.verdicts) < len(judged.payloads):
            self._many(judged, group)

    def _many(self, judged: Judged, group: Group) -> None:
        """The next messages: as many as are in plain form with new numbers, or some one by one."""
        at, opener = len(judged.verdicts), self._openers.of(group.source)
        known_as = _authentication(group.source, judged.came)
        stretch = opener.open(judged.payloads, at, judged.received_us, known_as) if opener else None
        if stretch is not None and self._is_new(group, stretch):
            group.add(stretch)
            self.events += stretch.count
            judged.verdicts.extend([Verdict.STORED] * stretch.messages)
            self._seals(judged, group, at, stretch.seals)
            return
        for _ in judged.payloads[at : at + (stretch.messages if stretch else DECLINED)]:
            self._one(judged, group)

    def _seals(self, judged: Judged, group: Group, at: int, seals: Sequence[CameSeal]) -> None:
        """Begin to verify the signatures, under the newest key; `judge_seals` does the rest."""
        if not seals:
            return
        key = group.source.keys[-1] if group.source.keys else None
        if key is not None:
            self._ahead.add(key.key, [(seal, signature) for _, seal, signature, _, _ in seals])
        self._waiting.append(_WaitingSeals(judged, group, at, seals, key))

    def judge_seals(self) -> None:
        """When all messages were judged: their seals, in the order in which they came, over all events of the batch."""
        answers = self._ahead.answers()
        for w in self._waiting:
            for came in w.seals:
                self._seal(w.judged, w.group, w.at + came[0], came, w.key if w.key and next(answers) else None)

    def _is_new(self, group: Group, stretch: Stretch) -> bool:
        last = self._site.ranges.last(group.source.name, stretch.boot)
        return (last is None or stretch.first >= last.end) and not group.overlaps(stretch)

    def _one(self, judged: Judged, group: Group) -> None:
        """The next message, in any form, event by event; the worst verdict over its parts is the message's."""
        came, number = judged.came, len(judged.verdicts)
        payload, received_us = judged.payloads[number], judged.received_us[number]
        judged.verdicts.append(Verdict.STORED)
        try:
            message = open_message(came, payload, received_us, group.source, self._numbers)
        except Exception as e:  # blame() tells apart whose fault it is
            judged.worsen(number, self.blame(came, e, payload))
            return
        for raw in message.events:
            try:
                self._add_event(group, came, received_us, raw)
            except Exception as e:  # likewise
                refused = payload if came.channel is Channel.PLAIN else raw  # not our envelope around it
                judged.worsen(number, self.blame(came, e, refused))
        self._seals(judged, group, number, [(0, s.seal, s.signature, None, False) for s in message.seals])
        if group.source.plain and judged.verdicts[number] is not Verdict.STORED:
            self._numbers.give_back(group.source.name)

    def _seal(self, judged: Judged, group: Group, number: int, came: CameSeal, holds_under: KeyRecord | None) -> None:
        try:
            self.duplicates += not self._sealing.add(group, judged, number, came, holds_under)
        except Exception as e:  # likewise
            judged.worsen(number, self.blame(judged.came, e, came[1]))

    def _group(self, source: EnrolledSource) -> Group:
        if source.name not in self.groups:
            self._site.payloads.require_writable(source.subject)
            self.groups[source.name] = Group(source)
        return self.groups[source.name]

    def blame(self, inbound: Inbound, error: Exception, payload: bytes) -> Verdict:
        """Refuse input for what it is. The store's failures are raised again: they are not the input's. Any other
        exception is a fault of this program; it costs this one input, so that nothing behind it waits for ever."""
        if isinstance(error, _STORE_FAILURES):
            raise error
        if isinstance(error, SealtrailError):
            return self.refuse(inbound, error, payload)
        log.error("internal fault on a message of %s", inbound.source, exc_info=error)
        return self.refuse(inbound, FaultError(f"internal fault: {error!r:.200}; please report it"), payload)

    def refuse(self, inbound: Inbound, error: SealtrailError, payload: bytes) -> Verdict:
        alert = error.alert if isinstance(error, RefusedError) else ""
        source = self._book.get(inbound.source)
        subject = source.subject if source else inbound.source
        self.refused.append(DeadLetterDraft(inbound, str(error), payload, alert, subject))
        return error.verdict if isinstance(error, RefusedError) else Verdict.REJECTED

    def place(self, at: int) -> None:
        """Now that the place of every leaf is known, the first being entry `at`: refuse seals whose key does not
        count there, and all that follow them."""
        for group in self.groups.values():
            at += group.count
            for position, admitted in enumerate(group.seals):
                if not admitted.key.valid_at(at):
                    self._withdraw(group, position, at)
                    break
                at += 1
            group.authenticate()

    def _withdraw(self, group: Group, position: int, at: int) -> None:
        gone, group.seals = group.seals[position:], group.seals[:position]
        for admitted in gone:
            seal = admitted.seal
            reason = f"key {seal.kid.hex()[:16]}… of {seal.source} does not count at entry {at} of the log"
            refused = self.refuse(admitted.judged.came, RefusedError(reason), admitted.signed.seal)
            admitted.judged.worsen(admitted.number, refused)

    def _add_event(self, group: Group, came: Inbound, received_us: int, raw: bytes) -> None:
        event, kind = open_event(raw, group.source)
        hashed = content_hash(raw)
        # 1. Exactly once: the same number with the same bytes is stored already, with other bytes a conflict.
        stored = self._stored_hash(group, event.boot, event.seq)
        if stored is not None:
            if stored != hashed:
                raise ConflictError(f"boot {event.boot} seq {event.seq} of {event.source} came again with other bytes")
            group.known.append((event.boot, event.seq, hashed))
            self.duplicates += 1
            return
        # 2. The kind's own rules.
        prepared = kind.prepare(event.payload, Context(event.sensed_us, received_us, group.source.limits))
        if prepared.subject:
            self._site.payloads.require_writable(PERSON + prepared.subject)
        flags = int(prepared.flags) | self._clock_flags(event.sensed_us, received_us)
        authentication = _authentication(group.source, came)
        group.add_event(AdmittedEvent(raw, event, hashed, prepared, received_us, authentication, flags))
        self.events += 1

    def _clock_flags(self, sensed_us: int, received_us: int) -> int:
        if received_us - sensed_us > self._late_after_us:
            return int(RecordFlag.LATE)
        return int(RecordFlag.SUSPECT) if sensed_us - received_us > FUTURE_TOLERANCE_US else 0

    def _stored_hash(self, group: Group, boot: int, seq: int) -> bytes | None:
        fresh = group.at(boot, seq)
        if fresh is not None:
            return hashes_between(fresh, seq, seq + 1)
        leaf = self._site.ranges.leaf_of(group.source.name, boot, seq)
        return None if leaf is None else Record.decode(self._site.entries.entry(leaf)).content_hash

    @property
    def urgent(self) -> bool:
        """True where an event of this batch is to be anchored at once."""
        flags = set[int]().union(*[stretch.flags for group in self.groups.values() for stretch in group.stretches])
        return any(bits & _URGENT for bits in flags)


def _authentication(source: EnrolledSource, inbound: Inbound) -> Authentication:
    session = inbound.authenticated and not source.plain
    return Authentication.SESSION if session else Authentication.GATEWAY_ONLY
