"""What is needed to compute a shipment's reports again: what the ledger says of it, and the records of its loggers.

A case is as true as what made it: chain.conditions.opened proves each part of a bundle first. Pure.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chain.conditions.samples import Sample, Sorter
from chain.record import Record
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Progress, Shipment
from chaincode.coldchain.report import Report


@dataclass(frozen=True, slots=True)
class Reported:
    """A report that the contract took, and when (µs since 1970, by the reporter's claim)."""

    report: Report
    at_us: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A record of a logger's source: its place in the log, and the rows of its readings (None: it shows none)."""

    leaf: int
    record: Record
    rows: Any


@dataclass(frozen=True, slots=True)
class Case:
    """Reports by number; records by their place."""

    shipment: Shipment
    policy: Policy
    progress: Progress
    reports: tuple[Reported, ...]
    records: tuple[Shown, ...]

    def samples(self) -> list[list[Sample]]:
        """For each logger its readings, whichever entries they are in."""
        sorter = Sorter(self.shipment.loggers)
        for shown in self.records:
            if shown.rows is not None and sorter.wants(shown.record):
                sorter.add(shown.leaf, shown.record, shown.rows)
        return sorter.samples

    def holes(self) -> list[str]:
        """Numbers of the loggers' sources that no record here has, between some that have: in words. Empty where
        nothing is missing. Every boot but a source's first one here begins with number 0."""
        found, before = [], ""
        for (source, boot), numbers in self._numbers().items():
            known = [-1] * (source == before) + sorted(numbers)
            before = source
            found += [
                f"{source}, boot {boot}: numbers {one + 1} to {following - 1}"
                for one, following in pairwise(known)
                if following != one + 1
            ]
        return found

    def ends(self) -> list[str]:
        """Behind which numbers more may have followed that this file does not show: in words. A boot's last number is
        nowhere told; that one was not left out shows only where a record behind the reports' entries follows."""
        end = self.reports[-1].report.end if self.reports else 0
        numbers = self._numbers()
        silent = sorted(Sorter(self.shipment.loggers).sources - {source for source, _ in numbers})
        return [f"anything of {source}" for source in silent] + [
            f"{source}, boot {boot}, number {max(known)}"
            for (source, boot), known in numbers.items()
            if known[max(known)] < end
        ]

    def _numbers(self) -> dict[tuple[str, int], dict[int, int]]:
        """By source and boot, in order: numbers with the places of their records."""
        found: dict[tuple[str, int], dict[int, int]] = {}
        for shown in self.records:
            found.setdefault((shown.record.source, shown.record.boot), {})[shown.record.seq] = shown.leaf
        return dict(sorted(found.items()))

    def unreadable(self) -> list[int]:
        """Places of readings that show no content: it was erased, or is not in the file."""
        wants = Sorter(self.shipment.loggers).wants
        return [shown.leaf for shown in self.records if shown.rows is None and wants(shown.record)]
