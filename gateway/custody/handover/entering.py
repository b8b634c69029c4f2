"""Enters the events of a hand-over that was checked into the log, as the partner's (source `partner.…`).

Each is logged once however often it is handed over; beside each stands the proof of where it is from, to pass it on. A
try that broke off is done again: what it had logged is found by its bytes.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from hashlib import sha256

from chain.event import Event
from chain.record import parts as record_parts
from chain.site import Folder, SiteReader
from crypto import cbor
from gateway.custody.database import Store
from gateway.custody.follower import source_of
from gateway.custody.handover import format as form
from gateway.custody.handover.book import Book, Handover
from gateway.custody.handover.format import SharedEvent
from gateway.custody.names import is_container, is_lot, is_pack, pack_name
from gateway.epcis.event import read_event
from gateway.events.follower import EPCIS_KIND
from gateway.index.following import stored_events
from gateway.own_log import OwnLog

LOGGED_AT_ONCE = 64
LOGGED_BYTES = 1 << 20


class Entering:
    """Of one site; one hand-over or notice at a time."""

    def __init__(self, folder: Folder, store: Store, book: Book, own_log: Callable[[str, str], OwnLog]) -> None:
        self._folder, self._store, self._book, self._own_log = folder, store, book, own_log
        self._logs: dict[str, OwnLog] = {}

    async def log(self, handover: Handover, parts: Iterable[bytes]) -> list[int]:
        """Log the events that are not here yet, as the partner's; where they stand here."""
        done: list[int] = []
        source = source_of(handover.organisation)
        known = await asyncio.to_thread(self._interrupted, source, handover.id, notice=False)
        waiting: list[SharedEvent] = []
        size = 0
        rest = form.parts_in(parts)
        while (part := await asyncio.to_thread(next, rest, None)) is not None:
            for item in part.items:
                if item[0] != form.EVENT:
                    continue
                event = SharedEvent.of(item)
                if event.origin == self._folder.origin:
                    continue  # it is ours, and comes back
                at = await asyncio.to_thread(self._book.shared_at, event.origin, event.index)
                if at is not None:
                    done.append(at)
                    continue
                waiting.append(event)
                size += len(event.event)
                if len(waiting) >= LOGGED_AT_ONCE or size >= LOGGED_BYTES:
                    done += await self._append(source, waiting, known)
                    waiting, size = [], 0
        done += await self._append(source, waiting, known)
        await asyncio.to_thread(self._book.end_logging, handover.id)
        return done

    async def log_one(self, handover: Handover, event: SharedEvent) -> int | None:
        """One event about a hand-over, that was checked; None where it is our own."""
        if event.origin == self._folder.origin:
            return None
        at = await asyncio.to_thread(self._book.shared_at, event.origin, event.index)
        if at is None:
            source = source_of(handover.organisation)
            known = await asyncio.to_thread(self._interrupted, source, handover.id, notice=True)
            (at,) = await self._append(source, [event], known)
            await asyncio.to_thread(self._book.end_logging, handover.id, notice=True)
        return at

    async def _append(self, source: str, events: Sequence[SharedEvent], known: dict[bytes, int]) -> list[int]:
        """`known`: payloads that an earlier try has logged, by digest."""
        found: dict[int, int] = {}
        payloads = [Event.decode(one.event).payload for one in events]
        new = []
        for n, payload in enumerate(payloads):
            if (leaf := known.pop(sha256(payload).digest(), None)) is not None:
                found[n] = leaf
            else:
                new.append(n)
        if new:
            if source not in self._logs:
                self._logs[source] = self._own_log(source, "epcis")
            leaves = await self._logs[source].append_all([payloads[n] for n in new])
            found.update(zip(new, leaves, strict=True))
        await asyncio.to_thread(self._note, [(found[n], one, payloads[n]) for n, one in enumerate(events)])
        return [found[n] for n in range(len(events))]

    def _note(self, logged: Sequence[tuple[int, SharedEvent, bytes]]) -> None:
        """Where they are from, and what they are about."""
        with self._store.transaction() as tx:
            self._book.put_shared((leaf, one) for leaf, one, _ in logged)
            for leaf, _, payload in logged:
                event = read_event(payload)
                named = [t.uri for t in event.things if is_container(t.uri) or is_lot(t.uri)]
                self._book.mention([*named, event.hash_id], leaf)
                if (event.action == "ADD" and event.type == "ObjectEvent") or event.type == "TransformationEvent":
                    made = [(leaf, pack_name(t.uri)) for t in event.things if is_pack(t.uri) and t.role != "input"]
                    tx.executemany("UPDATE pack SET leaf = ? WHERE name = ? AND leaf IS NULL", made)

    def _interrupted(self, source: str, handover: bytes, *, notice: bool) -> dict[bytes, int]:
        """Events of a try that broke off after they were logged and before that was noted: leaves by digest."""
        with closing(SiteReader.open(self._folder)) as reader:
            size = reader.entries.size()
            first = self._book.begin_logging(handover, size, notice=notice)
            leaves = []
            for leaf, entry in enumerate(reader.entries.entries(first, size), first):
                name, (kind, *_) = record_parts(entry)
                if name == source and kind == EPCIS_KIND and self._book.origin_of(leaf) is None:
                    leaves.append(leaf)
            stored = stored_events(reader, leaves)
            return {sha256(cbor.unpack(one.event)[9]).digest(): leaf for leaf, one in stored}
