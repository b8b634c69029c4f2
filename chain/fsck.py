"""Rehashes a whole site, from payloads up to the ledger, and stops at the first false place.

Believes nothing stored but the keys in the data directory, and not those where a policy is given. Works beside
a running gateway: it looks at one snapshot. Checks, in order:

 1. checkpoints: signed by the log's keys, one root a size
 2. log: every entry hashes into every tile, and every kept checkpoint's root
 3. records and ranges: every record is well-formed and indexed exactly once under its number
 4. payloads: every event's bytes and fields are those that its record commits to
 5. seals: every seal is the one its record names, by its source's key, and covers the events stored
 6. ledger: every transaction, the state, and the anchored head
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from chain.errors import FsckError
from chain.event import Event, SignedSeal, content_hash
from chain.ledger.check import check_file
from chain.ledger.store import FILE
from chain.log.rebuild import RebuiltTree
from chain.record import SEAL_KIND, Record
from chain.seal import verify_range, verify_seal
from chain.site import Folder, SiteReader
from chain.store.database import Database
from chain.store.payloads import Segment
from chain.store.ranges import Span
from chain.store.seals import SealState, StoredSeal
from chaincode.identity_records import Identity
from chaincode.log_records import AnchoredCheckpoint
from chaincode.state import head_key, identity_key
from crypto.checkpoint import open_checkpoint
from crypto.commitments import fields_root
from crypto.errors import SealtrailError
from crypto.merkle import leaf_hash

Progress = Callable[[str, int, int], None]
_PAGE = 256
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What was found whole: numbers of entries, payloads, seals, checkpoints and ledger transactions."""

    origin: str
    entries: int
    events: int
    seals: int
    checkpoints: int
    transactions: int


def fsck(folder: Folder, progress: Progress = lambda what, done, total: None) -> FsckReport:
    """Check everything; FsckError names the first false place.

    progress: called with (what, done, total) from time to time.
    """
    reader = SiteReader.open(folder)
    ledger = Database(folder.ledger / FILE, readonly=True)
    try:
        with reader.db.snapshot(), ledger.snapshot():
            return _Fsck(folder, reader, ledger, progress).run()
    except FsckError:
        raise
    except SealtrailError as e:
        raise FsckError(f"the store cannot be read: {e}") from e
    finally:
        ledger.close()
        reader.close()


class _Fsck:
    def __init__(self, folder: Folder, reader: SiteReader, ledger: Database, progress: Progress) -> None:
        self._folder, self._reader, self._ledger, self._progress = folder, reader, ledger, progress
        self._size = reader.entries.size()
        self._roots: dict[int, bytes] = {}

    def run(self) -> FsckReport:
        checkpoints = self._checkpoints()
        events, seals = self._entries()
        self._payloads()
        self._ranges(events)
        self._seals(seals)
        transactions = self._anchor()
        return FsckReport(self._folder.origin, self._size, events, seals, checkpoints, transactions)

    def _checkpoints(self) -> int:
        keys = self._folder.log_vkeys()
        stored = self._reader.checkpoints.kept()
        for row in stored:
            place = f"checkpoint of size {row.size}"
            checkpoint = _at(place, partial(open_checkpoint, row.note, keys)).checkpoint
            if checkpoint.size != row.size or checkpoint.size > self._size:
                raise FsckError(f"{place}: its note is of size {checkpoint.size}, the log has {self._size} entries")
            self._roots[row.size] = checkpoint.root
        return len(stored)

    def _entries(self) -> tuple[int, int]:
        """Hash every entry; compare tiles as they fill and roots as their sizes are passed."""
        tree, counts = RebuiltTree(self._reader.entries), [0, 0]
        self._compare_root(0, tree)
        for index, entry in enumerate(self._reader.entries.entries(0, self._size)):
            record = _at(f"entry {index}", partial(Record.decode, entry))
            tree.add(leaf_hash(entry))
            self._compare_root(index + 1, tree)
            counts[record.kind == SEAL_KIND] += 1
            if record.kind != SEAL_KIND:
                self._indexed(index, record)
            if index % _PAGE == 0:
                self._progress("log", index, self._size)
        tree.finish()
        return counts[0], counts[1]

    def _compare_root(self, size: int, tree: RebuiltTree) -> None:
        if size in self._roots and tree.root() != self._roots[size]:
            raise FsckError(f"log: its first {size} entries do not have the root that was signed for size {size}")

    def _indexed(self, index: int, record: Record) -> None:
        found = self._reader.ranges.leaf_of(record.source, record.boot, record.seq)
        if found != index:
            where = "nowhere" if found is None else f"at entry {found}"
            number = f"{record.source} boot {record.boot} seq {record.seq}"
            raise FsckError(f"index of ranges: {number} is entry {index} of the log, the index has it {where}")

    def _ranges(self, events: int) -> None:
        total = sum(r.count for s in self._reader.ranges.sources() for b in self._reader.ranges.boots(s)
                    for r in self._reader.ranges.stored(s, b))  # fmt: skip
        if total != events:
            raise FsckError(f"index of ranges: it names {total} events, the log holds {events}")

    def _payloads(self) -> None:
        """Every event record has its bytes and fields, in order and without overlap."""
        expected = 0
        for segment in self._segments():
            self._only_seals(expected, segment.first_leaf)
            for offset, stored in enumerate(segment.events):
                index = segment.first_leaf + offset
                record = Record.decode(self._reader.entries.entry(index))
                if content_hash(stored.event) != record.content_hash:
                    raise FsckError(f"payload of entry {index}: its bytes are not those that the record names")
                event = _at(f"payload of entry {index}", partial(Event.decode, stored.event))
                if (event.id, event.kind) != (record.event_id, record.kind):
                    raise FsckError(f"payload of entry {index}: it is of {event.id}, the record of {record.event_id}")
                if fields_root(segment.seed, record.event_id, stored.fields) != record.commitment:
                    raise FsckError(f"fields of entry {index}: they are not those that the record commits to")
            expected = segment.first_leaf + len(segment.events)
            self._progress("payloads", expected, self._size)
        self._only_seals(expected, self._size)

    def _segments(self) -> Iterator[Segment]:
        at = 0
        while page := _at(f"segment at or after entry {at}", partial(self._reader.payloads.segments, at, _PAGE)):
            yield from page
            at = page[-1].first_leaf + len(page[-1].events)

    def _only_seals(self, start: int, stop: int) -> None:
        if start > stop:
            raise FsckError(f"payload of entry {stop}: two segments hold it")
        for index, entry in enumerate(self._reader.entries.entries(start, stop), start):
            if Record.decode(entry).kind != SEAL_KIND:
                raise FsckError(f"payload of entry {index}: it is gone")

    def _seals(self, count: int) -> None:
        seen = 0
        for source in self._reader.ranges.sources():
            identity = self._identity(source)
            for boot in self._reader.seals.boots(source):
                for stored in _at(f"seals of {source}", partial(self._reader.seals.of_boot, source, boot)):
                    _at(f"seal at entry {stored.leaf}", partial(self._seal, stored, identity))
                    seen += 1
        if seen != count:
            raise FsckError(f"seals: {seen} are stored, the log names {count}")

    def _seal(self, stored: StoredSeal, identity: Identity | None) -> None:
        if identity is None:
            raise FsckError(f"{stored.seal.source} has no key on the ledger")
        record = Record.decode(self._reader.entries.entry(stored.leaf))
        if record.kind != SEAL_KIND or record.content_hash != content_hash(stored.signed.seal):
            raise FsckError("the log entry does not name this seal")
        seal = verify_seal(SignedSeal(stored.signed.seal, stored.signed.signature), identity.key_at(stored.leaf))
        span = Span(seal.boot, seal.first, seal.count)
        missing = self._reader.ranges.missing(seal.source, span)
        if bool(missing) != (stored.state is SealState.PENDING):
            raise FsckError(f"its state is {stored.state.name}, {len(missing)} stretches of its events are missing")
        if stored.state is SealState.HOLDS:
            verify_range(seal, self._hashes(seal.source, span))

    def _hashes(self, source: str, span: Span) -> list[bytes]:
        leaves = (self._reader.ranges.leaf_of(source, span.boot, seq) for seq in range(span.first, span.last + 1))
        found = [self._reader.entries.entry(leaf) for leaf in leaves if leaf is not None]
        return [Record.decode(entry).content_hash for entry in found]

    def _identity(self, source: str) -> Identity | None:
        value = self._state(identity_key(source))
        return None if value is None else _at(f"identity of {source}", partial(Identity.decode, value))

    def _state(self, key: str) -> bytes | None:
        row = self._ledger.connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def _anchor(self) -> int:
        self._progress("ledger", 0, 1)
        path, name = self._folder.ledger / FILE, self._folder.ledger_name
        transactions = check_file(path, name, self._folder.ledger_vkeys())
        head = AnchoredCheckpoint.decode(self._state(head_key(self._folder.origin)) or b"")
        if head.size > self._size:
            raise FsckError(f"log: the ledger's anchor is of {head.size} entries, only {self._size} are stored")
        if head.size in self._roots and head.root != self._roots[head.size]:
            raise FsckError(f"log: the ledger anchored another root for size {head.size}")
        return transactions


def _at(place: str, check: Callable[[], _T]) -> _T:
    """Run a check and name the place in its error."""
    try:
        return check()
    except SealtrailError as e:
        raise FsckError(f"{place}: {e}") from e
