"""Rehashes a whole site, from payloads up to the ledger, and stops at the first false place.

Believes nothing stored but the keys in the data directory, and not those where a policy is given. Works beside
a running gateway: it looks at one snapshot. Checks, in order:

 0. files: what SQLite itself can say of them
 1. checkpoints: signed by the log's keys, one root a size, marked as the ledger says, none gone
 2. log: every entry hashes into every tile, and every kept checkpoint's root
 3. records and ranges: every record is well-formed and indexed exactly once under its number
 4. payloads: every event's bytes and fields are those that its record commits to, but where an entry of the log says
    that they were erased, or they are sealed to recipients whose keys are not here
 5. seals: every seal is the one its record names, by its source's key, and covers the events stored
 6. ledger: every transaction, the state, and the anchored head

Not looked at, because they are no evidence: dead letters, alerts, access.db, the search index (it has a check of its
own), and hints that are corrected by themselves. Ledger and log that went back together it can tell only from a
checkpoint that was kept elsewhere.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from chain.errors import FsckError
from chain.event import SignedSeal, content_hash
from chain.fsck_payloads import PayloadCheck, Progress, named
from chain.ledger.reading import LedgerReader, open_reader
from chain.log.check import OnLedger, check_checkpoints, open_kept, require_none_gone
from chain.log.rebuild import RebuiltTree, require_no_more
from chain.policies import witness_keys
from chain.record import ERASURE_KIND, LOGS_OWN, SEAL_KIND, Record
from chain.seal import require_names, verify_seal
from chain.site import Folder, SiteReader
from chain.store import ranges
from chain.store.database import Database
from chain.store.seals import StoredSeal, expected_previous, state_of
from chaincode.identity_records import Identity, source_handle
from chaincode.log_records import AnchoredCheckpoint
from chaincode.state import checkpoint_key, identity_key
from crypto.envelope.header import KeyFinder
from crypto.errors import SealtrailError
from crypto.merkle import leaf_hash

_PAGE = 256  # entries between two reports of progress


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What was found whole: numbers of entries, events, seals, checkpoints and ledger transactions, and of events whose
    payload was erased, as an entry of the log says; and of events whose payload is sealed to others, so that nothing is
    known of it but that it is there."""

    origin: str
    entries: int
    events: int
    seals: int
    checkpoints: int
    transactions: int
    erased: int = 0
    sealed: int = 0


def fsck(
    folder: Folder, progress: Progress = lambda what, done, total: None, kept: Sequence[bytes] = (),
    keys: KeyFinder | None = None,
) -> FsckReport:  # fmt: skip
    """Check everything; FsckError names the first false place.

    progress: called with (what, done, total) from time to time.
    kept: checkpoint notes of this log that were kept elsewhere; the log must still contain them.
    keys: finds recipients' private keys, to check payloads that are sealed to them.
    """
    _require_intact(folder)
    reader = SiteReader.open(folder, keys)
    ledger = open_reader(folder)
    try:
        # The ledger's anchors before the site, its identities after it: a gateway that runs on meanwhile anchors
        # only what is logged and enrols before it logs.
        head = max(_anchored(ledger, folder.origin), default=0)
        with reader.db.snapshot():
            size = reader.entries.size()
            with ledger.snapshot():
                return _Fsck(folder, reader, ledger, size, head, progress, kept).run()
    except FsckError:
        raise
    except SealtrailError as e:
        raise FsckError(f"the store cannot be read: {e}") from e
    except (sqlite3.Error, TypeError, ValueError) as e:  # a damaged file, or a column of another type
        raise FsckError(f"the store cannot be read: {e}") from e
    finally:
        ledger.close()
        reader.close()


def _require_intact(folder: Folder) -> None:
    for path in (folder.database, *sorted(folder.ledger.glob("*.db"))):
        with closing(Database(path, readonly=True)) as db:
            db.require_intact()


def _anchored(ledger: LedgerReader, origin: str) -> dict[int, bytes]:
    """Roots by size of all checkpoints of this log that the ledger holds; of a ledger elsewhere, of the newest."""
    rows = ledger.values(checkpoint_key(origin, 0), checkpoint_key(origin, 10**20 - 1))
    found = [named(f"state key {key}", partial(AnchoredCheckpoint.decode, value)) for key, value in rows]
    return {anchored.size: anchored.root for anchored in found}


class _Fsck:
    def __init__(self, folder: Folder, reader: SiteReader, ledger: LedgerReader, size: int, head: int,
                 progress: Progress, kept: Sequence[bytes]) -> None:  # fmt: skip
        self._folder, self._reader, self._ledger, self._progress = folder, reader, ledger, progress
        self._size, self._head = size, head
        self._anchored = _anchored(ledger, folder.origin)
        self._on_ledger = OnLedger(self._anchored, ledger.complete, head)
        self._roots: dict[int, bytes] = {}
        self._keys = folder.key_folder.log_key_sets()
        self._kept = [open_kept(note, self._keys) for note in kept]

    def run(self) -> FsckReport:
        checkpoints = self._checkpoints()
        self._require_length()
        events, seals, erasures = self._entries()
        require_none_gone(list(self._roots), self._on_ledger)  # a false root would say more, so it comes first
        payloads = PayloadCheck(self._folder, self._reader, self._size, self._progress)
        payloads.erasures(erasures)
        payloads.all()
        self._ranges(events)
        self._seals(seals)
        self._progress("ledger", 0, 1)
        transactions = self._ledger.check()
        return FsckReport(
            self._folder.origin, self._size, events, seals, checkpoints, transactions, payloads.erased, payloads.sealed
        )

    def _checkpoints(self) -> int:
        witnesses = witness_keys(self._folder)
        rows = self._reader.checkpoints.kept()
        self._roots = check_checkpoints(rows, self._size, self._keys, witnesses, self._on_ledger)
        if dict(self._run("SELECT size, root FROM log_checkpoint").fetchall()) != self._roots:
            raise FsckError("checkpoints: a row names another root than its note")
        for (size,) in self._run("SELECT size FROM log_checkpoint WHERE published NOT IN (0, 1)"):
            raise FsckError(f"checkpoint of size {size}: whether it is published must be 0 or 1")
        return len(rows)

    def _require_length(self) -> None:
        """The log is at least as long as everyone who saw it says."""
        if self._head > self._size:
            raise FsckError(f"log: the ledger's anchor is of {self._head} entries, only {self._size} are stored")
        for kept in self._kept:
            if kept.size > self._size:
                raise FsckError(f"log: the kept checkpoint is of {kept.size} entries, only {self._size} are stored: "
                                "this is an older copy, or the log was cut")  # fmt: skip

    def _run(self, query: str) -> sqlite3.Cursor:
        return self._reader.db.connection.execute(query)

    def _entries(self) -> tuple[int, int, int]:
        """Hash every entry; compare tiles as they fill and roots as their sizes are passed. Counts events, seals and
        erasures."""
        tree, counts, length = RebuiltTree(self._reader.entries), {SEAL_KIND: 0, ERASURE_KIND: 0}, 0
        self._compare_root(0, tree)
        for index, entry in enumerate(self._reader.entries.entries(0, self._size)):
            record = named(f"entry {index}", partial(Record.decode, entry))
            tree.add(leaf_hash(entry))
            self._compare_root(index + 1, tree)
            length += len(entry)
            if record.kind in LOGS_OWN:
                counts[record.kind] += 1
            else:
                self._indexed(index, record)
            if index % _PAGE == 0:
                self._progress("log", index, self._size)
        tree.finish()
        require_no_more(self._reader.db.connection, self._size, length)
        seals, erasures = counts[SEAL_KIND], counts[ERASURE_KIND]
        return self._size - seals - erasures, seals, erasures

    def _compare_root(self, size: int, tree: RebuiltTree) -> None:
        if size in self._roots and tree.root() != self._roots[size]:
            raise FsckError(f"log: its first {size} entries do not have the root that was signed for size {size}")
        if size in self._anchored and tree.root() != self._anchored[size]:
            raise FsckError(f"log: its first {size} entries do not have the root that the ledger anchored")
        for kept in self._kept:
            if kept.size == size and tree.root() != kept.root:
                raise FsckError(f"log: its first {size} entries do not have the root of the kept checkpoint")

    def _indexed(self, index: int, record: Record) -> None:
        found = self._reader.ranges.leaf_of(record.source, record.boot, record.seq)
        if found != index:
            where = "nowhere" if found is None else f"at entry {found}"
            number = f"{record.source} boot {record.boot} seq {record.seq}"
            raise FsckError(f"index of ranges: {number} is entry {index} of the log, the index has it {where}")

    def _ranges(self, events: int) -> None:
        total = self._reader.ranges.total()
        if total != events:
            raise FsckError(f"index of ranges: it names {total} events, the log holds {events}")
        for (name,) in self._run(f"SELECT name FROM source WHERE id NOT IN (SELECT source FROM {ranges.ROWS})"):
            raise FsckError(f"index of ranges: {name} is in it without any event")

    def _seals(self, count: int) -> None:
        seen, last = 0, dict[str, StoredSeal]()
        for columns, stored in self._reader.seals.all():
            seal = stored.seal
            place = f"seal at entry {stored.leaf}"
            if columns != (stored.leaf, seal.source, seal.boot, seal.first, seal.count):
                raise FsckError(f"{place}: it is indexed as {columns[1:]}, but says otherwise")
            named(place, partial(self._seal, stored, last.get(seal.source)))
            last[seal.source] = stored
            seen += 1
        if seen != count:
            raise FsckError(f"seals: {seen} are stored, the log names {count}")

    def _seal(self, stored: StoredSeal, before: StoredSeal | None) -> None:
        identity = self._identity(stored.seal.source)
        if identity is None:
            raise FsckError(f"{stored.seal.source} has no key on the ledger")
        record = Record.decode(self._reader.entries.entry(stored.leaf))
        if record.kind != SEAL_KIND or record.content_hash != content_hash(stored.signed.seal):
            raise FsckError("the log entry does not name this seal")
        seal = verify_seal(SignedSeal(stored.signed.seal, stored.signed.signature), identity.key_at(stored.leaf))
        require_names(record, seal)
        if seal.previous != expected_previous(before, seal):
            raise FsckError(f"it does not follow the seal of {seal.source} before it")
        hashes = self._reader.content_hashes(seal.source, seal.span)
        state = state_of(seal, None if hashes is None else b"".join(hashes))
        if state is not stored.state:
            raise FsckError(f"its state is said to be {stored.state.name}, but its events show {state.name}")

    def _identity(self, source: str) -> Identity | None:
        value = self._ledger.value(identity_key(source_handle(self._folder.origin, source)))
        return None if value is None else named(f"identity of {source}", partial(Identity.decode, value))
