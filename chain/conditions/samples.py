"""Readings as conditions are computed from them: from the stored or disclosed field `reading` of a record.

A row counts for a logger by the record's own source and the row's series name, so no reading can be taken for another
logger's. What is no temperature in degrees Celsius is no reading: its absence is a gap.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import sha256
from struct import Struct as Packer
from typing import Any, NamedTuple

from chain.conditions.errors import ConditionsError
from chain.record import Record
from chaincode.coldchain.policy import COLDEST, HOTTEST
from chaincode.coldchain.records import Logger

READING_KIND = 1
FIELD = "reading"
CELSIUS = "Cel"
MAX_TIME_US = 2**63 - 1
_PACKED = Packer(">QIQi")


class Sample(NamedTuple):
    """One reading: its place (leaf of the log, row of the field), the logger's own time (µs), the temperature (m°C),
    and of its record the numbers and when the gateway received it (µs)."""

    leaf: int
    row: int
    time_us: int
    milli: int
    boot: int
    seq: int
    received_us: int


def milli_celsius(value: float) -> int | None:
    """A temperature in m°C, half to even in the shortest decimal form of the number; None where it is none."""
    if type(value) is not float or not math.isfinite(value):
        return None
    milli = int(Decimal(repr(value)).scaleb(3).to_integral_value(ROUND_HALF_EVEN))
    return milli if COLDEST <= milli <= HOTTEST else None


class Sorter:
    """Sorts rows of records into the loggers of a shipment."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._places = {(logger.source, logger.series): place for place, logger in enumerate(loggers)}
        self.sources = frozenset(logger.source for logger in loggers)
        self.samples: list[list[Sample]] = [[] for _ in loggers]

    def wants(self, record: Record) -> bool:
        return record.kind == READING_KIND and record.source in self.sources

    def add(self, leaf: int, record: Record, rows: Any) -> int:
        """The rows of one record's field `reading`, and how many of them are samples; ConditionsError where they are
        none."""
        added = 0
        for row, (series, time_us, milli) in enumerate(_rows(leaf, rows)):
            place = self._places.get((record.source, series))
            if place is not None and milli is not None:
                sample = Sample(leaf, row, time_us, milli, record.boot, record.seq, record.received_us)
                self.samples[place].append(sample)
                added += 1
        return added


def _rows(leaf: int, rows: Any) -> Iterator[tuple[str, int, int | None]]:
    if type(rows) is not list:
        raise ConditionsError(f"record {leaf}: the field {FIELD} must be a list of rows")
    for row in rows:
        if type(row) is not list or len(row) < 4 or type(row[0]) is not str or type(row[3]) is not int:
            raise ConditionsError(f"record {leaf}: a row is [name, value, unit, time in µs, …]")
        if 0 <= row[3] <= MAX_TIME_US:
            yield row[0], row[3], milli_celsius(row[1]) if row[2] == CELSIUS else None
        else:
            yield row[0], 0, None


def digest(samples: Iterable[Sample]) -> bytes:
    """SHA-256 over leaf (8 bytes), row (4), time (8) and m°C (4, signed) of each sample, big-endian, in this order."""
    hasher = sha256()
    for sample in samples:
        hasher.update(_PACKED.pack(sample.leaf, sample.row, sample.time_us, sample.milli))
    return hasher.digest()
