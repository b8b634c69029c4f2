"""The receipt file: everything that proves one record, in one JSON document that is checked offline.

Reading it here checks its form and limits and believes nothing; chain.verify does the proving. Byte strings
are RFC 4648 base64. Formats: docs/formats/receipt.md.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from chain.errors import ReceiptError

FORMAT = "sealtrail-receipt/v1"
MAX_BYTES = 4 * 1024 * 1024
MAX_FIELDS = 1024
MAX_TEXT = 256 * 1024

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Path = Annotated[tuple[Hash, ...], Meta(max_length=63)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Small = Annotated[bytes, Meta(max_length=65_535)]
# A payload of 60,000 bytes may resolve to more: SenML's base name and unit stand in every row.
MAX_VALUE_BYTES = 256 * 1024
Value = Annotated[bytes, Meta(max_length=MAX_VALUE_BYTES)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all parts: what is not named is refused."""


class Field(Part, frozen=True):
    """One disclosed field: its path, its value as canonical CBOR, its salt, its place among the event's
    fields, and the proof from there to the record's commitment root."""

    path: Annotated[str, Meta(max_length=200)]
    value: Value
    salt: Hash
    position: Number
    proof: Path


class SealPart(Part, frozen=True):
    """The source's seal over the event: the seal and its signature, the proof that the event is in its range,
    and the record that logs the seal with its own inclusion proof."""

    seal: Small
    signature: Small
    range_proof: Path
    record: Small
    index: Number
    inclusion: Path


class ErasurePart(Part, frozen=True):
    """The statement that the event's payload was erased, and the record that logs it with its own inclusion proof."""

    statement: Small
    record: Small
    index: Number
    inclusion: Path


class LedgerPart(Part, frozen=True):
    """A ledger transaction with its proof; `kind` says which ledger, `evidence` is in that ledger's form."""

    kind: Annotated[str, Meta(max_length=20)]
    evidence: Annotated[bytes, Meta(max_length=1024 * 1024)]


class Receipt(Part, frozen=True):
    """`event` is absent where its content is not disclosed; `field_count` is how many fields were committed. `erasure`
    is there where the content was erased, and in the receipt of the record that logs the erasure. `sealed_to` is what
    a gateway says of content that it cannot read: whose keys open it."""

    format: str
    index: Number
    record: Small
    inclusion: Path
    checkpoint: Annotated[str, Meta(max_length=MAX_TEXT)]
    field_count: Number
    fields: Annotated[tuple[Field, ...], Meta(max_length=MAX_FIELDS)] = ()
    event: Small | None = None
    seal: SealPart | None = None
    identity: LedgerPart | None = None
    anchor: LedgerPart | None = None
    erasure: ErasurePart | None = None
    sealed_to: Annotated[tuple[Hash, ...], Meta(max_length=64)] = ()

    def to_json(self) -> bytes:
        """The receipt file, indented for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


_DECODER = msgspec.json.Decoder(Receipt)


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt file; ReceiptError says what is wrong with its form."""
    if len(data) > MAX_BYTES:
        raise ReceiptError(f"a receipt has at most {MAX_BYTES} bytes, this file has {len(data)}")
    try:
        receipt = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise ReceiptError(f"not a receipt file: {e}") from e
    if receipt.format != FORMAT:
        raise ReceiptError(f"receipt format {receipt.format[:40]!r} is not known; this program reads {FORMAT}")
    return receipt
