"""Takes a hand-over that was checked: secrets, contents and trees into custody.db, events into the log.

Each step can be done again after a crash. Events are logged as the partner's (source `partner.…`), each once however
often it is handed over; beside each stands the proof of where it is from, to pass it on.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256

from chain.event import Event
from chain.record import parts as record_parts
from chain.site import Folder, SiteReader
from chaincode.lots.items import Position
from crypto import cbor
from gateway.custody.containers import Amount, Containers
from gateway.custody.database import Store
from gateway.custody.errors import HandoverError
from gateway.custody.follower import source_of
from gateway.custody.handover import format as form
from gateway.custody.handover.book import Book
from gateway.custody.handover.checking import Checking, Outline
from gateway.custody.handover.format import Part, SharedEvent
from gateway.custody.names import PRODUCT, is_container, is_lot, is_pack, pack_name
from gateway.custody.places import Places
from gateway.custody.schema import UnitKind, UnitState
from gateway.custody.trees import Trees
from gateway.custody.units import Unit, Units
from gateway.epcis.event import read_event
from gateway.events.follower import EPCIS_KIND
from gateway.index.following import stored_events
from gateway.own_log import OwnLog

LOGGED_AT_ONCE = 64
LOGGED_BYTES = 1 << 20


class Taking:
    """Of one site."""

    def __init__(
        self, folder: Folder, store: Store, units: Units, containers: Containers, trees: Trees, places: Places,
        book: Book, own_log: Callable[[str, str], OwnLog],
    ) -> None:  # fmt: skip
        self._folder, self._store, self._units, self._containers = folder, store, units, containers
        self._trees, self._places, self._book, self._own_log = trees, places, book, own_log
        self._logs: dict[str, OwnLog] = {}
        self.duplicates: list[tuple[str, str, str]] = []  # pack, unit that it comes in as well, and from whom

    def keep(self, organisation: str, outline: Outline, checking: Checking, parts: Iterator[bytes]) -> None:
        """Secrets, contents, trees and places. Blocks. HandoverError where a lot's tree is not the ledger's."""
        units = {uri: self._units.take(uri, kind, secret, organisation)
                 for uri, (kind, secret) in outline.units.items()}  # fmt: skip
        fresh = self._begin([unit for unit in units.values() if unit.kind is not UnitKind.LOT], organisation)
        for signed in parts:
            content = form.decode_message(signed)
            if isinstance(content, Part):
                self._keep_part(content, units, fresh)
        for uri, contents in outline.contents.items():
            ids = sorted([*contents.ids, *(units[child].id for child in contents.children)])
            self._trees.build(units[uri].number, ids)
        for uri in outline.trees:
            self._build_lot(units[uri], checking)

    def _begin(self, units: Sequence[Unit], organisation: str) -> set[str]:
        """Those whose contents are taken: not what is ours already, which nobody else's word changes."""
        fresh: set[str] = set()
        with self._store.transaction() as tx:
            for unit in units:
                if unit.state in (UnitState.SHIPPED, UnitState.COMING):
                    fresh.add(unit.uri)
                    query = "UPDATE unit SET state = ?, parent = NULL, origin = ? WHERE id = ?"
                    tx.execute(query, (int(UnitState.COMING), organisation, unit.number))
                    tx.execute("DELETE FROM amount WHERE parent = ?", (unit.number,))
        return fresh

    def _keep_part(self, part: Part, units: dict[str, Unit], fresh: set[str]) -> None:
        with self._store.transaction() as tx:
            for item in part.items:
                if item[0] == form.INSIDE and item[1] in fresh:
                    rows = [(units[item[1]].number, units[child].number) for child in item[2]]
                    tx.executemany("UPDATE unit SET parent = ? WHERE id = ?", rows)
                elif item[0] == form.PACKS and item[1] in fresh:
                    self._put_packs(tx, units[item[1]], units[item[2]], item[3])
                elif item[0] == form.AMOUNT and item[1] in fresh:
                    self._containers.put_amount(units[item[1]], Amount(units[item[2]], item[3]))
                elif item[0] == form.TREE:
                    self._trees.put_ids(units[item[1]].number, item[2], item[3])
                elif item[0] == form.PLACES:
                    found = ((PRODUCT + name, Position(index, tuple(proof))) for name, index, proof in item[2])
                    self._places.put(found)

    def _put_packs(self, tx: sqlite3.Connection, unit: Unit, lot: Unit, names: Sequence[str]) -> None:
        """A pack that is somewhere else already, by what we know, is a serial that is there twice: it stays there."""
        rows = [(name, lot.number, unit.number) for name in names]
        if tx.executemany("INSERT OR IGNORE INTO pack (name, lot, parent) VALUES (?, ?, ?)", rows).rowcount == len(
            rows
        ):
            return
        query = """SELECT pack.lot, pack.parent, unit.state FROM pack LEFT JOIN unit ON unit.id = pack.parent
            WHERE name = ?"""
        for name in names:
            known_lot, parent, state = tx.execute(query, (name,)).fetchone()
            if parent == unit.number:
                continue
            if known_lot == lot.number and state == UnitState.SHIPPED:
                tx.execute("UPDATE pack SET parent = ?, out_of = NULL WHERE name = ?", (unit.number, name))
            else:
                self.duplicates.append((PRODUCT + name, unit.uri, unit.origin))

    def _build_lot(self, lot: Unit, checking: Checking) -> None:
        """The tree of a lot that came whole, compared with the ledger."""
        wanted = checking.root_of_lot(lot.uri)
        tree = self._trees.build_from_ids(lot.number)
        if wanted != (tree.size, tree.root):
            self._trees.drop(lot.number)
            raise HandoverError(f"the ids of {lot.uri} do not make the tree that the ledger has")

    # -- events

    async def log(self, organisation: str, parts: Iterator[bytes]) -> list[int]:
        """Log the events that are not here yet, as the partner's; where they stand here."""
        done: list[int] = []
        source = source_of(organisation)
        known = await asyncio.to_thread(self._interrupted, source)
        waiting: list[SharedEvent] = []
        size = 0
        while (part := await asyncio.to_thread(_next, parts)) is not None:
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
        await asyncio.to_thread(self._book.end_logging)
        return done

    async def log_one(self, organisation: str, event: SharedEvent) -> int | None:
        """One event that was checked; None where it is our own."""
        if event.origin == self._folder.origin:
            return None
        at = await asyncio.to_thread(self._book.shared_at, event.origin, event.index)
        if at is None:
            source = source_of(organisation)
            known = await asyncio.to_thread(self._interrupted, source)
            (at,) = await self._append(source, [event], known)
            await asyncio.to_thread(self._book.end_logging)
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

    def _interrupted(self, source: str) -> dict[bytes, int]:
        """Events of a try that broke off after they were logged and before that was noted: leaves by digest."""
        with closing(SiteReader.open(self._folder)) as reader:
            size = reader.entries.size()
            first = self._book.begin_logging(size)
            leaves = []
            for leaf, entry in enumerate(reader.entries.entries(first, size), first):
                name, (kind, *_) = record_parts(entry)
                if name == source and kind == EPCIS_KIND and self._book.origin_of(leaf) is None:
                    leaves.append(leaf)
            stored = stored_events(reader, leaves)
            return {sha256(cbor.unpack(one.event)[9]).digest(): leaf for leaf, one in stored}


def _next(parts: Iterator[bytes]) -> Part | None:
    for signed in parts:
        content = form.decode_message(signed)
        if isinstance(content, Part):
            return content
    return None
