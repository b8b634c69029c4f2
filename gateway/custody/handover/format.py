"""The bytes of a hand-over: parts of items, and notices, each signed by the sender's gateway.

Everything decoded here is untrusted until the signature was verified under a key that the ledger has for the sender,
and what it says until it was compared with the ledger (gateway.custody.handover.checking). docs/formats/handover.md.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chain.event import MAX_EVENT_BYTES
from chain.record import MAX_RECORD_BYTES
from crypto import cbor, labels
from crypto.errors import FormatError, LimitError
from crypto.keys import PrivateKey, PublicKey
from crypto.merkle import HASH_BYTES, MAX_PROOF_HASHES
from gateway.custody.schema import UnitKind

VERSION = 1
MAX_PART_BYTES = 4 * 2**20  # before compression
MAX_BODY_BYTES = 6 * 2**20
PART_BYTES = 512 * 1024  # a part is closed once it has so many
MAX_URI = 256
MAX_PARTS = 8192
ID_BYTES = 32
MEDIA_TYPE = "application/vnd.sealtrail.handover"
UNIT, INSIDE, PACKS, AMOUNT, TREE, PLACES, EVENT = range(7)


@dataclass(frozen=True, slots=True)
class Heading:
    """Of a part or a notice: from which gateway (its name on the ledger) to which organisation, about which
    hand-over."""

    sender: str
    recipient: str
    handover: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Some items of a hand-over, in order. `last`: no part comes behind it."""

    heading: Heading
    number: int
    last: bool
    items: tuple[list[Any], ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something told about a hand-over or about an exception; what is in `body` depends on `kind`."""

    heading: Heading
    kind: str
    body: Any


@dataclass(frozen=True, slots=True)
class SharedEvent:
    """An event with the proof that its record stands in the anchored log `origin`: at `index` of the checkpoint of
    `size` entries. `leaf` is the record, `event` the exact bytes that its content hash is of."""

    origin: str
    index: int
    size: int
    leaf: bytes
    event: bytes
    proof: tuple[bytes, ...]

    def items(self) -> list[Any]:
        return [EVENT, self.origin, self.index, self.size, self.leaf, self.event, list(self.proof)]

    @classmethod
    def of(cls, item: list[Any]) -> "SharedEvent":
        """Of an item that `check_item` took."""
        return cls(item[1], item[2], item[3], item[4], item[5], tuple(item[6]))


def encode_part(part: Part) -> bytes:
    """What is signed."""
    heading = part.heading
    return cbor.encode([
        VERSION, "part", heading.sender, heading.recipient, heading.handover, part.number, part.last, list(part.items),
    ])  # fmt: skip


def encode_notice(notice: Notice) -> bytes:
    heading = notice.heading
    return cbor.encode([
        VERSION, "notice", heading.sender, heading.recipient, heading.handover, notice.kind, notice.body,
    ])  # fmt: skip


def seal_message(message: bytes, key: PrivateKey) -> bytes:
    """The body of a request: zlib of CBOR [message, kid, signature]."""
    return zlib.compress(cbor.encode([message, key.public.kid, key.sign(message, labels.HANDOVER)]), 6)


@dataclass(frozen=True, slots=True)
class Message:
    """A request's body, opened and not believed yet."""

    signed: bytes
    kid: bytes
    signature: bytes
    content: Part | Notice

    def require_signed(self, key: PublicKey) -> None:
        """SignatureError unless this key signed it."""
        key.verify(self.signature, self.signed, labels.HANDOVER)


def open_message(body: bytes) -> Message:
    """1. Limits, also of what is compressed. 2. The envelope. 3. The message and each of its items.

    Raises:
        FormatError, LimitError: it is not of this form.
    """
    if len(body) > MAX_BODY_BYTES:
        raise LimitError(f"a message has at most {MAX_BODY_BYTES:,} bytes, got {len(body):,}")
    envelope = cbor.decode(_inflated(body), MAX_PART_BYTES + 8192, number_keys=False)
    if type(envelope) is not list or [type(one) for one in envelope] != [bytes, bytes, bytes]:
        raise FormatError("a message is a list of signed bytes, key id and signature")
    signed, kid, signature = envelope
    return Message(signed, kid, signature, decode_message(signed))


def decode_message(signed: bytes) -> Part | Notice:
    item = cbor.decode(signed, MAX_PART_BYTES, number_keys=False)
    if type(item) is not list or len(item) < 7 or type(item[0]) is not int or item[0] != VERSION:
        raise FormatError(f"a message is a list that begins with version {VERSION}")
    if [type(one) for one in item[1:5]] != [str, str, str, bytes] or len(item[4]) != ID_BYTES:
        raise FormatError("a message names its kind, sender, recipient and the id of a hand-over")
    heading = Heading(item[2], item[3], item[4])
    if item[1] == "part" and len(item) == 8 and [type(one) for one in item[5:]] == [int, bool, list]:
        for one in item[7]:
            check_item(one)
        if not 0 <= item[5] < MAX_PARTS:
            raise FormatError(f"parts are numbered from 0, and there are at most {MAX_PARTS:,}")
        return Part(heading, item[5], item[6], tuple(item[7]))
    if item[1] == "notice" and len(item) == 7 and type(item[5]) is str:
        return Notice(heading, item[5], item[6])
    raise FormatError(f"a message is a part or a notice, got {item[1]!r:.20}")


def parts_in(signed: Iterable[bytes]) -> Iterator[Part]:
    """The parts in these signed messages, which were verified when they came."""
    for one in signed:
        content = decode_message(one)
        if isinstance(content, Part):
            yield content


def check_item(item: Any) -> None:
    """FormatError unless it is one of the items, by type and length of all its parts."""
    if type(item) is not list or not item or type(item[0]) is not int or not 0 <= item[0] < len(_SHAPES):
        raise FormatError("an item is a list that begins with its number")
    shape = _SHAPES[item[0]]
    if [type(one) for one in item[1:]] != shape:
        raise FormatError(f"item {item[0]} is a list of {len(shape) + 1}, got {[type(one).__name__ for one in item]}")
    if any(type(one) is str and len(one) > MAX_URI for one in item):
        raise FormatError(f"a name in an item has at most {MAX_URI} characters")
    if any(type(one) is int and not 0 <= one < 2**63 for one in item):
        raise FormatError("numbers in items are from 0 to 2^63-1")
    _CHECKS[item[0]](item)


def _unit(item: list[Any]) -> None:
    if len(item[3]) != 32 or item[2] not in list(UnitKind):
        raise FormatError("a unit has a kind from 0 to 3 and a secret of 32 bytes")


def _texts(at: int) -> Any:
    def check(item: list[Any]) -> None:
        if any(type(one) is not str or len(one) > MAX_URI for one in item[at]):
            raise FormatError("things in a unit are named by text")

    return check


def _amount(item: list[Any]) -> None:
    if item[3] == 0:
        raise FormatError("an amount is above zero")


def _tree(item: list[Any]) -> None:
    if not item[3] or len(item[3]) % HASH_BYTES:
        raise FormatError("ids of a tree are 32 bytes each")


def _places(item: list[Any]) -> None:
    for one in item[2]:
        if type(one) is not list or [type(x) for x in one] != [str, int, list] or not 0 <= one[1] < 2**63:
            raise FormatError("a place is a list of pack, index and hashes")
        if len(one[0]) > MAX_URI:
            raise FormatError(f"a name in an item has at most {MAX_URI} characters")
        _hashes(one[2])


def _event(item: list[Any]) -> None:
    if len(item[4]) > MAX_RECORD_BYTES or len(item[5]) > MAX_EVENT_BYTES:
        raise LimitError(f"a record has at most {MAX_RECORD_BYTES} and an event {MAX_EVENT_BYTES} bytes")
    _hashes(item[6])


def _hashes(hashes: Sequence[Any]) -> None:
    if len(hashes) > MAX_PROOF_HASHES or any(type(one) is not bytes or len(one) != HASH_BYTES for one in hashes):
        raise FormatError(f"a proof has at most {MAX_PROOF_HASHES} hashes of {HASH_BYTES} bytes")


# [0, uri, kind, secret] [1, unit, [unit …]] [2, unit, lot, [pack …]] [3, unit, lot, count] [4, lot, first, ids]
# [5, lot, [[pack, index, [hash …]] …]] [6, origin, index, size, record, event, [hash …]]
_SHAPES: list[list[type]] = [
    [str, int, bytes], [str, list], [str, str, list], [str, str, int], [str, int, bytes], [str, list],
    [str, int, int, bytes, bytes, list],
]  # fmt: skip
_CHECKS = [_unit, _texts(2), _texts(3), _amount, _tree, _places, _event]


def _inflated(body: bytes) -> bytes:
    opened = zlib.decompressobj()
    try:
        data = opened.decompress(body, MAX_PART_BYTES + 8192)
    except zlib.error as e:
        raise FormatError(f"a message is compressed as zlib does: {e}") from e
    if opened.unconsumed_tail or not opened.eof:
        raise LimitError(f"a message has at most {MAX_PART_BYTES:,} bytes once it is decompressed")
    return data
