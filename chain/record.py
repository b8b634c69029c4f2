"""Records: the log's leaves. Small deterministic CBOR without payload; what the ledger and the public see.

A record says who reported what kind of event when, how it was authenticated, and commits to its content. It
is public: nothing in it lets anyone guess a value. Formats: docs/formats/record.md.
"""

from collections.abc import Callable
from enum import IntEnum, IntFlag
from functools import lru_cache
from operator import itemgetter
from typing import Any

from cbor2 import CBORDecodeError
from msgspec import Struct

from chain.event import source_name
from crypto import cbor, flat
from crypto.commitments import EventId
from crypto.errors import FormatError
from crypto.flat import MAX_NUMBER, Shape
from crypto.merkle import HASH_BYTES

VERSION = 1
MAX_RECORD_BYTES = 1024
SEAL_KIND = 4  # a record that logs a seal
ERASURE_KIND = 5  # one that logs an erasure; the other kinds are those of gateway.preprocess
LOGS_OWN = frozenset({SEAL_KIND, ERASURE_KIND})  # kinds of records that have no event

_COMMON = {
    1: ("version", int), 2: ("kind", int), 3: ("source", str), 4: ("boot", int), 5: ("seq", int),
    6: ("sensed time", int), 7: ("received time", int), 8: ("logged time", int), 9: ("authentication", int),
    10: ("flags", int), 11: ("content hash", bytes),
}  # fmt: skip
_EVENT_SHAPE = Shape(_COMMON | {12: ("commitment", bytes)})
_SEAL_SHAPE = Shape(_COMMON | {13: ("count", int)})
_PARTS = itemgetter(2, 4, 5, 6, 7, 9, 10)


class Authentication(IntEnum):
    """How the gateway knew the source when it logged the event."""

    GATEWAY_ONLY = 0  # the gateway's word alone
    SESSION = 1  # an authenticated connection of the enrolled source; its seal may follow
    SIGNED = 2  # a seal over it was verified before it was logged


class RecordFlag(IntFlag):
    """What the gateway noticed. Flagged events are logged like all others, never filtered away."""

    NONE = 0
    SUSPECT = 1  # implausible value or unknown unit
    OUT_OF_RANGE = 2  # outside the source's configured limits: an excursion
    LATE = 4  # received long after it was sensed
    URGENT = 8  # anchored at once
    SEAL_BROKEN = 16  # on a seal record: the events of its range are not those sealed


class Record(Struct, frozen=True):
    """One leaf. Times are microseconds since the Unix epoch: `sensed_us` by the source's clock, `received_us`
    and `logged_us` by the gateway's. For a seal record `seq` is the first number of its range, `count` its
    length, `sensed_us` the time of signing, `content_hash` the leaf hash of the seal bytes and
    `commitment` is empty; for an event `count` is 0. For an erasure: chain.erasure."""

    kind: int
    source: str
    boot: int
    seq: int
    sensed_us: int
    received_us: int
    logged_us: int
    authentication: Authentication
    flags: RecordFlag
    content_hash: bytes
    commitment: bytes
    count: int = 0

    @property
    def event_id(self) -> EventId:
        return EventId(self.source, self.boot, self.seq)

    def encode(self) -> bytes:
        item: dict[int, Any] = {
            1: VERSION, 2: self.kind, 3: self.source, 4: self.boot, 5: self.seq, 6: self.sensed_us,
            7: self.received_us, 8: self.logged_us, 9: int(self.authentication), 10: int(self.flags),
            11: self.content_hash,
        }  # fmt: skip
        if self.kind in LOGS_OWN:
            item[13] = self.count
        else:
            item[12] = self.commitment
        return flat.encode(item)

    @classmethod
    def decode(cls, data: bytes) -> "Record":
        """Strictly parse a leaf; FormatError or LimitError says what is wrong."""
        item = flat.decode(data, MAX_RECORD_BYTES, "a record", _EVENT_SHAPE, _SEAL_SHAPE)
        own = 13 in item
        if item[1] != VERSION:
            raise FormatError(f"record version {item[1]!r} is not known; this program reads version {VERSION}")
        if (item[2] in LOGS_OWN) is not own:
            raise FormatError("a record of a seal or an erasure has key 13 in place of key 12, and no other has")
        for key in (11,) if own else (11, 12):
            if len(item[key]) != HASH_BYTES:
                raise FormatError(f"record key {key} must be {HASH_BYTES} bytes")
        return cls(
            item[2], source_name(item[3]), item[4], item[5], item[6], item[7], item[8],
            _authentication(item[9]), _flags(item[10]), item[11], item.get(12, b""), item.get(13, 0),
        )  # fmt: skip


def content_hash_of(data: bytes) -> bytes:
    """Of a leaf of one's own log, quickly: its content hash. Nothing else is checked; FormatError as in `decode`."""
    try:
        found = cbor.unpack(data)[11]
        if type(found) is bytes and len(found) == HASH_BYTES:
            return found
    except (CBORDecodeError, KeyError, TypeError, IndexError):
        pass  # `decode` says what is wrong
    return Record.decode(data).content_hash


def parts(data: bytes) -> tuple[str, tuple[int, ...]]:
    """Of a leaf of one's own log, quickly: its source, and kind, boot, seq, sensed and received time (µs),
    authentication, flags and count. Only the types and ranges of these are checked; FormatError as in `decode`."""
    try:
        item = cbor.unpack(data)
        numbers = (*_PARTS(item), item.get(13, 0))
        if type(item[3]) is str and type(sum(numbers)) is int and min(numbers) >= 0 and max(numbers) <= MAX_NUMBER:
            return item[3], numbers
    except (CBORDecodeError, KeyError, TypeError, AttributeError, IndexError):
        pass  # `decode` says what is wrong
    Record.decode(data)
    raise FormatError("a leaf whose parts cannot be read is none that this program wrote")


_flags: Callable[[int], RecordFlag] = lru_cache(256)(RecordFlag)  # to look an enumeration up takes ten times as long


@lru_cache(len(Authentication))
def _authentication(number: int) -> Authentication:
    try:
        return Authentication(number)
    except ValueError as e:
        raise FormatError(f"record authentication must be 0, 1 or 2, got {number}") from e
