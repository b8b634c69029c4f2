"""Hand-overs, their parts, and events that partners shared, as custody.db keeps them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chain.event import Event
from chain.record import Record
from crypto import cbor
from gateway.custody.database import Store
from gateway.custody.errors import HandoverError
from gateway.custody.handover.format import SharedEvent
from gateway.custody.schema import HandoverState
from gateway.custody.tasks import Task, Tasks, now_us

MAX_COMING = 1000  # hand-overs of one partner that are not taken yet
MAX_COMING_BYTES = 2**30  # of their parts, of all partners
MAX_UNITS_BYTES = 8 * 2**20
_COLUMNS = "id, incoming, organisation, state, leaf, units, made_us, changed_us, parts, reason, until_us"


@dataclass(frozen=True, slots=True)
class Handover:
    """`units`: URIs of what was shipped. `leaf`: the record of the shipping event, where it is ours. `parts`: how many
    there are, once that is known. Times are microseconds since 1970."""

    id: bytes
    incoming: bool
    organisation: str
    state: HandoverState
    leaf: int | None
    units: tuple[str, ...]
    made_us: int
    changed_us: int
    parts: int | None
    reason: str
    until_us: int | None


class Book:
    """Safe to call from several threads; calls block for moments."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, handover: bytes, organisation: str, leaf: int, units: Sequence[str]) -> None:
        """Something was shipped: a hand-over is to be made of it."""
        row = (
            handover,
            0,
            organisation,
            int(HandoverState.BUILDING),
            leaf,
            cbor.encode(list(units)),
            now_us(),
            now_us(),
        )
        self._insert(row)

    def coming(self, handover: bytes, organisation: str) -> Handover:
        """The hand-over whose part came, noted where it is new.

        Raises:
            HandoverError: another organisation has one of this id, or too many of this one are not taken yet.
        """
        known = self.get(handover)
        if known is None:
            with self._store.reading() as db:
                query = "SELECT COUNT(*) FROM handover WHERE organisation = ? AND state IN (5, 6)"
                if db.execute(query, (organisation,)).fetchone()[0] >= MAX_COMING:
                    raise HandoverError(f"{MAX_COMING} hand-overs of {organisation} are not complete; send those first")
            row = (handover, 1, organisation, int(HandoverState.COMING), None, cbor.encode([]), now_us(), now_us())
            self._insert(row)
            known = self.get(handover)
        if known is None or not known.incoming or known.organisation != organisation:
            raise HandoverError("another hand-over has this id")
        return known

    def _insert(self, row: tuple[Any, ...]) -> None:
        columns = "id, incoming, organisation, state, leaf, units, made_us, changed_us"
        with self._store.transaction() as tx:
            tx.execute(f"INSERT OR IGNORE INTO handover ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def get(self, handover: bytes) -> Handover | None:
        with self._store.reading() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM handover WHERE id = ?", (handover,)).fetchone()
        return None if row is None else _handover(row)

    def change(
        self, handover: bytes, state: HandoverState, *, reason: str = "", units: Sequence[str] | None = None,
        parts: int | None = None, until_us: int | None = None,
    ) -> None:  # fmt: skip
        with self._store.transaction() as tx:
            query = (
                "UPDATE handover SET state = ?, reason = ?, changed_us = ?, units = COALESCE(?, units),"
                " parts = COALESCE(?, parts), until_us = ? WHERE id = ?"
            )
            listed = None if units is None else cbor.encode(list(units))
            tx.execute(query, (int(state), reason[:1000], now_us(), listed, parts, until_us, handover))

    def in_state(self, state: HandoverState, limit: int = 100) -> list[Handover]:
        """The oldest first."""
        query = f"SELECT {_COLUMNS} FROM handover WHERE state = ? ORDER BY made_us LIMIT ?"
        return self._all(query, int(state), limit)

    def overdue(self, at_us: int, limit: int = 100) -> list[Handover]:
        """Taken, and the goods did not come in time."""
        query = f"SELECT {_COLUMNS} FROM handover WHERE state = 7 AND until_us <= ? ORDER BY made_us LIMIT ?"
        return self._all(query, at_us, limit)

    def page(self, before_us: int, limit: int) -> list[Handover]:
        """The newest first."""
        return self._all(
            f"SELECT {_COLUMNS} FROM handover WHERE made_us < ? ORDER BY made_us DESC LIMIT ?", before_us, limit
        )

    def _all(self, query: str, *values: object) -> list[Handover]:
        with self._store.reading() as db:
            rows = db.execute(query, values).fetchall()
        return [_handover(row) for row in rows]

    # -- parts of what is coming

    def put_part(self, handover: bytes, number: int, signed: bytes, *, last: bool) -> bool:
        """Keep a part that was verified; True when all are there.

        Raises:
            HandoverError: no room.
        """
        with self._store.transaction() as tx:
            held = tx.execute("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM part").fetchone()[0]
            if held + len(signed) > MAX_COMING_BYTES:
                raise HandoverError("there is no room for more parts of hand-overs now; send them again later")
            tx.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?)", (handover, number, signed))
            if last:
                tx.execute("UPDATE handover SET parts = ? WHERE id = ?", (number + 1, handover))
            count = "(SELECT COUNT(*) FROM part WHERE handover = ?1 AND number < parts)"
            query = f"SELECT parts, {count} FROM handover WHERE id = ?1"
            wanted, there = tx.execute(query, (handover,)).fetchone()
            whole = wanted is not None and there == wanted
            if whole:
                self.change(handover, HandoverState.CHECKING)
        return whole

    def parts(self, handover: Handover) -> Iterator[bytes]:
        """The signed bytes of its parts in order, one in memory at a time."""
        for number in range(handover.parts or 0):
            with self._store.reading() as db:
                query = "SELECT body FROM part WHERE handover = ? AND number = ?"
                row = db.execute(query, (handover.id, number)).fetchone()
            if row is None:
                raise HandoverError(f"part {number} of a hand-over is gone from custody.db; let it be sent again")
            yield bytes(row[0])

    def drop_parts(self, handover: bytes) -> None:
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM part WHERE handover = ?", (handover,))

    # -- events of others

    def shared_at(self, origin: str, number: int) -> int | None:
        """Where an event of another log stands in this one."""
        with self._store.reading() as db:
            row = db.execute("SELECT leaf FROM shared WHERE origin = ? AND number = ?", (origin, number)).fetchone()
        return None if row is None else int(row[0])

    def put_shared(self, found: Iterable[tuple[int, SharedEvent]]) -> None:
        """Note events that were logged here, with the proof of where they are from."""
        with self._store.transaction() as tx:
            for leaf, one in found:
                event = Event.decode(one.event)
                head = [event.source, event.boot, event.seq, event.schema, event.sensed_us, event.blind]
                proof = cbor.encode([one.size, one.leaf, head, list(one.proof)])
                tx.execute("INSERT OR IGNORE INTO shared VALUES (?, ?, ?, ?)", (leaf, one.origin, one.index, proof))

    def shared(self, leaf: int, payload: bytes) -> SharedEvent | None:
        """The event of another log that stands at this leaf of ours, as it was handed over; None for one of our own."""
        with self._store.reading() as db:
            row = db.execute("SELECT origin, number, proof FROM shared WHERE leaf = ?", (leaf,)).fetchone()
        if row is None:
            return None
        size, record, head, proof = cbor.unpack(row[2])
        source, boot, seq, schema, sensed_us, blind = head
        event = Event(source, boot, seq, Record.decode(record).kind, schema, sensed_us, blind, payload).encode()
        return SharedEvent(row[0], row[1], size, record, event, tuple(proof))

    def origin_of(self, leaf: int) -> tuple[str, int] | None:
        """The log and index that a record is from, where a partner handed it over."""
        with self._store.reading() as db:
            row = db.execute("SELECT origin, number FROM shared WHERE leaf = ?", (leaf,)).fetchone()
        return None if row is None else (row[0], row[1])

    def mention(self, uris: Iterable[str], leaf: int) -> None:
        """The event of this record names these lots and units."""
        with self._store.transaction() as tx:
            tx.executemany("INSERT OR IGNORE INTO mention VALUES (?, ?)", [(uri, leaf) for uri in uris])

    def mentions(self, uri: str) -> list[int]:
        with self._store.reading() as db:
            return [row[0] for row in db.execute("SELECT leaf FROM mention WHERE uri = ? ORDER BY leaf", (uri,))]

    def of_unit(self, uri: str, organisation: str) -> list[Handover]:
        """Hand-overs of this organisation to us that shipped a unit, and are kept."""
        query = f"SELECT {_COLUMNS} FROM handover WHERE incoming = 1 AND organisation = ? AND state IN (7, 8)"
        return [one for one in self._all(f"{query} ORDER BY made_us DESC LIMIT 1000", organisation) if uri in one.units]

    def recipients(self, unit: str) -> list[str]:
        """To whom a unit was handed over from here, the newest first."""
        with self._store.reading() as db:
            query = "SELECT organisation, units FROM handover WHERE incoming = 0 AND leaf IN"
            query += " (SELECT leaf FROM mention WHERE uri = ?) ORDER BY made_us DESC"
            rows = db.execute(query, (unit,)).fetchall()
        return list(dict.fromkeys(name for name, units in rows if unit in cbor.decode(units, MAX_UNITS_BYTES)))

    def receipts(self, leaf: int) -> list[Task]:
        """What the receiving event of this record led to."""
        return [task for task in Tasks(self._store).of_record(leaf) if task.name == "receive"]

    # -- what partners are to be told

    def put_said(self, organisation: str, handover: bytes, kind: str, body: bytes) -> None:
        with self._store.transaction() as tx:
            query = "INSERT INTO say (organisation, handover, kind, body) VALUES (?, ?, ?, ?)"
            tx.execute(query, (organisation, handover, kind, body))

    def said(self, limit: int = 100) -> list[tuple[int, str, bytes, str, Any]]:
        """In their order: number, organisation, hand-over, kind and body."""
        with self._store.reading() as db:
            query = "SELECT id, organisation, handover, kind, body FROM say ORDER BY id LIMIT ?"
            rows = db.execute(query, (limit,)).fetchall()
        return [(*row[:4], cbor.unpack(row[4])) for row in rows]

    def unsay(self, number: int) -> None:
        """The outbox has it."""
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM say WHERE id = ?", (number,))

    def begin_logging(self, size: int) -> int:
        """Events are going to be logged; the size that the log had before, or before an earlier try that broke off."""
        with self._store.transaction() as tx:
            tx.execute("INSERT OR IGNORE INTO logging VALUES (0, ?)", (size,))
            return int(tx.execute("SELECT first_leaf FROM logging").fetchone()[0])

    def end_logging(self) -> None:
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM logging")


def _handover(row: tuple[Any, ...]) -> Handover:
    number, incoming, organisation, state, leaf, units, made_us, changed_us, parts, reason, until_us = row
    return Handover(
        number, bool(incoming), organisation, HandoverState(state), leaf, tuple(cbor.decode(units, MAX_UNITS_BYTES)),
        made_us, changed_us, parts, reason, until_us,
    )  # fmt: skip
