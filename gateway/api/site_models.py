"""The JSON about sources and about the site as a whole; conventions as in gateway.api.models."""

from typing import Any

from pydantic import Field

from gateway.api.models import Base64, Hex, Out


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
    doubtful_from: int | None = Field(description="what it signed from this log index on may be a thief's")
    declared_by: str | None = Field(description="the transaction that declared the compromise")


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


class TlsOut(Out):
    """What TLS did at one place since the start."""

    place: str = Field(description="mqtt, https, or broker: the connections to the side door's broker")
    handshakes: dict[str, int] = Field(description="by the group that each took", examples=[{"X25519MLKEM768": 12}])
    failures: int


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
    doubtful: list[str] | None = Field(default=None, description="sources with a key that was compromised")
    tls: list[TlsOut] | None = None
    groups: dict[str, list[str]] | None = Field(
        None, description="group of each connection at the front door, by source, where TLS is on"
    )
    sessions: int | None = Field(default=None, description="sessions of devices, open now")
    handshakes: int | None = Field(default=None, description="handshakes since the start that became sessions")
    handshakes_refused: int | None = Field(default=None, description="that failed, or were over the budget")


class ReadyOut(Out):
    """Whether the gateway takes events and answers; why not, in words."""

    ready: bool
    problems: list[str]
