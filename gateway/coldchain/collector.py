"""Collects a shipment's readings from the log, as they are logged: each look reads only what is new.

Blocking; used by one thread at a time. Readings whose payload is gone (erased) or that is sealed to others are none:
their absence is a gap, as it is for whoever recomputes.
"""

import bisect

from chain.conditions.report import build_report
from chain.conditions.samples import FIELD, Sample, Sorter
from chain.errors import StoreError
from chain.record import Record
from chain.site import SiteReader
from chain.store.ranges import ROWS
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Shipment
from chaincode.coldchain.report import Report
from gateway.coldchain.errors import ShipmentError

MAX_SAMPLES = 2_000_000  # of one shipment, in memory: a reading a second of one logger for three weeks
_STRETCHES = (
    f"SELECT first_leaf, count FROM {ROWS} WHERE source = (SELECT id FROM source WHERE name = ?)"
    " AND first_leaf + count > ? ORDER BY first_leaf"
)


class Collector:
    """The samples of one shipment's loggers, from the log's entry `first` on. `end`: up to where it has read."""

    def __init__(self, shipment: Shipment, policy: Policy, first: int) -> None:
        self._shipment, self._policy, self.first, self.end = shipment, policy, first, first
        self._sorter = Sorter(shipment.loggers)
        self._newest: dict[int, Sample] = {}  # by the logger's place

    def collect(self, reader: SiteReader, end: int) -> list[Sample]:
        """Read up to entry `end`, not including it; the samples that are new."""
        before = [len(one) for one in self._sorter.samples]
        for source in sorted(self._sorter.sources):
            rows = reader.db.connection.execute(_STRETCHES, (source, self.end)).fetchall()
            for leaf, count in rows:
                self._read(reader, max(leaf, self.end), min(leaf + count, end))
        self.end = max(self.end, end)
        if sum(map(len, self._sorter.samples)) > MAX_SAMPLES:
            raise ShipmentError(f"the shipment has over {MAX_SAMPLES:,} readings; close it and open another one")
        new = [one[n:] for one, n in zip(self._sorter.samples, before, strict=True)]
        self._note(new)
        return [sample for one in new for sample in one]

    def _read(self, reader: SiteReader, start: int, stop: int) -> None:
        if start >= stop:
            return
        for leaf, entry in enumerate(reader.entries.entries(start, stop), start):
            record = Record.decode(entry)
            if self._sorter.wants(record):
                rows = _rows(reader, leaf)
                if rows is not None:
                    self._sorter.add(leaf, record, rows)

    def report(self, seq: int, to_us: int, end: int) -> Report:
        """Report `seq` up to a time, from the entries before `end`, up to where was read at least."""
        window = self._shipment.from_us, to_us
        return build_report(self._policy, seq, window, (self.first, end), self._sorter.samples)

    def newest(self) -> list[Sample | None]:
        """Of each logger its newest reading within the shipment, by the logger's own clock."""
        return [self._newest.get(place) for place in range(len(self._shipment.loggers))]

    def _note(self, new: list[list[Sample]]) -> None:
        for place, samples in enumerate(new):
            for sample in samples:
                known = self._newest.get(place)
                if sample.time_us >= self._shipment.from_us and (known is None or sample.time_us > known.time_us):
                    self._newest[place] = sample


def _rows(reader: SiteReader, leaf: int) -> object:
    """The rows of a reading; None where they cannot be had."""
    try:
        stored = reader.stored(leaf)
    except StoreError:
        return None
    return dict(stored.fields).get(FIELD) if stored else None


def first_leaf_since(reader: SiteReader, at_us: int) -> int:
    """The first entry that was logged at this time (µs) or later, by the gateway's clock."""
    size = reader.entries.size()
    return bisect.bisect_left(range(size), at_us, key=lambda leaf: Record.decode(reader.entries.entry(leaf)).logged_us)
