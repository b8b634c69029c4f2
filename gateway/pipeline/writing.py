"""Writes a batch: dead letters, records, payloads, ranges and seals in one durable commit.

Order of leaves: for each source its events as they came, then its seals, so that ranges and segments are runs.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chain.event import content_hash
from chain.record import SEAL_KIND, Authentication, Record, RecordFlag
from chain.site import SiteWriter
from chain.store.payloads import StoredEvent
from chain.store.ranges import Range
from chain.store.seals import SealState
from crypto.commitments import SEED_BYTES, fields_root
from gateway.pipeline.batch import AdmittedEvent, AdmittedSeal, Batch, Group

EVENTS_PER_SEGMENT = 1024
# Fields may be some fifty times as long as what came in (a SenML base name stands in every row), and whoever reads one
# event reads its whole segment.
BYTES_PER_SEGMENT = 512 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive leaves of consecutive numbers of one boot."""

    range: Range
    events: tuple[AdmittedEvent, ...]


def write(site: SiteWriter, tx: sqlite3.Connection, batch: Batch, logged_us: int) -> None:
    """Append everything to the open transaction. What this returns from is durable once it commits."""
    for draft in batch.refused:
        m = draft.message
        new = site.notices.refuse(tx, logged_us, m.source, m.door, m.channel, draft.reason, draft.payload)
        if new and draft.alert:  # a device that repeats itself must not push other alerts out
            site.notices.alert(tx, logged_us, draft.alert, m.source, draft.reason, None)
    for group in batch.groups.values():
        for events in _segments(group.events):
            _write_events(site, tx, group, events, logged_us)
        for seal in group.seals:
            _write_seal(site, tx, seal, logged_us)


def _segments(events: Sequence[AdmittedEvent]) -> Iterator[Sequence[AdmittedEvent]]:
    """Stretches that each fit a segment, counted in events and in the bytes that came in."""
    first, size = 0, 0
    for at, event in enumerate(events):
        if at > first and (at - first == EVENTS_PER_SEGMENT or size + len(event.raw) > BYTES_PER_SEGMENT):
            yield events[first:at]
            first, size = at, 0
        size += len(event.raw)
    if events:
        yield events[first:]


def _write_events(
    site: SiteWriter, tx: sqlite3.Connection, group: Group, events: Sequence[AdmittedEvent], logged_us: int
) -> None:
    seed = os.urandom(SEED_BYTES)
    leaf = site.log.append(tx, [_event_record(e, seed, logged_us) for e in events])
    site.payloads.put(tx, leaf, group.source.name, seed, [StoredEvent(e.raw, e.prepared.fields) for e in events])
    for run in runs(events, leaf):
        site.ranges.add(tx, group.source.name, run.range)


def _event_record(e: AdmittedEvent, seed: bytes, logged_us: int) -> bytes:
    event = e.event
    commitment = fields_root(seed, event.id, e.prepared.fields)
    return Record(
        event.kind, event.source, event.boot, event.seq, max(e.prepared.sensed_us, 0), e.received_us, logged_us,
        e.authentication, e.flags, e.hash, commitment,
    ).encode()  # fmt: skip


def _write_seal(site: SiteWriter, tx: sqlite3.Connection, admitted: AdmittedSeal, logged_us: int) -> None:
    seal = admitted.seal
    flags = RecordFlag.SEAL_BROKEN if admitted.state is SealState.BROKEN else RecordFlag.NONE
    record = Record(
        SEAL_KIND, seal.source, seal.boot, seal.first, seal.signed_us, admitted.message.received_us, logged_us,
        Authentication.SIGNED, flags, content_hash(admitted.signed.seal), b"", seal.count,
    )  # fmt: skip
    leaf = admitted.leaf = site.log.append(tx, [record.encode()])
    site.seals.put(tx, leaf, seal, admitted.signed, admitted.state)
    if admitted.state is SealState.BROKEN:
        last = seal.first + seal.count - 1
        text = f"events {seal.first} to {last} of boot {seal.boot} are not those that were sealed"
        site.notices.alert(tx, logged_us, "broken-seal", seal.source, text, leaf)


def runs(events: Iterable[AdmittedEvent], leaf: int) -> Iterator[Run]:
    """Split events on consecutive leaves into runs of consecutive numbers."""
    current: list[AdmittedEvent] = []
    first_leaf = leaf
    for event in events:
        if current and (event.event.boot, event.event.seq) != (current[-1].event.boot, current[-1].event.seq + 1):
            yield _run(current, first_leaf)
            first_leaf, current = first_leaf + len(current), []
        current.append(event)
    if current:
        yield _run(current, first_leaf)


def _run(events: list[AdmittedEvent], leaf: int) -> Run:
    first = events[0].event
    return Run(Range(first.boot, first.seq, len(events), leaf), tuple(events))
