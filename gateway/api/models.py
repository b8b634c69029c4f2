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
    flags: list[str] = Field(examples=[["out-of-range", "urgent"]])
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
    state: str = Field(examples=["holds"], description="holds, pending, missing or false")
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


class SourceOut(Out):
    """A source and how complete it is."""

    name: str = Field(examples=["cold-1"])
    enrolled: bool
    connected: bool
    kinds: list[str]
    events: int
    seals: int
    received_us: int = Field(description="when something of it last arrived, 0 for never")
    boots: int
    missing: int = Field(description="numbers that never arrived although later ones or a seal say they exist")
    unsealed: int


class SourcesOut(Out):
    """Sources by name. Ask again with `after` for those behind them; null at the end."""

    sources: list[SourceOut]
    after: str | None


class KeyOut(Out):
    """One of a source's keys by the contract, and the log indexes where it counts."""

    algorithm: str
    kid: Hex
    from_index: int
    until: int | None
    reason: str


class SeriesOut(Out):
    """A series of readings with its newest value."""

    series: str = Field(examples=["urn:dev:ops:cold-1:temperature"])
    unit: str = Field(examples=["Cel"])
    time_us: int
    value: float
    outside: bool


class SourceDetailOut(SourceOut):
    """A source with its keys and its settings."""

    keys: list[KeyOut]
    limits: list[dict[str, Any]]
    series: list[SeriesOut] | None = Field(description="null without scope auditor or operator")


class SpanOut(Out):
    """The numbers from `first` to `last`, both inside."""

    first: int
    last: int
    count: int


class BootOut(Out):
    """One boot of a source. Lists hold at most 1,000 spans; the counts are exact."""

    boot: int
    first: int
    last: int
    received: int
    missing: int
    gap_count: int
    gaps: list[SpanOut]
    sealed: list[SpanOut]
    unsealed_count: int
    unsealed: list[SpanOut]
    broken: list[SpanOut]


class CompletenessOut(Out):
    """What arrived and what did not, by the source's own numbers."""

    source: str
    from_us: int | None
    to_us: int | None
    complete: bool
    received: int
    missing: int
    unsealed: int
    boots: list[BootOut]
    boots_left_out: int
    missing_boots: list[tuple[int, int]] = Field(description="boot numbers of which nothing at all is known")


class BucketOut(Out):
    """A stretch of a curve."""

    first_us: int
    last_us: int
    low: float
    high: float
    mean: float
    count: int
    outside: int


class CurveOut(Out):
    """A series between two times, lowest and highest value of each stretch."""

    source: str
    series: str
    unit: str
    from_us: int
    to_us: int
    buckets: list[BucketOut]


class ExcursionOut(Out):
    """Consecutive readings out of range."""

    source: str
    series: str
    unit: str
    first_us: int
    last_us: int
    count: int
    low: float
    high: float
    record: str = Field(description="the first record of it")
    ongoing: bool


class AnchorOut(Out):
    """A checkpoint that the ledger holds."""

    size: int
    root: Base64
    created_us: int
    anchored_us: int | None
    tx_id: str | None


class DeadLetterOut(Out):
    """Refused input: why, its size and digest, its first 4 KiB, how often it came."""

    id: int
    at_us: int
    source: str
    door: str
    channel: str
    reason: str
    size: int
    digest: Hex
    head: Base64
    times: int


class AlertOut(Out):
    """Something a person should know."""

    id: int
    at_us: int
    kind: str
    source: str
    text: str
    record: str | None


class StatusOut(Out):
    """The state of the gateway. What follows `ready` is shown to callers with a token only."""

    origin: str = Field(examples=["plant-7.example/line-3"])
    now_us: int
    started_us: int
    log_size: int
    checkpoint_size: int
    anchored_size: int
    anchored_us: int
    events: int
    ready: bool
    received: int | None = None
    stored: int | None = None
    duplicates: int | None = None
    rejected: int | None = None
    queued_bytes: int | None = None
    connected: list[str] | None = None
    disk_bytes: int | None = None
    disk_limit_bytes: int | None = None
    problems: list[str] | None = None


class ReadyOut(Out):
    """Whether the gateway takes events and answers; why not, in words."""

    ready: bool
    problems: list[str]
