"""A stretch: events of one source with consecutive numbers of one boot, checked and on their way into the log.

Two things make one. `Growing` takes any kind of event, one at a time. The native core opens whole messages of plain
readings at once (native/src/stretch.rs); where it was not built, or declines, every event goes the other way. A test
holds both against each other, so that a leaf does not tell which of them made it.
"""

from dataclasses import dataclass, field
from typing import Protocol

from chain.erasure import PERSON
from chain.event import MAX_EVENT_BYTES, Event
from chain.record import Authentication, Record, RecordFlag
from chain.store.segment import StoredEvent, encode_event
from crypto.commitments import fields_root
from crypto.merkle import HASH_BYTES
from gateway.preprocess.kind import Prepared

MAX_EVENTS = 1024  # a stretch fits a segment; whoever reads one event reads its whole segment
# Fields may be some fifty times as long as what came in (a SenML base name stands in every row).
MAX_BYTES = 512 * 1024
assert MAX_EVENT_BYTES <= MAX_BYTES


# A seal as it came: the number of its message, seal, signature; and from the native core what the seal says (Seal
# without its source), None where that is to be decoded, and whether it is known to hold over the events it covers.
CameSeal = tuple[int, bytes, bytes, tuple[int, int, int, bytes, bytes, int, bytes] | None, bool]


class Stretch(Protocol):
    """Events `first` … `first + count - 1` of `boot`. `size` is the bytes of the events together, `hashes` their
    content hashes, `flags` one byte of RecordFlag each."""

    @property
    def boot(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def hashes(self) -> bytes: ...
    @property
    def flags(self) -> bytes: ...

    def authenticate(self, first: int, count: int, authentication: int) -> None:
        """How these numbers, as far as they are here, are authenticated."""

    def leaves(self, seed: bytes, logged_us: int) -> list[bytes]:
        """The records, with commitments under the segment's 32-byte seed."""

    def stored(self) -> bytes:
        """The events as a segment holds them: chain.store.segment, encoded and joined."""


@dataclass(slots=True)
class AdmittedEvent:
    """An event that will be logged."""

    raw: bytes
    event: Event
    hash: bytes
    prepared: Prepared
    received_us: int
    authentication: Authentication
    flags: int


@dataclass(slots=True)
class Growing:
    """A stretch to which events are added one by one."""

    events: list[AdmittedEvent] = field(default_factory=list)
    size: int = 0

    @property
    def boot(self) -> int:
        return self.events[0].event.boot

    @property
    def first(self) -> int:
        return self.events[0].event.seq

    @property
    def count(self) -> int:
        return len(self.events)

    @property
    def subject(self) -> str:
        """Name of the person whom all of these events concern, as their payloads say; empty where they name none."""
        person = self.events[0].prepared.subject
        return PERSON + person if person else ""

    @property
    def hashes(self) -> bytes:
        return b"".join([e.hash for e in self.events])

    @property
    def flags(self) -> bytes:
        return bytes([e.flags for e in self.events])

    def takes(self, e: AdmittedEvent) -> bool:
        """Whether this event continues the stretch, concerns the same person, and has room in it."""
        if not self.events:
            return True
        follows = (e.event.boot, e.event.seq) == (self.boot, self.first + len(self.events))
        follows = follows and e.prepared.subject == self.events[0].prepared.subject
        return follows and len(self.events) < MAX_EVENTS and self.size + len(e.raw) <= MAX_BYTES

    def add(self, e: AdmittedEvent) -> None:
        self.events.append(e)
        self.size += len(e.raw)

    def authenticate(self, first: int, count: int, authentication: int) -> None:
        """See Stretch."""
        start, end = max(first - self.first, 0), max(first + count - self.first, 0)
        for e in self.events[start:end]:
            e.authentication = Authentication(authentication)

    def leaves(self, seed: bytes, logged_us: int) -> list[bytes]:
        """See Stretch."""
        return [_record(e, seed, logged_us) for e in self.events]

    def stored(self) -> bytes:
        """See Stretch."""
        return b"".join([encode_event(StoredEvent(e.raw, e.prepared.fields)) for e in self.events])


def hashes_between(stretch: Stretch, first: int, end: int) -> bytes:
    """The content hashes of a stretch from a number of it on, up to another or to its own end."""
    start, stop = first - stretch.first, end - stretch.first
    if isinstance(stretch, Growing):
        return b"".join([e.hash for e in stretch.events[start:stop]])
    return stretch.hashes[start * HASH_BYTES : stop * HASH_BYTES]


def _record(e: AdmittedEvent, seed: bytes, logged_us: int) -> bytes:
    event = e.event
    commitment = fields_root(seed, event.id, e.prepared.fields)
    return Record(
        event.kind, event.source, event.boot, event.seq, max(e.prepared.sensed_us, 0), e.received_us, logged_us,
        e.authentication, RecordFlag(e.flags), e.hash, commitment,
    ).encode()  # fmt: skip
