"""Writes a batch: dead letters, records, payloads, ranges and seals in one durable commit.

Order of leaves: for each source its events as they came, then its seals, so that ranges and segments are runs.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chain.erasing import never_stored
from chain.errors import StoreError
from chain.record import SEAL_KIND, Authentication, Record, RecordFlag
from chain.site import SiteWriter
from chain.store.notices import unquoted
from chain.store.ranges import Range
from chain.store.seals import SealState
from crypto import bulk
from crypto.bulk import split
from crypto.commitments import SEED_BYTES
from gateway.pipeline.batch import Batch
from gateway.pipeline.group import AdmittedSeal, Group
from gateway.pipeline.stretch import MAX_BYTES, MAX_EVENTS, Growing, Stretch


def write(site: SiteWriter, tx: sqlite3.Connection, batch: Batch, first: int, logged_us: int) -> int:
    """Append everything to the open transaction, from entry `first` of the log on. What this returns from is durable
    once it commits. Returns how many entries."""
    for draft in batch.refused:
        came = draft.inbound
        keep = not site.payloads.one_way and not site.payloads.was_erased(draft.subject)
        new = site.notices.refuse(
            tx, logged_us, came.source, came.door, came.channel, draft.reason, draft.payload,
            keep=keep,
        )  # fmt: skip
        if new and draft.alert:  # a device that repeats itself must not push other alerts out
            said = draft.reason if keep else unquoted(draft.reason)
            site.notices.alert(tx, logged_us, draft.alert, came.source, said, None)
    leaves = _Leaves(first, [], _seeds(batch), {})
    for group in batch.groups.values():
        _write_events(site, tx, group, leaves, logged_us)
        _write_seals(site, tx, group.seals, leaves, logged_us)
    if leaves.dropped:
        leaves.entries += never_stored(site, tx, leaves.dropped, leaves.end, logged_us)
    site.ranges.flush(tx)
    site.payloads.flush(tx)
    if site.log.append(tx, leaves.entries) != first:
        raise StoreError(f"the log does not end at entry {first}, where it ended after the last commit; restart")
    return len(leaves.entries)


@dataclass(slots=True)
class _Leaves:
    """The leaves of a batch, where the log ended before them, a fresh seed for each segment to come, and the runs of
    leaves that have none, because their subject was erased before."""

    first: int
    entries: list[bytes]
    seeds: Iterator[bytes]
    dropped: dict[str, list[tuple[int, int]]]

    @property
    def end(self) -> int:
        return self.first + len(self.entries)


def _write_events(site: SiteWriter, tx: sqlite3.Connection, group: Group, leaves: _Leaves, logged_us: int) -> None:
    name = group.source.name
    for run in _runs(group.stretches, leaves.end):
        site.ranges.add(tx, name, run)
    for stretches in _segments(group.stretches):
        seed, first = next(leaves.seeds), leaves.end
        for stretch in stretches:
            leaves.entries += stretch.leaves(seed, logged_us)
        subject, count = _person(stretches[0]) or group.source.subject, leaves.end - first
        if not site.payloads.put(tx, first, subject, seed, count, (stretch.stored() for stretch in stretches)):
            leaves.dropped.setdefault(subject, []).append((first, count))


def _seeds(batch: Batch) -> Iterator[bytes]:
    """Drawn at once: asking for each would give the interpreter's lock away each time. No segment is smaller than
    a stretch, so there are enough."""
    count = sum([len(group.stretches) for group in batch.groups.values()])
    drawn = os.urandom(count * SEED_BYTES)
    return (drawn[i : i + SEED_BYTES] for i in range(0, len(drawn), SEED_BYTES))


def _segments(stretches: Sequence[Stretch]) -> Iterator[Sequence[Stretch]]:
    """Stretches of one subject that fit a segment together, counted in events and in the bytes that came in."""
    first, count, size = 0, 0, 0
    for at, stretch in enumerate(stretches):
        full = count + stretch.count > MAX_EVENTS or size + stretch.size > MAX_BYTES
        if at > first and (full or _person(stretch) != _person(stretches[first])):
            yield stretches[first:at]
            first, count, size = at, 0, 0
        count, size = count + stretch.count, size + stretch.size
    if stretches:
        yield stretches[first:]


def _person(stretch: Stretch) -> str:
    """The person whom a stretch concerns, where its payloads name one; the native core takes none that does."""
    return stretch.subject if isinstance(stretch, Growing) else ""


def _runs(stretches: Sequence[Stretch], leaf: int) -> Iterator[Range]:
    """Consecutive leaves of consecutive numbers."""
    run: Range | None = None
    for stretch in stretches:
        if run and (run.boot, run.end) == (stretch.boot, stretch.first):
            run = Range(run.boot, run.first, run.count + stretch.count, run.leaf)
        else:
            if run:
                yield run
            run = Range(stretch.boot, stretch.first, stretch.count, leaf)
        leaf += stretch.count
    if run:
        yield run


def _write_seals(
    site: SiteWriter, tx: sqlite3.Connection, seals: Sequence[AdmittedSeal], leaves: _Leaves, logged_us: int
) -> None:
    hashes = split(bulk.leaf_hashes([admitted.signed.seal for admitted in seals]))
    for admitted, hashed in zip(seals, hashes, strict=True):
        admitted.leaf = leaves.end
        leaves.entries.append(_seal_record(admitted, hashed, logged_us))
    site.seals.put(tx, seals)
    for admitted in seals:
        if admitted.state is SealState.BROKEN:
            seal = admitted.seal
            last = seal.first + seal.count - 1
            text = f"events {seal.first} to {last} of boot {seal.boot} are not those that were sealed"
            site.notices.alert(tx, logged_us, "broken-seal", seal.source, text, admitted.leaf)


def _seal_record(admitted: AdmittedSeal, hashed: bytes, logged_us: int) -> bytes:
    seal = admitted.seal
    flags = RecordFlag.SEAL_BROKEN if admitted.state is SealState.BROKEN else RecordFlag.NONE
    received_us = admitted.judged.received_us[admitted.number]
    return Record(
        SEAL_KIND, seal.source, seal.boot, seal.first, seal.signed_us, received_us, logged_us,
        Authentication.SIGNED, flags, hashed, b"", seal.count,
    ).encode()  # fmt: skip
