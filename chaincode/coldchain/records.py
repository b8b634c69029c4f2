"""Records of shipments: what was opened, how far it was reported, what is wrong, and what others said of it.

They hold numbers and digests only: no name of goods, no place, no text of an explanation.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from chaincode import arguments
from chaincode.coldchain.alarms import Cause, Finding
from chaincode.coldchain.report import MAX_LOGGERS
from chaincode.evidence import EvidenceRef
from chaincode.state import MAX_NUMBER, digest, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError

MAX_UNITS = 32
MAX_SERIES = 200
MAX_DAY = 100_000
MAX_OPENING_BYTES = 16_384
MAX_ALARMS = 256
_SHIPMENT = frozenset(range(1, 14))
_PROGRESS = frozenset(range(1, 9))
_REPORTED = frozenset(range(1, 6))
_EXPLANATION = frozenset(range(1, 10))
_DISPUTE = frozenset(range(1, 8))
_CAUSES = tuple(Cause)


@dataclass(frozen=True, slots=True)
class Logger:
    """A logger: the source that reports (`origin#name`), its series, the day of its calibration (days since 1970) and
    the SHA-256 of its certificate, None where there is none."""

    handle: str
    series: str
    calibrated: int | None = None
    certificate: bytes | None = None

    @property
    def source(self) -> str:
        return self.handle.partition("#")[2]

    def items(self) -> list[cbor.CborValue]:
        return [self.handle, self.series, self.calibrated, self.certificate]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) != 4 or [type(text) for text in items[:2]] != [str, str]:
            raise FormatError("a logger is a list: origin#name, series, day of calibration or null, digest or null")
        handle = arguments.handle(items[0].encode(), "logger")
        if "#" not in handle or not 1 <= len(items[1]) <= MAX_SERIES or not items[1].isprintable():
            raise FormatError(
                f"a logger is named origin#name, and its series in 1 to {MAX_SERIES} printable characters"
            )
        day = items[2]
        if day is not None and (type(day) is not int or not 0 <= day <= MAX_DAY):
            raise FormatError(f"a day of calibration is null or counts days since 1970, got {day!r:.40}")
        return cls(handle, items[1], day, None if items[3] is None else arguments.digest(items[3], "certificate"))


def loggers_of(data: bytes) -> tuple[Logger, ...]:
    """The argument of `coldchain.open`: a CBOR list of 1 to 16 loggers, none twice."""
    items = cbor.decode(data, MAX_OPENING_BYTES)
    if type(items) is not list or not 1 <= len(items) <= MAX_LOGGERS:
        raise FormatError(f"a shipment has a list of 1 to {MAX_LOGGERS} loggers")
    loggers = tuple(map(Logger.of, items))
    if len({}.fromkeys((logger.handle, logger.series) for logger in loggers)) != len(loggers):
        raise FormatError("a logger's series is named twice")
    return loggers


def units_of(data: bytes) -> tuple[bytes, ...]:
    """The argument of `coldchain.open`: a CBOR list of 1 to 32 unit ids, ascending, none twice."""
    items = cbor.decode(data, MAX_OPENING_BYTES)
    if type(items) is not list or not 1 <= len(items) <= MAX_UNITS:
        raise FormatError(f"a shipment has a list of 1 to {MAX_UNITS} units")
    units = tuple(arguments.digest(unit, "unit id") for unit in items)
    if any(unit >= following for unit, following in pairwise(units)):
        raise FormatError("the units of a shipment are in ascending order, each once")
    return units


@dataclass(frozen=True, slots=True)
class Shipment:
    """What was opened, and never changes: by whom, under which policy, who reports, and who receives."""

    shipment_id: bytes
    policy_id: bytes
    opener: str
    reporter_origin: str
    reporter: str
    recipient: str
    from_us: int
    loggers: tuple[Logger, ...]
    units: tuple[bytes, ...]
    evidence: EvidenceRef
    opened_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(
            self.shipment_id, self.policy_id, self.opener, self.reporter_origin, self.reporter, self.recipient,
            self.from_us, [logger.items() for logger in self.loggers], list(self.units), self.evidence.items(),
            self.opened_us, self.tx_id,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _SHIPMENT, "shipment")
        loggers = tuple(map(Logger.of, cbor.field(item, 9, list, "loggers")))
        units = tuple(arguments.digest(unit, "unit id") for unit in cbor.field(item, 10, list, "units"))
        return cls(
            digest(item, 2, "shipment id"), digest(item, 3, "policy id"), cbor.field(item, 4, str, "opener"),
            cbor.field(item, 5, str, "reporter's origin"), cbor.field(item, 6, str, "reporter"),
            cbor.field(item, 7, str, "recipient"), number(item, 8, "beginning"), loggers, units,
            EvidenceRef.of(item[11]), number(item, 12, "time"), cbor.field(item, 13, str, "transaction id"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """A finding, the number of the report that showed it (0: none did), and when and by which transaction."""

    finding: Finding
    seq: int
    since_us: int
    tx_id: str

    def items(self) -> list[cbor.CborValue]:
        found = self.finding
        return [str(found.cause), found.logger, found.limit, found.figure, self.seq, self.since_us, self.tx_id]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) != 7 or type(items[6]) is not str or items[0] not in _CAUSES:
            raise FormatError("an alarm is a list: cause, logger, limit, figure, report, time, transaction id")
        if not all(type(n) is int and 0 <= n <= MAX_NUMBER for n in items[3:6]):
            raise FormatError("an alarm's figure, report and time are whole numbers")
        if not all(n is None or (type(n) is int and 0 <= n <= MAX_NUMBER) for n in items[1:3]):
            raise FormatError("an alarm names places of a logger and a limit, or null")
        return cls(Finding(Cause(items[0]), *items[1:4]), *items[4:])


@dataclass(frozen=True, slots=True)
class Act:
    """What an organisation did with a shipment: when, by which transaction, and why (empty: no reason is asked for)."""

    organisation: str
    at_us: int
    tx_id: str
    reason: str = ""

    def items(self) -> list[cbor.CborValue]:
        return [self.organisation, self.at_us, self.tx_id, self.reason]

    @classmethod
    def of(cls, items: Any) -> Self | None:
        if items is None:
            return None
        if type(items) is not list or [type(item) for item in items] != [str, int, str, str]:
            raise FormatError("an act is null or a list: organisation, time, transaction id, reason")
        if not 0 <= items[1] <= MAX_NUMBER:
            raise FormatError("the time of an act is in µs since 1970")
        return cls(*items)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a shipment is: number and end (µs) of its newest report (0 and the shipment's beginning before the
    first), all alarms, whether its units are held, the newest release, its closing, and whether it is complete: closed
    and reported up to then, or released thereafter."""

    seq: int
    through_us: int
    alarms: tuple[Alarm, ...] = ()
    held: bool = False
    released: Act | None = None
    closed: Act | None = None
    complete: bool = False

    def encode(self) -> bytes:
        return encoded(
            self.seq, self.through_us, [alarm.items() for alarm in self.alarms], self.held,
            self.released.items() if self.released else None, self.closed.items() if self.closed else None,
            self.complete,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _PROGRESS, "progress of a shipment")
        alarms = tuple(map(Alarm.of, cbor.field(item, 4, list, "alarms")))
        return cls(
            number(item, 2, "report number"), number(item, 3, "time"), alarms, cbor.field(item, 5, bool, "held"),
            Act.of(item[6]), Act.of(item[7]), cbor.field(item, 8, bool, "complete"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """A report as it came, the record that evidences it, and its transaction."""

    report: bytes
    evidence: EvidenceRef
    reported_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(self.report, self.evidence.items(), self.reported_us, self.tx_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _REPORTED, "kept report")
        return cls(
            cbor.field(item, 2, bytes, "report"), EvidenceRef.of(item[3]), number(item, 4, "time"),
            cbor.field(item, 5, str, "transaction id"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an organisation says of an alarm of this figure: a code, and the SHA-256 of a text that stays off the
    ledger. It says nothing of what came to the alarm thereafter."""

    alarm: int
    organisation: str
    code: str
    text_digest: bytes
    evidence: EvidenceRef
    explained_us: int
    tx_id: str
    figure: int

    def encode(self) -> bytes:
        return encoded(
            self.alarm, self.organisation, self.code, self.text_digest, self.evidence.items(), self.explained_us,
            self.tx_id, self.figure,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _EXPLANATION, "explanation")
        return cls(
            number(item, 2, "alarm"), cbor.field(item, 3, str, "organisation"), cbor.field(item, 4, str, "code"),
            digest(item, 5, "digest of the text"), EvidenceRef.of(item[6]), number(item, 7, "time"),
            cbor.field(item, 8, str, "transaction id"), number(item, 9, "figure"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DisputeRecord:
    """What another organisation computed from the same entries, beside what was reported."""

    seq: int
    organisation: str
    recomputed: bytes
    evidence: EvidenceRef
    disputed_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(
            self.seq, self.organisation, self.recomputed, self.evidence.items(), self.disputed_us, self.tx_id
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _DISPUTE, "dispute")
        return cls(
            number(item, 2, "report number"), cbor.field(item, 3, str, "organisation"),
            cbor.field(item, 4, bytes, "recomputed report"), EvidenceRef.of(item[5]), number(item, 6, "time"),
            cbor.field(item, 7, str, "transaction id"),
        )  # fmt: skip
