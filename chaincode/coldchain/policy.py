"""A product's temperature policy: what counts as an excursion. Immutable, and named by the hash of its own bytes.

All numbers are integers: temperatures in thousandths of a degree Celsius, spans in seconds, the activation energy in
joules a mole. Whether a limit was exceeded is decided by chaincode.coldchain.alarms, never by who reports.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self

from chaincode.state import encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError

COLDEST, HOTTEST = -273_149, 1_000_000  # m°C; nothing is at the absolute zero
MAX_LIMITS = 8
MAX_SPAN_S = 10 * 366 * 86_400
MAX_NAME = 64
DEFAULT_ACTIVATION = 83_144  # J/mol
MAX_ACTIVATION = 1_000_000
MAX_CALIBRATION_DAYS = 36_500
MAX_POLICY_BYTES = 2048
_POLICY = frozenset(range(1, 9))


class Direction(StrEnum):
    """Which side of a threshold is outside. 8.000 °C is not above 8 °C; 45.000 °C is at least 45 °C."""

    ABOVE = "above"
    AT_LEAST = "at-least"
    BELOW = "below"
    AT_MOST = "at-most"

    @property
    def high(self) -> bool:
        return self in (Direction.ABOVE, Direction.AT_LEAST)


class Mode(StrEnum):
    """Whether each stretch outside counts alone, or all of them together."""

    SINGLE = "single"
    CUMULATIVE = "cumulative"


@dataclass(frozen=True, slots=True)
class Limit:
    """More than `allowed_s` seconds outside `threshold` (m°C) are an excursion."""

    direction: Direction
    threshold: int
    mode: Mode = Mode.SINGLE
    allowed_s: int = 0

    def outside(self, milli: int) -> bool:
        """Whether this temperature (m°C) is on the wrong side."""
        match self.direction:
            case Direction.ABOVE:
                return milli > self.threshold
            case Direction.AT_LEAST:
                return milli >= self.threshold
            case Direction.BELOW:
                return milli < self.threshold
            case Direction.AT_MOST:
                return milli <= self.threshold

    def items(self) -> list[cbor.CborValue]:
        return [str(self.direction), self.threshold, str(self.mode), self.allowed_s]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or [type(item) for item in items] != [str, int, str, int]:
            raise FormatError("a limit is a list: direction, threshold in m°C, mode, allowed seconds")
        direction, threshold, mode, allowed_s = items
        if direction not in _DIRECTIONS or mode not in _MODES:
            raise FormatError(
                f"a limit's direction is one of {', '.join(Direction)} and its mode one of {', '.join(Mode)}"
            )
        return cls(
            Direction(direction), _within(threshold, COLDEST, HOTTEST, "a threshold in m°C"), Mode(mode),
            _within(allowed_s, 0, MAX_SPAN_S, "allowed seconds"),
        )  # fmt: skip


_DIRECTIONS, _MODES = tuple(Direction), tuple(Mode)


@dataclass(frozen=True, slots=True)
class MktLimit:
    """The mean kinetic temperature must not lie above `most` (m°C), over any stretch of `window_s` seconds, or, where
    that is None, over the whole time. `activation` is ΔH in J/mol."""

    most: int
    activation: int = DEFAULT_ACTIVATION
    window_s: int | None = None

    def items(self) -> list[cbor.CborValue]:
        return [self.most, self.activation, self.window_s]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) != 3:
            raise FormatError("an MKT limit is a list: most in m°C, ΔH in J/mol, window in seconds or null")
        return cls(
            _within(items[0], COLDEST, HOTTEST, "an MKT limit in m°C"),
            _within(items[1], 1, MAX_ACTIVATION, "ΔH in J/mol"),
            None if items[2] is None else _within(items[2], 1, MAX_SPAN_S, "the window of an MKT in seconds"),
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits; the longest time without a reading (`gap_s`), which is also how long a reading is held to be true;
    the longest time without a report (`interval_s`); how far a logger's clock may be ahead (`clock_s`); and how many
    days old its calibration may be, None where none is asked for."""

    name: str
    limits: tuple[Limit, ...]
    mkt: MktLimit | None = None
    gap_s: int = 3600
    interval_s: int = 7200
    clock_s: int = 300
    calibration_days: int | None = 365

    @property
    def id(self) -> bytes:
        """SHA-256 of the policy's encoding."""
        return sha256(self.encode()).digest()

    @property
    def activation(self) -> int:
        """ΔH by which an MKT is computed, also where none is limited."""
        return self.mkt.activation if self.mkt else DEFAULT_ACTIVATION

    def encode(self) -> bytes:
        return encoded(
            self.name, [limit.items() for limit in self.limits], self.mkt.items() if self.mkt else None, self.gap_s,
            self.interval_s, self.clock_s, self.calibration_days,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """FormatError says which number lies outside its bounds. A low excursion is never averaged away: a policy with
        an MKT has a limit below as well."""
        item = fields(data, _POLICY, "cold chain policy")
        name, limits = cbor.field(item, 2, str, "policy name"), cbor.field(item, 3, list, "limits")
        if not 1 <= len(name) <= MAX_NAME or not all(" " <= c <= "~" for c in name):
            raise FormatError(f"a policy's name has 1 to {MAX_NAME} printable ASCII characters, got {name[:40]!r}")
        if not 1 <= len(limits) <= MAX_LIMITS:
            raise FormatError(f"a policy has 1 to {MAX_LIMITS} limits, got {len(limits)}")
        days = None if item[8] is None else _within(item[8], 1, MAX_CALIBRATION_DAYS, "days of a calibration")
        made = cls(
            name, tuple(map(Limit.of, limits)), None if item[4] is None else MktLimit.of(item[4]),
            _within(number(item, 5, "longest gap"), 1, MAX_SPAN_S, "the longest gap in seconds"),
            _within(number(item, 6, "interval"), 1, MAX_SPAN_S, "the reporting interval in seconds"),
            _within(number(item, 7, "clock"), 0, MAX_SPAN_S, "a clock's tolerance in seconds"), days,
        )  # fmt: skip
        if made.mkt and all(limit.direction.high for limit in made.limits):
            raise FormatError("a policy with an MKT limit has a limit below too: a mean hides what froze")
        return made


def _within(value: Any, least: int, most: int, what: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise FormatError(f"{what} must be a whole number from {least} to {most}, got {value!r:.40}")
    return value
