"""The disclosure file: chosen fields of chosen records for one named auditor, signed by the gateway that made it.

JSON lines: a header with what the records share (checkpoint, ledger evidence, seals, erasures), one line for each
record, and a last line with the signature over the exact bytes before it. Reading it here checks its form and limits
and believes nothing; chain.disclosed does the proving. Formats: docs/formats/disclosure.md.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from chain.errors import ReceiptError
from chain.receipt import FORMAT as RECEIPT_FORMAT
from chain.receipt import (
    MAX_FIELDS,
    MAX_TEXT,
    ErasurePart,
    Field,
    LedgerPart,
    Number,
    Part,
    Path,
    Receipt,
    SealPart,
    Small,
)
from crypto import labels
from crypto.keys import PrivateKey, PublicKey

FORMAT = "sealtrail-disclosure/v1"
MARK = b'{"format":"' + FORMAT.encode() + b'"'  # how a file begins; JSON is written in this one way
MAX_BYTES = 256 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_RECORDS = 10_000
MAX_SHARED = 10_000
Words = Annotated[str, Meta(min_length=1, max_length=200)]
_T = TypeVar("_T")
Signature = Annotated[bytes, Meta(min_length=1, max_length=8192)]


class Header(Part, frozen=True):
    """`to` and `reason` are what the gateway signed the disclosure for; `key` is the id of the auditor's key, where
    there is one: SHA-256 of its raw public key. `gateway` is the ledger's evidence of the gateway's own keys. A seal
    here has no range proof: each record brings its own."""

    format: str
    origin: Words
    to: Words
    reason: Words
    made_us: Number
    count: Annotated[int, Meta(ge=1, le=MAX_RECORDS)]
    checkpoint: Annotated[str, Meta(max_length=MAX_TEXT)]
    gateway: LedgerPart
    anchor: LedgerPart | None = None
    identities: Annotated[tuple[LedgerPart, ...], Meta(max_length=MAX_SHARED)] = ()
    seals: Annotated[tuple[SealPart, ...], Meta(max_length=MAX_SHARED)] = ()
    erasures: Annotated[tuple[ErasurePart, ...], Meta(max_length=MAX_SHARED)] = ()
    key: Annotated[bytes, Meta(min_length=32, max_length=32)] | None = None


class Line(Part, frozen=True):
    """One record. `identity`, `seal` and `erasure` are places in the header's lists."""

    index: Number
    record: Small
    inclusion: Path
    field_count: Number
    fields: Annotated[tuple[Field, ...], Meta(max_length=MAX_FIELDS)] = ()
    event: Small | None = None
    identity: Number | None = None
    seal: Number | None = None
    range_proof: Path = ()
    erasure: Number | None = None


class _End(Part, frozen=True):
    signature: Signature


class Disclosure(msgspec.Struct, frozen=True):
    """What was read: header, records, and the signature over `digest`, the SHA-256 of the bytes before it."""

    header: Header
    lines: tuple[Line, ...]
    digest: bytes
    signature: bytes

    def require_signed(self, key: PublicKey) -> None:
        """SignatureError unless the holder of this key signed exactly these bytes."""
        key.verify(self.signature, self.digest, labels.DISCLOSURE)

    def receipt(self, line: Line) -> Receipt:
        """The receipt that a line stands for; ReceiptError where it points to what the header does not hold."""
        head = self.header
        seal = None if line.seal is None else _at(head.seals, line.seal, "seal")
        return Receipt(
            RECEIPT_FORMAT, line.index, line.record, line.inclusion, head.checkpoint, line.field_count, line.fields,
            line.event, None if seal is None else msgspec.structs.replace(seal, range_proof=line.range_proof),
            None if line.identity is None else _at(head.identities, line.identity, "identity"), head.anchor,
            None if line.erasure is None else _at(head.erasures, line.erasure, "erasure"),
        )  # fmt: skip


def _at(shared: Sequence[_T], place: int, what: str) -> _T:
    if place >= len(shared):
        raise ReceiptError(f"a record names {what} {place} of the disclosure, which has {len(shared)}")
    return shared[place]


_HEADER = msgspec.json.Decoder(Header)
_LINE = msgspec.json.Decoder(Line)
_END = msgspec.json.Decoder(_End)


def encode_disclosure(header: Header, lines: Sequence[Line], key: PrivateKey) -> bytes:
    """The file, signed."""
    parts = [msgspec.json.encode(header), *map(msgspec.json.encode, lines), b""]
    body = b"\n".join(parts)
    signature = key.sign(sha256(body).digest(), labels.DISCLOSURE)
    return body + msgspec.json.encode(_End(signature)) + b"\n"


def parse_disclosure(data: bytes) -> Disclosure:
    """Read a disclosure file; ReceiptError says what is wrong with its form."""
    if len(data) > MAX_BYTES:
        raise ReceiptError(f"a disclosure has at most {MAX_BYTES} bytes, this file has {len(data)}")
    first, *middle = data.split(b"\n")
    rest, last = (middle.pop(), middle.pop()) if len(middle) > 2 else (b"cut", b"")
    if rest or not first.startswith(MARK):
        raise ReceiptError(f"a disclosure is lines of JSON: a header that begins {MARK.decode()}, records, a signature")
    if max(map(len, (first, *middle, last))) > MAX_LINE_BYTES or len(middle) > MAX_RECORDS:
        raise ReceiptError(f"a disclosure has at most {MAX_RECORDS} records, and {MAX_LINE_BYTES} bytes in a line")
    try:
        header, end = _HEADER.decode(first), _END.decode(last)
        lines = tuple(map(_LINE.decode, middle))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise ReceiptError(f"not a disclosure file: {e}") from e
    if header.format != FORMAT:
        raise ReceiptError(f"disclosure format {header.format[:40]!r} is not known; this program reads {FORMAT}")
    return Disclosure(header, lines, sha256(data[: -len(last) - 1]).digest(), end.signature)
