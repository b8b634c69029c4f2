"""A batch in the making: events and seals of many messages, grouped by source, each checked against what is
stored and against what came before it in the same batch.

Nothing is written here. What is admitted will be in one commit; what is refused becomes a dead letter in the
same commit. Single-threaded: owned by the committer.
"""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from chain.errors import LogError, StoreError
from chain.event import Event, SignedSeal, content_hash
from chain.record import Authentication, Record, RecordFlag
from chain.seal import Seal, verify_seal
from chain.site import SiteWriter
from chain.store.seals import SealState, StoredSeal, expected_previous, state_of
from chaincode.identity_records import KeyRecord
from crypto.errors import SealtrailError
from gateway.ingest.inbound import Channel, Inbound, Verdict
from gateway.pipeline.admission import Parcel, open_event
from gateway.pipeline.errors import ConflictError, FaultError, RefusedError
from gateway.pipeline.hashes import RecentHashes
from gateway.pipeline.sources import EnrolledSource
from gateway.preprocess.kind import Context, Prepared

log = logging.getLogger(__name__)
_STORE_FAILURES = (StoreError, LogError, sqlite3.Error, OSError, MemoryError)
FUTURE_TOLERANCE_US = 60_000_000  # clocks differ; beyond a minute ahead an event is suspect


@dataclass(slots=True)
class AdmittedEvent:
    """An event that will be logged."""

    raw: bytes
    event: Event
    hash: bytes
    prepared: Prepared
    received_us: int
    authentication: Authentication
    flags: RecordFlag


@dataclass(slots=True)
class AdmittedSeal:
    """A verified seal that will be logged; `leaf` is its place once it is written."""

    signed: SignedSeal
    seal: Seal
    state: SealState
    message: Inbound
    key: KeyRecord
    leaf: int = -1


@dataclass(slots=True)
class Group:
    """What one source adds in this batch, and what it may be told is stored."""

    source: EnrolledSource
    events: list[AdmittedEvent] = field(default_factory=list)
    seals: list[AdmittedSeal] = field(default_factory=list)
    new: dict[tuple[int, int], AdmittedEvent] = field(default_factory=dict)
    known: list[tuple[int, int, bytes]] = field(default_factory=list)  # duplicates: boot, seq, content hash


@dataclass(frozen=True, slots=True)
class DeadLetterDraft:
    """Refused input on its way into the dead-letter table; `alert` is the kind of alert it deserves, or empty."""

    message: Inbound
    reason: str
    payload: bytes
    alert: str


class Batch:
    """Collects messages until the committer takes it."""

    def __init__(self, site: SiteWriter, recent: RecentHashes, late_after_us: int) -> None:
        self._site = site
        self._recent = recent
        self._late_after_us = late_after_us
        self.groups: dict[str, Group] = {}
        self.refused: list[DeadLetterDraft] = []
        self.events = 0
        self.duplicates = 0

    def refuse(self, message: Inbound, error: SealtrailError, payload: bytes) -> Verdict:
        alert = error.alert if isinstance(error, RefusedError) else ""
        self.refused.append(DeadLetterDraft(message, str(error), payload, alert))
        return error.verdict if isinstance(error, RefusedError) else Verdict.REJECTED

    def add(self, message: Inbound, parcel: Parcel) -> Verdict:
        """Take what is acceptable of a message; the worst verdict over its parts is the message's."""
        group = self._group(parcel.source)
        verdict = Verdict.STORED
        for raw in parcel.events:
            try:
                self._add_event(group, message, raw)
            except Exception as e:  # blame() tells apart whose fault it is
                came = message.payload if message.channel is Channel.PLAIN else raw  # not our envelope around it
                verdict = max(verdict, self.blame(message, e, came))
        for signed in parcel.seals:
            try:
                self._add_seal(group, message, signed)
            except Exception as e:  # likewise
                verdict = max(verdict, self.blame(message, e, signed.seal))
        return verdict

    def _group(self, source: EnrolledSource) -> Group:
        if source.name not in self.groups:
            self._site.payloads.require_writable(source.name)
            self.groups[source.name] = Group(source)
        return self.groups[source.name]

    def blame(self, message: Inbound, error: Exception, payload: bytes) -> Verdict:
        """Refuse input for what it is. The store's failures are raised again: they are not the input's. Any other
        exception is a fault of this program; it costs this one input, so that nothing behind it waits for ever."""
        if isinstance(error, _STORE_FAILURES):
            raise error
        if isinstance(error, SealtrailError):
            return self.refuse(message, error, payload)
        log.error("internal fault on a message of %s", message.source, exc_info=error)
        return self.refuse(message, FaultError(f"internal fault: {error!r:.200}; please report it"), payload)

    def place(self) -> list[Inbound]:
        """Now that the place of every leaf is known: refuse seals whose key does not count there, and all that
        follow them. Returns the messages that lost a seal."""
        at, lost = self._site.log.size, []
        for group in self.groups.values():
            at += len(group.events)
            for position, admitted in enumerate(group.seals):
                if not admitted.key.valid_at(at):
                    lost += self._withdraw(group, position, at)
                    break
                at += 1
        return lost

    def _withdraw(self, group: Group, position: int, at: int) -> list[Inbound]:
        gone, group.seals = group.seals[position:], group.seals[:position]
        for admitted in gone:
            seal = admitted.seal
            self._authenticate(group, seal, Authentication.SESSION)
            reason = f"key {seal.kid.hex()[:16]}… of {seal.source} does not count at entry {at} of the log"
            self.refuse(admitted.message, RefusedError(reason), admitted.signed.seal)
        return [admitted.message for admitted in gone]

    def _add_event(self, group: Group, message: Inbound, raw: bytes) -> None:
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
        prepared = kind.prepare(event.payload, Context(event.sensed_us, message.received_us, group.source.limits))
        flags = int(prepared.flags) | self._clock_flags(event.sensed_us, message.received_us)
        authentication = _authentication(group.source, message)
        admitted = AdmittedEvent(raw, event, hashed, prepared, message.received_us, authentication, RecordFlag(flags))
        group.events.append(admitted)
        group.new[event.boot, event.seq] = admitted
        self.events += 1

    def _clock_flags(self, sensed_us: int, received_us: int) -> int:
        if received_us - sensed_us > self._late_after_us:
            return int(RecordFlag.LATE)
        return int(RecordFlag.SUSPECT) if sensed_us - received_us > FUTURE_TOLERANCE_US else 0

    def _stored_hash(self, group: Group, boot: int, seq: int) -> bytes | None:
        fresh = group.new.get((boot, seq))
        if fresh is not None:
            return fresh.hash
        leaf = self._site.ranges.leaf_of(group.source.name, boot, seq)
        return None if leaf is None else Record.decode(self._site.entries.entry(leaf)).content_hash

    def _add_seal(self, group: Group, message: Inbound, signed: SignedSeal) -> None:
        draft = Seal.decode(signed.seal)
        # 1. The signature, under a key that the contract knows; `place` decides whether it still counts.
        if draft.source != group.source.name:
            raise RefusedError(f"{group.source.name} sent a seal in the name of {draft.source}", Verdict.NOT_AUTHORIZED)
        record = group.source.key(draft.kid)
        if record is None:
            raise RefusedError(f"{draft.source} has no key {draft.kid.hex()[:16]}…; was another one enrolled?")
        seal = verify_seal(signed, record.key)
        # 2. Its place in the source's chain.
        last = self._last_seal(group, seal.source)
        if last and (seal.boot, seal.first) <= (last.seal.boot, last.seal.first):
            self._same_again(group, seal, signed)
            return
        _check_chain(last, seal)
        # 3. Whether its events are here and are those it covers.
        state = self._state(group, seal)
        if state is SealState.HOLDS:
            self._authenticate(group, seal, Authentication.SIGNED)
        group.seals.append(AdmittedSeal(signed, seal, state, message, record))

    def _authenticate(self, group: Group, seal: Seal, authentication: Authentication) -> None:
        for seq in range(seal.first, seal.first + seal.count):
            if (seal.boot, seq) in group.new:
                group.new[seal.boot, seq].authentication = authentication

    def _same_again(self, group: Group, seal: Seal, signed: SignedSeal) -> None:
        stored = self._site.seals.covering(seal.source, seal.boot, seal.first)
        fresh = [s.signed.seal for s in group.seals] + ([stored.signed.seal] if stored else [])
        if signed.seal not in fresh:
            raise ConflictError(f"{seal.source} sealed boot {seal.boot} from seq {seal.first} before, differently")
        self.duplicates += 1

    def _last_seal(self, group: Group, source: str) -> StoredSeal | None:
        if group.seals:
            newest = group.seals[-1]
            return StoredSeal(-1, newest.seal, newest.signed, newest.state)
        return self._site.seals.last(source)

    def _state(self, group: Group, seal: Seal) -> SealState:
        return state_of(seal, self._hashes(group, seal))

    def _hashes(self, group: Group, seal: Seal) -> Sequence[bytes] | None:
        """Content hashes of the sealed range from this batch, from memory or from the log; None if one is missing."""
        found: list[bytes] = []
        recent = self._recent.of(seal.source, seal.boot)
        for seq in range(seal.first, seal.first + seal.count):
            fresh = group.new.get((seal.boot, seq))
            known = fresh.hash if fresh else recent.get(seq)
            if known is None:
                known = self._stored_hash(group, seal.boot, seq)
            if known is None:
                return None
            found.append(known)
        return found

    def resolve_pending(self, stored: StoredSeal) -> SealState:
        """The present state of a seal whose events were not all there when it came."""
        span = stored.seal.span
        if self._site.ranges.missing(stored.seal.source, span):
            return SealState.PENDING
        source = EnrolledSource(stored.seal.source, (), frozenset(), False, ())
        return self._state(Group(source), stored.seal)

    @property
    def urgent(self) -> bool:
        """True where an event of this batch is to be anchored at once."""
        combined = reduce(lambda bits, e: bits | int(e.flags), self.admitted(), 0)
        return bool(combined & RecordFlag.URGENT)

    def admitted(self) -> list[AdmittedEvent]:
        return [event for group in self.groups.values() for event in group.events]


def _authentication(source: EnrolledSource, message: Inbound) -> Authentication:
    session = message.authenticated and not source.plain
    return Authentication.SESSION if session else Authentication.GATEWAY_ONLY


def _check_chain(last: StoredSeal | None, seal: Seal) -> None:
    if last and last.seal.boot == seal.boot and seal.first != last.seal.first + last.seal.count:
        raise RefusedError(
            f"seals cover boots without holes: expected first {last.seal.first + last.seal.count}, got {seal.first}"
        )
    if (last is None or last.seal.boot != seal.boot) and seal.first != 0:
        raise RefusedError(f"the first seal of boot {seal.boot} must begin at 0, got {seal.first}")
    if seal.previous != expected_previous(last, seal):
        raise ConflictError(
            f"the seal of {seal.source} does not follow its last one: two devices with one key, or a lost seal"
        )
