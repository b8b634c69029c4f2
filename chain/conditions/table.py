"""A table of temperatures in CSV, and what it comes to: the mean kinetic temperature, the extremes and the span.

The file is untrusted: what cannot be read is refused with its line. Each temperature holds until the next one, the last
as long as the one before it; so equally spaced readings weigh the same.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from itertools import pairwise

from chain.conditions.errors import ConditionsError
from chain.conditions.mkt import mkt
from chaincode.coldchain.policy import COLDEST, HOTTEST

MAX_BYTES = 64 * 1024 * 1024
MAX_ROWS = 1_000_000
_TIMES = ("time", "timestamp", "date", "datetime")
_TEMPERATURES = ("temperature", "temp", "value")


class Unit(StrEnum):
    """Degrees in which a table is written."""

    CELSIUS = "C"
    FAHRENHEIT = "F"

    def to_milli(self, value: Decimal) -> int:
        """In m°C, half to even."""
        celsius = value if self is Unit.CELSIUS else (value - 32) * 5 / 9
        return int((celsius * 1000).to_integral_value(ROUND_HALF_EVEN))

    def of_milli(self, milli: int) -> float:
        """m°C as a number in this unit."""
        return milli / 1000 if self is Unit.CELSIUS else round(milli * 9 / 5000 + 32, 3)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a table comes to: temperatures in m°C, times in µs since 1970, the span in seconds, the last one's too."""

    count: int
    mkt: int
    least: int
    most: int
    first_us: int
    last_us: int
    span_s: int


def summary(data: bytes, unit: Unit, activation: int) -> Summary:
    """Of a whole file; ConditionsError names the line that cannot be read."""
    rows = sorted(read_table(data, unit))
    for (one_us, _, one), (other_us, _, other) in pairwise(rows):
        if one_us == other_us:
            raise ConditionsError(f"line {max(one, other)}: its time is that of line {min(one, other)}")
    if not rows:
        raise ConditionsError("the table has no rows")
    times, temperatures = [time_us for time_us, _, _ in rows], [milli for _, milli, _ in rows]
    spans = [end - start for start, end in pairwise(times)]
    spans.append(spans[-1] if spans else 1_000_000)
    found = mkt(zip(temperatures, spans, strict=True), activation)
    if found is None:
        raise ConditionsError("the table has no rows")
    return Summary(
        len(rows), found, min(temperatures), max(temperatures), times[0], times[-1], -(-sum(spans) // 1_000_000)
    )


def read_table(data: bytes, unit: Unit) -> Iterator[tuple[int, int, int]]:
    """For each row its time (µs), its temperature (m°C) and its line. A first line without a number names the columns:
    one of time, timestamp, date and one of temperature, temp, value. Else time comes first. Times are ISO 8601; without
    an offset they are UTC."""
    if len(data) > MAX_BYTES:
        raise ConditionsError(f"a table has at most {MAX_BYTES} bytes, this one has {len(data)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ConditionsError(f"the table is not UTF-8: {e}") from e
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        yield from _rows(reader, unit)
    except csv.Error as e:
        raise ConditionsError(f"line {reader.line_num}: {e}") from e


def _rows(reader: Iterable[Sequence[str]], unit: Unit) -> Iterator[tuple[int, int, int]]:
    columns: tuple[int, int] | None = None
    number, width = 0, MAX_ROWS
    for number, cells in enumerate(reader, 1):
        if not any(cell.strip() for cell in cells):
            continue
        if number > MAX_ROWS:
            raise ConditionsError(f"a table has at most {MAX_ROWS:,} rows")
        if columns is None:
            columns = _named(cells)
            if columns is not None:
                width = len(cells)
                continue
            columns = 0, 1
        if len(cells) > width:
            raise ConditionsError(f"line {number}: {len(cells)} cells under {width} names; decimals have a point")
        try:
            yield _time_us(cells[columns[0]]), _milli(cells[columns[1]], unit), number
        except IndexError as e:
            raise ConditionsError(f"line {number}: expected a time and a temperature, got {len(cells)} cells") from e
        except ConditionsError as e:
            raise ConditionsError(f"line {number}: {e}") from e


def _named(cells: Sequence[str]) -> tuple[int, int] | None:
    """The places of the two columns, where the first line names them."""
    names = [cell.strip().lower() for cell in cells]
    times, temperatures = ([names.index(n) for n in wanted if n in names] for wanted in (_TIMES, _TEMPERATURES))
    if times and temperatures:
        return times[0], temperatures[0]
    if not any(character.isdigit() for cell in cells for character in cell):
        known = f"{', '.join(_TIMES)} and {', '.join(_TEMPERATURES)}"
        raise ConditionsError(f"line 1: columns are named one of {known}, got {', '.join(cells)[:80]!r}")
    return None


def _time_us(text: str) -> int:
    try:
        at = datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError as e:
        raise ConditionsError(f"expected a time like 2026-11-23T06:00:00Z, got {text[:40]!r}") from e
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _milli(text: str, unit: Unit) -> int:
    try:
        value = Decimal(text.strip())
    except InvalidOperation as e:
        raise ConditionsError(f"expected a temperature, got {text[:40]!r}") from e
    if not value.is_finite() or abs(value) > 10**6 or "_" in text:  # Python alone reads 1_0 as ten
        raise ConditionsError(f"expected a temperature, got {text[:40]!r}")
    milli = unit.to_milli(value)
    if not COLDEST <= milli <= HOTTEST:
        raise ConditionsError(f"no temperature is {text[:40]} degrees {unit}")
    return milli
