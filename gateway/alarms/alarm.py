"""One alarm, and its form for programs and for people. Byte-exact: docs/formats/alarms.md."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any


class What(StrEnum):
    """What an alarm is about."""

    EXCURSION = "excursion"  # the contract found one, and holds the units
    OVERDUE = "overdue"  # nobody reported in time; the contract holds the units
    EXPLAINED = "explained"  # the reporter says how an alarm came about
    RELEASED = "released"  # another organisation let held units go
    DISPUTE = "dispute"  # somebody computes other figures from the same readings
    EXCEPTION = "exception"  # product without data, data without product, a serial twice
    RECALL = "recall"
    SITE = "site"  # an alert of this gateway: a reading out of range, a gap, an overdue seal, lost deliveries


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    by: str
    reason: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """`id` counts up from 1 and names its place in the stream; `key` is the same for the same trouble, by which it is
    raised once. `at_us` is when this gateway heard of it. `numbers` are the figures, `links` paths at this gateway."""

    id: int
    key: str
    at_us: int
    what: What
    subject: str  # a shipment's id, a source, a target: of whom it is
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    acknowledged: Acknowledgement | None = None

    @property
    def message(self) -> str:
        """Its id for receivers, which no restart and no lost file changes."""
        return f"alarm_{sha256(self.key.encode()).hexdigest()[:32]}"

    def shown(self, origin: str) -> dict[str, Any]:
        """As JSON for programs."""
        done = self.acknowledged
        return {
            "id": str(self.id), "message": self.message, "origin": origin, "what": str(self.what),
            "at_us": self.at_us, "subject": self.subject, "text": self.text, "numbers": dict(self.numbers),
            "links": dict(self.links),
            "acknowledged": {"by": done.by, "reason": done.reason, "at_us": done.at_us} if done else None,
        }  # fmt: skip


def rfc3339(at_us: int) -> str:
    """A time in µs for people; the number itself where no calendar has it."""
    try:
        return datetime.datetime.fromtimestamp(at_us / 1e6, datetime.UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return str(at_us)
