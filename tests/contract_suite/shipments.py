"""Who takes part in a shipment in tests, and the arguments of its calls."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

from chain.conditions.report import build_report
from chain.conditions.samples import Sample
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Logger
from chaincode.coldchain.report import Report
from crypto import cbor
from tests.chain.conditions.readings import POLICY, START_US
from tests.contract_suite.actors import Actor, MemoryLog, log_signers, number


class Shipper(Protocol):
    """Whoever has an organisation, and a log with evidence in it."""

    organisation: str
    log: MemoryLog

    def evidence(self) -> bytes: ...


MAKER, CARRIER, WHOLESALER, STRANGER = "MakerOrg", "CarrierOrg", "WholesalerOrg", "StrangerOrg"
SIZE = 64  # entries of each party's log that are anchored
DAY = START_US // 86_400_000_000


@dataclass
class Party:
    """An organisation with its first gateway, and its log in which `SIZE` entries and more can be anchored."""

    organisation: str
    actor: Actor
    log: MemoryLog

    @classmethod
    def named(cls, organisation: str) -> "Party":
        origin = f"{organisation.lower()}.example/gw"
        return cls(
            organisation, Actor(f"{organisation.lower()}/gateway", origin), MemoryLog(origin, log_signers(origin))
        )

    @property
    def origin(self) -> str:
        return self.log.origin

    def evidence(self) -> bytes:
        return self.log.evidence(1, SIZE)


@dataclass(frozen=True)
class Trip:
    """A shipment as its calls name it."""

    reporter: Shipper
    shipment_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    policy: Policy = POLICY
    recipient: str = WHOLESALER
    from_us: int = START_US
    loggers: tuple[Logger, ...] = ()
    units: tuple[bytes, ...] = field(default_factory=lambda: tuple(sorted(secrets.token_bytes(32) for _ in range(3))))

    def opening(self, shipper: Shipper) -> list[bytes]:
        return [
            self.shipment_id, self.policy.id, self.reporter.log.origin.encode(), self.recipient.encode(),
            number(self.from_us), cbor.encode([logger.items() for logger in self.loggers]),
            cbor.encode(list(self.units)), shipper.evidence(),
        ]  # fmt: skip

    def report(self, seq: int, to_us: int, *samples: Sequence[Sample], end: int = SIZE) -> Report:
        return build_report(self.policy, seq, (self.from_us, to_us), (0, end), samples)

    def reporting(self, report: Report) -> list[bytes]:
        return [self.shipment_id, report.encode(), self.reporter.evidence()]

    def explaining(self, alarm: int, by: Shipper) -> list[bytes]:
        text = sha256(b"the battery was empty").digest()
        return [self.shipment_id, number(alarm), b"battery", text, by.evidence()]

    def releasing(self, by: Shipper, reason: bytes = b"stability data cover it") -> list[bytes]:
        return [self.shipment_id, reason, by.evidence()]

    def closing(self, by: Shipper) -> list[bytes]:
        return [self.shipment_id, by.evidence()]

    def disputing(self, report: Report, by: Shipper) -> list[bytes]:
        return [self.shipment_id, number(report.seq), report.encode(), by.evidence()]

    def but(self, **changes: object) -> "Trip":
        return replace(self, **changes)  # type: ignore[arg-type]


def logger_of(party: Shipper, name: str = "logger-1", calibrated: int | None = DAY - 100) -> Logger:
    return Logger(f"{party.log.origin}#{name}", f"urn:dev:ops:{name}:temperature", calibrated, bytes(32))
