"""What a kind of event is: how its payload becomes fields, flags and index terms.

Trust boundary: a Kind takes untrusted bytes and a trusted Context. A Prepared is trusted to be well-formed
(bounded, finite numbers, valid UTF-8), never to be true: a sensor may lie.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

from msgspec import Meta

from chain.record import RecordFlag
from crypto.cbor import CborValue

# Combining IntFlag members costs about a microsecond; the hot path combines ints and looks the flag up here.
FLAGS = tuple(RecordFlag(bits) for bits in range(16))
OUTSIDE = int(RecordFlag.OUT_OF_RANGE | RecordFlag.URGENT)
SUBJECT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$(?!\n)"
Subject = Annotated[str, Meta(pattern=SUBJECT_PATTERN, description="pseudonym of the person whom it concerns")]


@dataclass(frozen=True, slots=True)
class Limits:
    """The range that is normal for a series. None leaves a side open. Both ends are inside.

    unit: the unit of the normalised value, for example "Cel"; values of another unit are not compared.
    """

    low: float | None
    high: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Context:
    """What the gateway knows about a payload from outside of it.

    sensed_us: time of the event's envelope, microseconds since the Unix epoch.
    received_us: time of reception by the gateway's clock, same unit.
    limits: (series name, limits); the name "" is every series. The first entry whose name and unit both fit
        decides, so specific entries stand before general ones.
    """

    sensed_us: int
    received_us: int
    limits: tuple[tuple[str, Limits], ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A payload in its normal form.

    fields: (name, value) in the fixed order of the kind; one salted commitment each. An absent field is None,
        so that the commitment tree of a kind always has the same shape.
    sensed_us: the payload's own time where it has one, else the context's.
    index: (term, value) pairs that the record index searches: series, gtin, lot, serial, line, model, input.
    subject: pseudonym of the person whom the event concerns, where the payload names one: it can then be erased alone.
    """

    fields: tuple[tuple[str, CborValue], ...]
    flags: RecordFlag
    sensed_us: int
    index: tuple[tuple[str, str], ...]
    subject: str = ""


class Kind(Protocol):
    """One kind of event. Implementations are stateless."""

    @property
    def name(self) -> str:
        """What the topic calls it."""

    @property
    def code(self) -> int:
        """What the record calls it; never reused."""

    @property
    def version(self) -> int:
        """Version of the schema and of the normalisation: raised whenever either changes."""

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """Parse, check and normalise one payload.

        Raises:
            PayloadRejected: the payload is not acceptable. Nothing else is raised, whatever the bytes are.
        """

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of the payload."""


def excursion(series: str, value: float, unit: str | None, context: Context) -> int:
    """The flag bits of a value against the context's limits: 0, or OUT_OF_RANGE and URGENT together."""
    for name, limits in context.limits:
        if limits.unit == unit and (not name or name == series):
            below = limits.low is not None and value < limits.low
            above = limits.high is not None and value > limits.high
            return OUTSIDE if below or above else 0
    return 0


def named_subject(subject: str | None) -> tuple[tuple[str, CborValue], ...]:
    """The field of a payload that names a person. It is the last one, and only there where one is named, so that
    payloads without it are committed as they were before there was such a field."""
    return () if subject is None else (("subject", subject),)
