"""The JSON of traces. Answers are made of plain values for speed; these models describe them, and tests compare."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TraceThing(_Out):
    """A node of the graph."""

    id: str = Field(examples=["https://id.gs1.org/01/09506000134352/21/1"], description="canonical URI")
    label: str = Field(examples=["pack 09506000134352 serial 1"])
    depth: int = Field(description="how many links from the thing asked about")
    via: Literal["goods", "carrier", "origin"] = Field(
        alias="as", description="followed for itself; because goods were in it; as the lot that goods are of"
    )
    by: str | None = Field(None, description="the partner who told it; absent for this gateway's own")


class TraceLink(_Out):
    """`source` lay in, was made into, or is the lot of `target`."""

    relation: Literal["contained", "made-into", "lot"]
    source: str
    target: str
    record: str = Field(description="the record whose event says so, in the log of this gateway or of `by`")
    from_us: int | None = Field(None, description="of containment")
    until_us: int | None = Field(None, description="of containment; null while it lasts")
    quantity: float | None = None
    uom: str | None = None
    by: str | None = None


class TraceMaterial(TraceLink):
    """An input on the way up."""

    end: bool = Field(description="nothing here says what it was made of")


class TraceParty(_Out):
    """A source or destination of a step."""

    type: str | None
    id: str


class TraceStep(_Out):
    """One event."""

    record: str
    time_us: int
    type: str
    action: str | None
    step: str | None = Field(description="bizStep, CBV's bare word")
    disposition: str | None
    read_point: str | None
    location: str | None
    things: list[str] = Field(description="at most 20 of the traced things in it")
    count: int
    void: bool = Field(description="another event declares it erroneous; it leads nowhere")
    declares_error: bool
    refused: str | None = Field(None, description="why the ledger was not told of it, or did not take it")
    refused_count: int | None = Field(None, description="of how many of the things that is so")
    sources: list[TraceParty] | None = None
    destinations: list[TraceParty] | None = None
    by: str | None = None


class TracePlace(_Out):
    """Where any of it was."""

    id: str
    label: str
    first_us: int
    last_us: int
    events: int
    by: str | None = None


class TraceProduct(_Out):
    """What came of it, by product."""

    product: str
    label: str
    count: int
    things: list[str]
    by: str | None = None


class TraceHolder(_Out):
    """How much of it is where now."""

    place: str | None
    label: str | None
    state: Literal["at", "in transit", "gone"]
    step: str | None
    count: int
    things: list[str]
    last_us: int
    refused: str | None = Field(None, description="why the ledger did not take the event that says so")
    by: str | None = None


class TraceCut(_Out):
    """What was left out and how to go on."""

    direction: str | None = None
    thing: str | None = None
    relation: str | None = None
    shown: int | None = None
    total: int | None = None
    after: str | None = None
    stopped: str | None = None
    steps: int | None = None
    how: str


class TracePartner(_Out):
    """How asking a partner's gateway ended."""

    organisation: str
    state: Literal["answered", "refused", "away"]
    asked: list[str]
    why: str | None = None


class TraceOut(_Out):
    """A graph of things, links and steps, and the lists that people ask for."""

    id: str
    label: str
    direction: Literal["up", "down", "both"]
    indexed: int = Field(description="how many log entries the event index holds")
    things: list[TraceThing]
    links: list[TraceLink]
    steps: list[TraceStep] = Field(description="in order of time; at most 20,000")
    materials: list[TraceMaterial]
    products: list[TraceProduct]
    places: list[TracePlace]
    holders: list[TraceHolder]
    truncated: list[TraceCut] = Field(description="empty when this is all")
    partners: list[TracePartner] = Field([], description="whose gateways were asked")


class TracesOut(_Out):
    """What a gateway shows a partner: a trace of each thing that passed between the two."""

    traces: list[TraceOut] = Field(max_length=64)
