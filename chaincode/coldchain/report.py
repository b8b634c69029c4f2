"""A condition report: what a shipment's loggers measured from its beginning up to a time, in integers.

Every report is of the whole time so far, so that each can be compared with the one before. It is its reporter's claim:
the contract checks what can be checked without the readings (chaincode.coldchain.consistency), and anybody who has the
readings computes it again (chain.conditions). Byte-exact: docs/formats/conditions.md.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from chaincode.coldchain.policy import COLDEST, HOTTEST
from chaincode.state import MAX_NUMBER, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError
from crypto.merkle import HASH_BYTES

RULES: Final = 1  # how figures are computed from readings: docs/formats/conditions.md
MAX_LOGGERS = 16
MAX_REPORT_BYTES = 8192
_REPORT = frozenset(range(1, 9))
_LOGGER_ITEMS = 14


@dataclass(frozen=True, slots=True)
class Outside:
    """Seconds outside one limit, rounded up: the longest stretch, all together, and how much of it lies beyond what the
    policy allows."""

    longest_s: int
    total_s: int
    beyond_s: int


@dataclass(frozen=True, slots=True)
class LoggerReport:
    """One logger's figures. `count` readings of different times lie in the window, the first and the last at these µs;
    temperatures in m°C, None without readings. `longest_gap_s` is the longest time without a reading, ends of the
    window included; `missing_s` what no reading covers, since none holds longer than the policy's gap. Then faults:
    readings that came late, that run backwards against their numbers, of a time that had one already, ahead of their
    reception.
    `digest` is over exactly the readings used."""

    count: int
    first_us: int | None
    last_us: int | None
    least: int | None
    most: int | None
    mkt: int | None
    outside: tuple[Outside, ...]
    longest_gap_s: int
    missing_s: int
    late: int
    backwards: int
    repeated: int
    ahead: int
    digest: bytes

    def items(self) -> list[cbor.CborValue]:
        outside = [[o.longest_s, o.total_s, o.beyond_s] for o in self.outside]
        return [
            self.count, self.first_us, self.last_us, self.least, self.most, self.mkt, outside, self.longest_gap_s,
            self.missing_s, self.late, self.backwards, self.repeated, self.ahead, self.digest,
        ]  # fmt: skip

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) != _LOGGER_ITEMS or type(items[6]) is not list:
            raise FormatError(f"a logger's report is a list of {_LOGGER_ITEMS} items, the seventh a list")
        first_us, last_us = (None if items[place] is None else _count(items[place]) for place in (1, 2))
        gap, missing, late, backwards, repeated, ahead = map(_count, items[7:13])
        if type(items[13]) is not bytes or len(items[13]) != HASH_BYTES:
            raise FormatError(f"the digest of a logger's readings has {HASH_BYTES} bytes")
        return cls(
            _count(items[0]), first_us, last_us, _milli(items[3]), _milli(items[4]), _milli(items[5]),
            tuple(map(_outside, items[6])), gap, missing, late, backwards, repeated, ahead, items[13],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """Report number `seq` (from 1) over from_us ≤ t < to_us, from the entries first ≤ leaf < end of the reporter's log;
    a checkpoint of exactly `end` entries was anchored. Loggers stand in the shipment's order."""

    seq: int
    from_us: int
    to_us: int
    first: int
    end: int
    loggers: tuple[LoggerReport, ...]
    rules: int = RULES

    def encode(self) -> bytes:
        loggers = [logger.items() for logger in self.loggers]
        return encoded(self.rules, self.seq, self.from_us, self.to_us, self.first, self.end, loggers)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """FormatError where it is no report; whether its figures fit together is not asked here."""
        item = fields(data, _REPORT, "condition report")
        loggers = cbor.field(item, 8, list, "loggers of a report")
        if not 1 <= len(loggers) <= MAX_LOGGERS:
            raise FormatError(f"a report is of 1 to {MAX_LOGGERS} loggers, got {len(loggers)}")
        return cls(
            number(item, 3, "report number"), number(item, 4, "beginning"), number(item, 5, "end of the window"),
            number(item, 6, "first entry"), number(item, 7, "end of the entries"),
            tuple(map(LoggerReport.of, loggers)), number(item, 2, "rules"),
        )  # fmt: skip


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise FormatError(f"counts, times and seconds of a report are whole numbers from 0 on, got {value!r:.40}")
    return value


def _milli(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not COLDEST <= value <= HOTTEST):
        raise FormatError(f"a temperature is null or in m°C from {COLDEST} to {HOTTEST}, got {value!r:.40}")
    checked: int | None = value
    return checked


def _outside(items: Any) -> Outside:
    if type(items) is not list or len(items) != 3:
        raise FormatError("time outside a limit is a list: longest stretch, all together, beyond what is allowed")
    return Outside(*map(_count, items))
