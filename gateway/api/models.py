"""The JSON that the interface answers with. Times are µs since the Unix epoch; hashes are hex, blobs base64."""

import base64
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

Hex = Annotated[bytes, PlainSerializer(lambda b: b.hex(), return_type=str), Field(json_schema_extra={"format": "hex"})]
Base64 = Annotated[
    bytes,
    PlainSerializer(lambda b: base64.b64encode(b).decode(), return_type=str),
    Field(json_schema_extra={"format": "base64"}),
]


class Out(BaseModel):
    """Base of all answers: made from the queries' dataclasses."""

    model_config = ConfigDict(from_attributes=True)


class Term(Out):
    """What a payload says that can be searched."""

    name: str = Field(examples=["lot"])
    value: str = Field(examples=["L2611A"])


class RecordOut(Out):
    """One record of the log."""

    id: str = Field(examples=["4711"], description="index in the log, decimal")
    kind: str = Field(examples=["reading"])
    source: str = Field(examples=["cold-1"])
    boot: int = Field(examples=[3])
    seq: int = Field(examples=[128], description="the event's number in its boot; of a seal, its first one")
    count: int = Field(examples=[0], description="how many events a seal covers; 0 for an event")
    sensed_us: int = Field(examples=[1_795_413_600_000_000])
    received_us: int = Field(examples=[1_795_413_600_250_000])
    authentication: str = Field(examples=["signed"], description="gateway-only, session or signed, when it was logged")
    flags: list[str] = Field(
        examples=[["out-of-range", "urgent"]],
        description="`doubtful`: signed by a key that was in strange hands by then, as declared",
    )
    anchored: bool
    terms: list[Term] = []
    summary: str = Field(default="", examples=["temperature 9.2 °C"])


class RecordPageOut(Out):
    """Some records. Ask again with `cursor` for those behind them; null at the end."""

    records: list[RecordOut]
    cursor: str | None
    indexed: int = Field(description="leaves of the log that the index holds; newer records are not listed yet")


class PayloadOut(Out):
    """What the source sent, exactly."""

    schema_version: int
    base64: Base64
    text: str | None = Field(description="the payload as text, where it is UTF-8")


class FieldOut(Out):
    """One normalised field. Each is committed to with a salt of its own and can be disclosed alone."""

    path: str = Field(examples=["lot"])
    value: Any = Field(examples=["L2611A"])


class SealOut(Out):
    """The device's signature over the range that holds the record."""

    state: str = Field(examples=["holds"], description="none, pending, holds or broken")
    id: str | None = Field(examples=["4720"], description="the record that logs the seal")
    boot: int | None
    first: int | None
    count: int | None
    signed_us: int | None
    kid: Hex | None = Field(description="SHA-256 of the signing key")


class LinkOut(Out):
    """One link of the chain of proof."""

    name: str = Field(examples=["anchor"])
    title: str = Field(examples=["Ledger anchor"])
    state: str = Field(examples=["holds"], description="holds, pending, doubtful, missing or false")
    text: str


class RecordDetailOut(Out):
    """One record with everything about it. Payload and fields are null without scope auditor or operator, for
    seals, and once they were erased."""

    id: str
    kind: str
    source: str
    boot: int
    seq: int
    count: int
    sensed_us: int
    received_us: int
    logged_us: int
    authentication: str
    flags: list[str]
    entry: Base64 = Field(description="the exact leaf, CBOR")
    leaf_hash: Hex
    content_hash: Hex
    commitment: Hex
    erased: bool
    payload: PayloadOut | None
    fields: list[FieldOut] | None
    seal: SealOut
    checkpoint_size: int | None = Field(description="of the signed checkpoint that holds the record")
    anchored: bool
    chain: list[LinkOut]


class InclusionOut(Out):
    """That a record is in the log: RFC 9162 path, leaf to root."""

    index: int
    size: int
    leaf_hash: Hex
    hashes: list[Base64]
    root: Base64
    checkpoint: str | None = Field(default=None, description="the signed note of this size, where it is kept")


class ConsistencyOut(Out):
    """That the tree of `new` entries extends the one of `old`: RFC 9162 proof."""

    old: int
    new: int
    old_root: Base64
    new_root: Base64
    hashes: list[Base64]
