"""Events as devices send them: numbered, blinded, exact bytes; and the wire message that carries them.

Everything decoded here is untrusted until a seal over it was verified. The bytes a device sent are kept and
hashed as they came, never encoded again. Formats: docs/formats/device.md.
"""

import re
from dataclasses import dataclass

from msgspec import Struct

from crypto import cbor, flat
from crypto.commitments import EventId
from crypto.errors import FormatError, LimitError
from crypto.flat import Shape
from crypto.merkle import leaf_hash

VERSION = 1
BLIND_BYTES = 16  # random: without it a neighbour's hash in a seal proof could be guessed back to its value
MAX_PAYLOAD_BYTES = 60_000
MAX_EVENT_BYTES = MAX_PAYLOAD_BYTES + 256
MAX_MESSAGE_BYTES = 256 * 1024
MAX_EVENTS_PER_MESSAGE = 1024
SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

_SHAPE = Shape({
    1: ("version", int), 2: ("source", str), 3: ("boot", int), 4: ("seq", int), 5: ("kind", int),
    6: ("schema version", int), 7: ("sensed time", int), 8: ("blind", bytes), 9: ("payload", bytes),
})  # fmt: skip


class Event(Struct, frozen=True):
    """What a source reports. `boot` and `seq` number it, `sensed_us` is the source's clock in microseconds
    since the Unix epoch, `payload` the exact bytes of its kind's schema, `blind` 16 random bytes."""

    source: str
    boot: int
    seq: int
    kind: int
    schema: int
    sensed_us: int
    blind: bytes
    payload: bytes

    @property
    def id(self) -> EventId:
        return EventId(self.source, self.boot, self.seq)

    def encode(self) -> bytes:
        """Canonical CBOR map with the integer keys 1 to 9."""
        return flat.encode({
            1: VERSION, 2: self.source, 3: self.boot, 4: self.seq, 5: self.kind,
            6: self.schema, 7: self.sensed_us, 8: self.blind, 9: self.payload,
        })  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "Event":
        """Strictly parse event bytes.

        Raises:
            LimitError, FormatError: too large, not canonical, or a field of the wrong type or range.
        """
        item = flat.decode(data, MAX_EVENT_BYTES, "an event", _SHAPE)
        if item[1] != VERSION:
            raise FormatError(f"event version {item[1]} is not known; this program reads version {VERSION}")
        blind, payload = item[8], item[9]
        if len(blind) != BLIND_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
            raise LimitError(f"an event has a blind of {BLIND_BYTES} and a payload of ≤ {MAX_PAYLOAD_BYTES} bytes")
        return cls(source_name(item[2]), item[3], item[4], item[5], item[6], item[7], blind, payload)


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers first … first+count-1 of one boot, wherever they are stored or missing."""

    boot: int
    first: int
    count: int

    @property
    def last(self) -> int:
        return self.first + self.count - 1


def source_name(name: object) -> str:
    """The name itself if it can name a source (and stand in a topic and a path), else FormatError."""
    if type(name) is not str or not SOURCE_NAME.fullmatch(name):
        rule = "a source name is 1 to 64 of a-z 0-9 . _ - and starts with a letter or digit"
        raise FormatError(f"{rule}, got {name!r:.80}")
    return name


def content_hash(event: bytes) -> bytes:
    """RFC 9162 leaf hash of the exact event bytes: stands in the record and under the source's seal."""
    return leaf_hash(event)


class SignedSeal(Struct, frozen=True):
    """A seal's exact bytes and the signature over them; see chain.seal."""

    seal: bytes
    signature: bytes


class Message(Struct, frozen=True):
    """One publication of a source: the exact bytes of its events, in order, and the seals it adds."""

    events: tuple[bytes, ...]
    seals: tuple[SignedSeal, ...]

    def encode(self) -> bytes:
        """Canonical CBOR [1, [event…], [[seal, signature]…]]."""
        seals = [[signed.seal, signed.signature] for signed in self.seals]
        return cbor.encode([VERSION, list(self.events), seals])

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        """Parse the outer message only; events and seals stay bytes until their own decoders read them."""
        item = cbor.decode(data, MAX_MESSAGE_BYTES, number_keys=False)
        if type(item) is not list or len(item) != 3 or type(item[0]) is not int or item[0] != VERSION:
            raise FormatError(f"a device message is [{VERSION}, [events], [[seal, signature]…]]")
        events, seals = item[1], item[2]
        if type(events) is not list or type(seals) is not list or (not events and not seals):
            raise FormatError("a device message holds a list of events and a list of seals, not both empty")
        if len(events) > MAX_EVENTS_PER_MESSAGE or len(seals) > MAX_EVENTS_PER_MESSAGE:
            raise LimitError(f"a message has at most {MAX_EVENTS_PER_MESSAGE} events and as many seals")
        if any(type(event) is not bytes for event in events):
            raise FormatError("every event of a message must be a byte string")
        return cls(tuple(events), tuple(_signed_seal(pair) for pair in seals))


def _signed_seal(pair: object) -> SignedSeal:
    if type(pair) is not list or len(pair) != 2 or any(type(part) is not bytes for part in pair):
        raise FormatError("every seal of a message must be a pair of byte strings: seal and signature")
    return SignedSeal(pair[0], pair[1])
