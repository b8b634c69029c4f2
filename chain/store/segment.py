"""The plain content of a payload segment: events as they came, and the fields that their records commit to.

Most of an event's fields are texts that stand in the event itself, so fields are stored as parts: bytes of their
CBOR, and references into the event. Events of one source are much alike, so a segment that is not small is
compressed. Nobody hashes this form; it is authenticated as a whole. Formats: docs/formats/record.md.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chain.errors import StoreError
from crypto import cbor
from crypto.cbor import CborValue

WORTH_COMPRESSING = 2048  # bytes
_ZLIB = b"\x78"  # how a zlib stream begins (RFC 1950 section 2.2, window of 32 KiB), and no segment that is none
SHORTEST_CUT = 12  # bytes; a reference costs up to as many

Fields = tuple[tuple[str, CborValue], ...]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """Exact event bytes and the normalised fields that its record commits to."""

    event: bytes
    fields: Fields


class StoredEvents:
    """The events of a segment, each decoded when it is asked for: there are hundreds, and most readers want one."""

    __slots__ = ("_items",)

    def __init__(self, items: list[list[Any]]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, n: int) -> StoredEvent:
        """The event at place `n`; StoredEvents of another version raise StoreError."""
        event, *parts = self._items[n]
        try:
            return _event(event, parts)
        except (TypeError, ValueError, IndexError) as e:
            raise StoreError(f"event {n} of a segment is not in this version's layout: {e}") from e

    def __iter__(self) -> Iterator[StoredEvent]:
        return (self[n] for n in range(len(self)))


@dataclass(frozen=True, slots=True)
class Segment:
    """Events of consecutive leaves of one subject, and the seed of all their salts. size: its bytes, in clear and not
    compressed."""

    first_leaf: int
    subject: str
    seed: bytes
    events: StoredEvents
    size: int


def encode_event(stored: StoredEvent) -> bytes:
    """One event of a segment: CBOR [event, part, …], a part being bytes or [from, length]."""
    fields = cbor.pack([list(field) for field in stored.fields])
    parts: list[CborValue] = []
    at = behind = (
        0  # in the fields; in the event, where the next text most likely stands: a thousand things do in order
    )
    for text in _texts([value for _, value in stored.fields]):
        there, origin = fields.find(text, at), stored.event.find(text, behind)
        if origin < 0:
            origin = stored.event.find(text)
        if there >= 0 and origin >= 0:
            parts += [fields[at:there], [origin, len(text)]]
            at, behind = there + len(text), origin + len(text)
    return cbor.pack([stored.event, *parts, fields[at:]])


def encode_segment(seed: bytes, count: int, events: Iterable[bytes]) -> bytes:
    """A segment of `count` encoded events, which may come joined: CBOR [seed, [event …]], compressed if it is large."""
    plain = b"\x82" + cbor.pack(seed) + cbor.list_head(count) + b"".join(events)
    return plain if len(plain) < WORTH_COMPRESSING else compress(plain)


def decode_segment(first_leaf: int, subject: str, plain: bytes) -> Segment:
    """Only for bytes whose authenticity was verified before."""
    content = zlib.decompress(plain) if plain[:1] == _ZLIB else plain
    seed, items = cbor.unpack(content)
    return Segment(first_leaf, subject, seed, StoredEvents(items), len(content))


def _event(event: bytes, parts: list[Any]) -> StoredEvent:
    packed = b"".join([p if type(p) is bytes else event[p[0] : p[0] + p[1]] for p in parts])
    return StoredEvent(event, tuple(map(tuple, cbor.unpack(packed))))


def _texts(value: CborValue) -> Iterator[bytes]:
    """Texts that are worth a reference, in the order of their encoding."""
    if isinstance(value, str):
        text = value.encode()
        if len(text) >= SHORTEST_CUT:
            yield text
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _compress(plain: bytes) -> bytes:
    return zlib.compress(plain, 1)


try:
    from crypto.sealtrail_native import compress as compress
except ImportError:  # no Rust compiler was there: slower, not different to whoever reads it
    compress = _compress
