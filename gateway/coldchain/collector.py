"""Collects a shipment's readings from the log, as they are logged: each look reads only what is new.

Blocking; used by one thread at a time. Readings whose payload is gone (erased) or that is sealed to others are none:
their absence is a gap, as it is for whoever recomputes. Whoever has too many keeps none: samples lie in memory, some
300 bytes each, and all shipments share the room for them.
"""

import bisect
from threading import Lock

from chain.conditions.exporting import rows_of
from chain.conditions.report import build_report
from chain.conditions.samples import Sample, Sorter
from chain.errors import StoreError
from chain.record import Record
from chain.site import SiteReader
from chain.store.ranges import ROWS
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Shipment
from chaincode.coldchain.report import Report
from gateway.coldchain.errors import ShipmentError

MAX_SAMPLES = 1_000_000  # of one shipment: a reading a second of one logger for eleven days
MAX_TOGETHER = 3_000_000  # of all shipments of this gateway
_BACK = 4096  # entries
_STRETCHES = (
    f"SELECT first_leaf, count FROM {ROWS} WHERE source = (SELECT id FROM source WHERE name = ?)"
    " AND first_leaf + count > ? ORDER BY first_leaf"
)


class Room:
    """How many samples all collectors may still keep. Nobody has more than is left free, so that where it gets narrow
    the largest give way, and the others find room. Safe to use from several threads."""

    def __init__(self, most: int = MAX_TOGETHER) -> None:
        self.free, self._lock = most, Lock()

    def grow(self, held: int, more: int) -> None:
        """For who holds so many; ShipmentError where there is no room."""
        with self._lock:
            if held + more > self.free - more:
                raise ShipmentError("the readings of all shipments under way fill their room; close some of them")
            self.free -= more

    def give_back(self, held: int) -> None:
        with self._lock:
            self.free += held

    def fits(self, count: int) -> bool:
        """Whether somebody who holds none might hold so many."""
        return 2 * count <= self.free


class Collector:
    """The samples of one shipment's loggers, from the log's entry `first` on. `end`: up to where it has read."""

    def __init__(self, shipment: Shipment, policy: Policy, first: int, room: Room) -> None:
        self._shipment, self._policy, self.first, self._room = shipment, policy, first, room
        self._held = self._wanted = 0  # samples that are kept, and that were too many
        self._problem = ""
        self.drop()

    def drop(self) -> None:
        """Keep nothing any more; the next time all is read from the beginning."""
        self._room.give_back(self._held)
        self._held, self.end = 0, self.first
        self._sorter = Sorter(self._shipment.loggers)
        self._newest: dict[int, Sample] = {}  # by the logger's place

    def collect(self, reader: SiteReader, end: int) -> list[Sample]:
        """Read up to entry `end`, not including it; the samples that are new.

        Raises:
            ShipmentError: they are too many. All are dropped, and none is read again before there is room for them.
        """
        if self._wanted > MAX_SAMPLES or not self._room.fits(self._wanted):
            raise ShipmentError(self._problem)
        before, self._wanted = [len(one) for one in self._sorter.samples], 0
        try:
            for source in sorted(self._sorter.sources):
                rows = reader.db.connection.execute(_STRETCHES, (source, self.end)).fetchall()
                for leaf, count in rows:
                    self._read(reader, max(leaf, self.end), min(leaf + count, end))
        except Exception as e:  # whatever it was: what was read must not stay, and be read a second time
            self._problem = str(e)
            self.drop()
            raise
        self.end = max(self.end, end)
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
                    self._count(self._sorter.add(leaf, record, rows))

    def _count(self, added: int) -> None:
        held = self._held + added
        try:
            if held > MAX_SAMPLES:
                raise ShipmentError(f"the shipment has over {MAX_SAMPLES:,} readings; close it and open another one")
            self._room.grow(self._held, added)
        except ShipmentError:
            self._wanted = held
            raise
        self._held = held

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
        return rows_of(reader, leaf)
    except StoreError:
        return None


def first_leaf_since(reader: SiteReader, at_us: int) -> int:
    """The first entry that was logged at this time (µs) or later, by the gateway's clock. That one may have been set
    back: where some of the entries before are of that time too, they belong to it."""
    size = reader.entries.size()
    leaf = bisect.bisect_left(range(size), at_us, key=lambda at: _logged_us(reader.entries.entry(at)))
    while leaf:
        start = max(0, leaf - _BACK)
        before = enumerate(reader.entries.entries(start, leaf), start)
        first = next((at for at, entry in before if _logged_us(entry) >= at_us), None)
        if first is None:
            break
        leaf = first
    return leaf


def _logged_us(entry: bytes) -> int:
    return Record.decode(entry).logged_us
