"""The part of fsck that looks at payloads: each is there, opens, and is what its record names, or an entry of the log
says that it was erased.

What is sealed to recipients is counted, and looked into where one of their keys is here. Believes nothing but the log,
which is checked before.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from chain.erased_list import adopted
from chain.erasure import ERASED, open_erasure
from chain.errors import FsckError, SealedError
from chain.event import Event, content_hash
from chain.record import LOGS_OWN, Record
from chain.site import Folder, SiteReader
from chain.store.erasures import ErasureState
from chain.store.segment import Segment
from crypto.commitments import fields_root
from crypto.errors import SealtrailError

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")


def named(place: str, check: Callable[[], _T]) -> _T:
    """Run a check and name the place in its error."""
    try:
        return check()
    except SealtrailError as e:
        raise FsckError(f"{place}: {e}") from e


class PayloadCheck:
    """Of a log of `size` entries. `sealed`: how many payloads nobody here can look into."""

    def __init__(self, folder: Folder, reader: SiteReader, size: int, progress: Progress) -> None:
        self._folder, self._reader, self._size, self._progress = folder, reader, size, progress
        self._erased: dict[int, tuple[int, int]] = {}  # first leaf of a run → its end, the entry that says so
        self._erased_firsts: list[int] = []
        self._tags: set[bytes] = set()
        self.sealed = 0

    @property
    def erased(self) -> int:
        """How many payloads were erased."""
        return sum(end - first for first, (end, _) in self._erased.items())

    def _run(self, query: str) -> sqlite3.Cursor:
        return self._reader.db.connection.execute(query)

    def erasures(self, count: int) -> None:
        """Every statement of erasure is the one that its entry names, and the rows of runs are theirs. What such a
        statement covers may lack its payload, and nothing else may."""
        stored = self._reader.erasures.all()
        for one in stored:
            place, entry = f"erasure at entry {one.leaf}", self._reader.entries.entry
            record = Record.decode(named(place, partial(entry, one.leaf)))
            erasure = named(place, partial(open_erasure, one.statement, record, one.leaf))
            self._erased.update({first: (first + count, one.leaf) for first, count in erasure.runs})
            self._tags.add(erasure.tag)
            if one.state in (ErasureState.LOGGED, ErasureState.DESTROYED):
                raise FsckError(f"{place}: it is not carried out to its end; start the gateway or run sealtrail erase "
                                "--again")  # fmt: skip
        for leaf in self._reader.erasures.put_back():
            raise FsckError(f"erasure at entry {leaf}: payloads that it says are gone are still there; start the "
                            "gateway or run sealtrail erase --again")  # fmt: skip
        own = dict(self._erased)
        for index, erasure in named("erasures.json", lambda: list(adopted(self._folder))):
            self._erased.update({first: (first + count, index) for first, count in erasure.runs})
            self._tags.add(erasure.tag)
        if len(stored) != count:
            raise FsckError(f"erasures: {len(stored)} are stored, the log names {count}")
        if {first: (first + number, leaf) for first, number, leaf in self._reader.erasures.runs()} != own:
            raise FsckError("erasures: the rows of runs are not those of the statements")
        self._erased_firsts = sorted(self._erased)

    def _erased_by(self, leaf: int) -> tuple[int, int] | None:
        """Of a leaf whose payload was erased: where the run ends that it is in, and the entry that says so."""
        at = bisect_right(self._erased_firsts, leaf) - 1
        found = self._erased[self._erased_firsts[at]] if at >= 0 else None
        return found if found and leaf < found[0] else None

    def all(self) -> None:
        """Every event record has its bytes and fields, in order and without overlap, except those that were erased."""
        expected = 0
        while run := named(f"segment at or after entry {expected}", partial(self._reader.payloads.next_run, expected)):
            first, count = run
            segment = named(f"segment at or after entry {first}", partial(self._open, first))
            self._no_payload(expected, first)
            if erased := self._erased_by(first):  # as the list of later erasures says
                raise FsckError(f"payload of entry {first}: entry {erased[1]} says that it was erased, and it is still "
                                "there; run sealtrail erase --again with the list")  # fmt: skip
            if segment is None:
                self.sealed += count
            else:
                self._segment(segment)
            expected = first + count
            self._progress("payloads", expected, self._size)
        self._no_payload(expected, self._size)
        unused = "id NOT IN (SELECT subject FROM segment)"
        for (name,) in self._run(f"SELECT name FROM subject WHERE {unused} AND wrapped_key IS NOT NULL"):
            raise FsckError(f"payloads: a key of {name} is stored without any payload")
        self._tombstones()

    def _open(self, first: int) -> Segment | None:
        """A segment; None where it is sealed to others."""
        try:
            return self._reader.payloads.segments(first, 1)[0]
        except SealedError as e:
            if not e.kids:
                raise
            return None

    def _segment(self, segment: Segment) -> None:
        for offset, stored in enumerate(segment.events):
            index = segment.first_leaf + offset
            record = Record.decode(self._reader.entries.entry(index))
            if content_hash(stored.event) != record.content_hash:
                raise FsckError(f"payload of entry {index}: its bytes are not those that the record names")
            event = named(f"payload of entry {index}", partial(Event.decode, stored.event))
            if (event.id, event.kind) != (record.event_id, record.kind):
                raise FsckError(f"payload of entry {index}: it is of {event.id}, the record of {record.event_id}")
            if fields_root(segment.seed, record.event_id, stored.fields) != record.commitment:
                raise FsckError(f"fields of entry {index}: they are not those that the record commits to")

    def _tombstones(self) -> None:
        """Where a subject's name stood stands the tag of an erasure, once for each."""
        tags = {ERASED + tag.hex() for tag in self._tags}
        rows = {name for (name,) in self._run("SELECT name FROM subject WHERE wrapped_key IS NULL")}
        if rows != tags:
            raise FsckError(f"payloads: {len(rows)} subjects are marked as erased, and are not those of the log's "
                            f"{len(tags)} erased subjects")  # fmt: skip

    def _no_payload(self, start: int, stop: int) -> None:
        """Records of the log's own, and events that were erased."""
        if start > stop:
            raise FsckError(f"payload of entry {stop}: two segments hold it")
        erased_to = start
        for index, entry in enumerate(self._reader.entries.entries(start, stop), start):
            if Record.decode(entry).kind in LOGS_OWN or index < erased_to:
                continue
            erased = self._erased_by(index)
            if erased is None:
                raise FsckError(
                    f"payload of entry {index}: it is gone, and no entry of the log says that it was erased"
                )
            erased_to = erased[0]
