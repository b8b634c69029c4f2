"""A carrier's gateway with real loggers, shipments on its ledger, and the ways in which the carrier lies about them."""

import secrets
from collections.abc import Sequence
from itertools import count

from chain.conditions.exporting import exported, rows_of
from chain.conditions.report import build_report
from chain.conditions.samples import Sample, Sorter
from chain.disclosing import Purpose
from chain.log.proofs import ProofBuilder
from chain.record import Record
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Logger, Progress
from chaincode.coldchain.report import Report
from chaincode.evidence import Evidence
from crypto import cbor
from crypto.checkpoint import Checkpoint
from crypto.note import parse_note
from gateway.ingest.inbound import Verdict
from tests.chain.conditions.readings import MINUTE_US, POLICY, SECOND_US, START_US
from tests.contract_suite.shipments import SIZE, Party
from tests.support.site import Site
from tests.support.source import Source, message

DAY = START_US // (1440 * MINUTE_US)
NUMBERS = count(1)


class Carrier:
    """One journey on a running site: two new loggers, `truck` and `depot`, whose readings are sent as they are made,
    and a shipment. The ledger is called at the time that the test says."""

    def __init__(self, site: Site) -> None:
        number = next(NUMBERS)
        self.site, self.now_us, self.shipment = site, START_US, secrets.token_bytes(32)
        self.truck, self.depot = site.enrol(f"truck-{number}"), site.enrol(f"depot-{number}")
        with site.reader() as reader:
            self.first = reader.entries.size()
        site.gateway.ledger._ledger._now_us = lambda: self.now_us  # type: ignore[attr-defined]

    # -- loggers

    def measure(self, source: Source, *celsius: float, start: float = 0, delay: float = 0, every: float = 5) -> None:
        """Readings from `start` minutes on, each received `delay` minutes after it was made; one seal over all."""
        sent = []
        for place, value in enumerate(celsius):
            made_us = START_US + round((start + place * every) * MINUTE_US)
            raw = source.event([{"n": series(source), "u": "Cel", "v": value}], sensed_us=made_us)
            seals = [source.seal()] if place == len(celsius) - 1 else []
            received_us = made_us + round(delay * MINUTE_US) + SECOND_US
            sent.append(self.site.inbound(source, message([raw], *seals), received_us=received_us))
        assert {*self.site.send_all(sent)} == {Verdict.STORED}

    # -- the ledger

    def at(self, minutes: float) -> int:
        """The ledger is called so many minutes after the start from now on."""
        self.now_us = START_US + round(minutes * MINUTE_US)
        return self.now_us

    def call(self, function: str, *args: bytes) -> bytes:
        return self.site.run(self.site.gateway.ledger.submit(f"coldchain.{function}", *args)).result

    def logger(self, source: Source) -> Logger:
        return Logger(f"{self.origin}#{source.name}", series(source), DAY - 30, bytes(32))

    @property
    def origin(self) -> str:
        return self.site.folder.origin

    def open(self, *sources: Source, policy: Policy = POLICY) -> None:
        self.site.drain()
        self.loggers, self.policy = tuple(map(self.logger, sources or (self.truck,))), policy
        self.call("policy", policy.encode())
        self.call(
            "open", self.shipment, policy.id, self.origin.encode(), b"PharmacyOrg", str(START_US).encode(),
            cbor.encode([logger.items() for logger in self.loggers]), cbor.encode([self.shipment]), self.evidence(),
        )  # fmt: skip
        self.site.wait(self._watched)  # its record is anchored before a report is made of the log's head

    def _watched(self) -> bool:
        """Whether the gateway has heard of the shipment, and noted in its log that it reports on it."""
        tracked = self.site.gateway.supply.cold.concerns(self.shipment)
        return tracked is not None and (tracked.first is None or tracked.leaf is not None)

    def report(
        self, seq: int, minutes: float, samples: Sequence[Sequence[Sample]] | None = None, skip: int = 0
    ) -> Report:
        """The report of everything that is anchored by now; of other samples, or entries, where the carrier lies."""
        self.site.drain()
        window, leaves = (START_US, self.at(minutes)), (self.first + skip, self.anchored())
        return build_report(self.policy, seq, window, leaves, self.samples() if samples is None else samples)

    def submit(self, report: Report) -> Progress:
        return Progress.decode(self.call("report", self.shipment, report.encode(), self.evidence()))

    def close(self) -> None:
        """The pharmacy has the goods, now."""
        pharmacy = Party.named("PharmacyOrg")
        ledger = self.site.gateway.ledger._ledger.as_caller(pharmacy.actor.key, pharmacy.organisation)  # type: ignore[attr-defined]
        for function, args in (
            ("identities.bootstrap", pharmacy.actor.bootstrap()),
            ("logs.register", [pharmacy.origin.encode(), *pharmacy.log.vkeys()]),
            ("logs.anchor", pharmacy.log.anchor(0, SIZE)),
            ("coldchain.close", [self.shipment, pharmacy.evidence()]),
        ):
            self.site.run(ledger.submit(function, *args))

    def anchored(self) -> int:
        with self.site.reader() as reader:
            found = reader.checkpoints.latest_anchored()
        assert found is not None
        return Checkpoint.parse(parse_note(found[0]).text).size

    def evidence(self, index: int = 0) -> bytes:
        size = self.anchored()
        with self.site.reader() as reader:
            proof = ProofBuilder(reader.entries, size).inclusion(index)
            return Evidence(self.origin, size, index, reader.entries.entry(index), proof).encode()

    # -- what is in the log

    def samples(self) -> list[list[Sample]]:
        sorter = Sorter(self.loggers)
        with self.site.reader() as reader:
            for leaf, entry in enumerate(reader.entries.entries(0, reader.entries.size())):
                record = Record.decode(entry)
                if sorter.wants(record):
                    sorter.add(leaf, record, rows_of(reader, leaf))
        return sorter.samples

    def bundle(self) -> bytes:
        purpose = Purpose("the pharmacy", "what became of our vaccines")
        return exported(self.site.folder, self.shipment, purpose)[0]


def series(source: Source) -> str:
    return f"urn:dev:ops:{source.name}:temperature"
