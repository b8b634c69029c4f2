"""What a trace is made of. Things and events are numbers of the event index here; texts are put in at the end."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from gateway.trace.spans import Span

MAX_THINGS = 100_000  # the most that may be asked for
DEFAULT_THINGS = 5_000
MAX_STEPS = 20_000
MAX_ROWS = 400_000  # rows of the index that one walk may take
MAX_ROUNDS = 64  # how far from the thing asked about; also ends what goes in circles through ever new spans


class Direction(StrEnum):
    """UP: what it was made of and where it came from; DOWN: where it went and what was made of it."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Relation(StrEnum):
    """What a link says: the first thing lies in the second; was made into it; is the lot of it."""

    CONTAINED = "contained"
    MADE_INTO = "made-into"
    LOT = "lot"


class Mode(StrEnum):
    """Why a thing is followed. CARRIER: others were in it, and where it was they were; what else is in it is not asked.
    ORIGIN: the lot of a thing, of which only counts how it was made, not where the rest of it went."""

    GOODS = "goods"
    CARRIER = "carrier"
    ORIGIN = "origin"


class Row(NamedTuple):
    """One thing in one event."""

    thing: int
    leaf: int
    role: int
    quantity: float | None
    uom: int | None
    type: int
    action: int
    time_us: int
    step: int | None
    disposition: int | None
    read_point: int | None
    location: int | None
    declared: int
    void: int
    source: int

    @property
    def counts(self) -> bool:
        """Whether it says something about the goods: declarations and what they take back do not."""
        return not (self.declared or self.void)


class Link(NamedTuple):
    """`source` lies in, was made into, or is the lot of `target`; `leaf` says so; `span` for containment."""

    relation: Relation
    source: int
    target: int
    leaf: int
    span: Span | None = None
    quantity: float | None = None
    uom: int | None = None


class Cut(NamedTuple):
    """Of a thing's relatives only so many are shown."""

    thing: int
    relation: Relation
    shown: int
    total: int
    last: int  # the last one shown, 0 where none was


@dataclass(slots=True)
class Known:
    """A thing that the walk has met."""

    depth: int
    mode: Mode
    spans: list[Span] = field(default_factory=list)


@dataclass(slots=True)
class Walk:
    """What a walk in one direction has found."""

    direction: Direction
    root: int
    things: dict[int, Known] = field(default_factory=dict)
    rows: dict[int, list[Row]] = field(default_factory=dict)  # of each thing, in its spans, in time order at the end
    links: dict[Link, None] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    stopped: str = ""  # why it ended before its end
