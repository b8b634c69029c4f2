"""What opens a shipment, from names that people use to what the contract takes."""

import datetime
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.conditions.policies import READY_MADE
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Logger
from crypto.cbor import CborValue, encode
from gateway.coldchain.errors import ShipmentError
from gateway.custody.units import Units
from gateway.epcis.identifiers import canonical, sscc_uri

_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class WantedLogger:
    """A source of the reporter's log and its series; `calibrated` is a date, `certificate` a SHA-256 (None: none)."""

    source: str
    series: str
    calibrated: datetime.date | None = None
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """`policy`: a Policy, or the name of a ready-made one. `units`: unit ids as 64 hex digits, or identifiers whose
    secrets custody knows (an SSCC of 18 digits, an EPC URN, a Digital Link). `reporter`: the origin of the log that
    reports; empty: ours. `from_us` 0: now."""

    policy: Policy | str
    recipient: str
    loggers: Sequence[WantedLogger]
    units: Sequence[str]
    reporter: str = ""
    from_us: int = 0
    shipment_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def rules(self) -> Policy:
        """ShipmentError for a name that is not known; FormatError for a policy that the contract would refuse."""
        if isinstance(self.policy, Policy):
            return Policy.decode(self.policy.encode())
        if self.policy not in READY_MADE:
            raise ShipmentError(f"no policy {self.policy!r:.80}; ready-made are {', '.join(READY_MADE)}")
        return READY_MADE[self.policy]

    def arguments(self, origin: str, units: Units) -> list[bytes]:
        """All arguments of `coldchain.open` but the evidence. Blocks for moments."""
        reporter = self.reporter or origin
        loggers: list[CborValue] = [
            Logger(f"{reporter}#{one.source}", one.series, _day(one.calibrated), one.certificate).items()
            for one in self.loggers
        ]
        ids: list[CborValue] = [*sorted({unit_id_of(unit, units) for unit in self.units})]
        from_us = self.from_us or time.time_ns() // 1000
        return [
            self.shipment_id, self.rules().id, reporter.encode(), self.recipient.encode(), str(from_us).encode(),
            encode(loggers), encode(ids),
        ]  # fmt: skip


def _day(date: datetime.date | None) -> int | None:
    return None if date is None else (date - _EPOCH).days


def unit_id_of(text: str, units: Units) -> bytes:
    """A unit by its id in hex, or by an identifier whose secret is known here."""
    if len(text) == 64:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass  # a long identifier, then
    return units.id_of(sscc_uri(text) if len(text) == 18 and text.isdigit() else canonical(text))
