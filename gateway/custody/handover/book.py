"""Hand-overs, their parts, and events that partners shared, as custody.db keeps them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chain.event import Event
from chain.record import Record
from crypto import cbor
from gateway.custody.database import Store
from gateway.custody.errors import HandoverError, NoRoomError
from gateway.custody.handover.format import SharedEvent
from gateway.custody.schema import HandoverState
from gateway.custody.tasks import Task, Tasks, now_us

MAX_COMING = 1000  # hand-overs of one partner that are not taken yet
MAX_COMING_BYTES = 2**29  # of their parts
MAX_REJECTED = 1000  # of one partner that are remembered
MAX_UNITS_BYTES = 8 * 2**20
AT_ONCE = 32
_COLUMNS = ", ".join(
    f"handover.{name}" for name in (
        "id", "incoming", "organisation", "state", "leaf", "units", "made_us", "changed_us", "parts", "reason",
        "until_us", "anchored",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Handover:
    """`units`: URIs of what was shipped. `leaf`: the record of the shipping event, where it is ours. `parts`: how many
    there are, once that is known. `anchored`: the checkpoint in which the events of one from us are proved. Times are
    microseconds since 1970."""

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
    anchored: int | None


class Book:
    """Safe to call from several threads; calls block for moments."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, handover: bytes, organisation: str, leaf: int, units: Sequence[str]) -> None:
        """Something was shipped: a hand-over is to be made of it."""
        now = now_us()
        self._insert((handover, 0, organisation, int(HandoverState.BUILDING), leaf, cbor.encode(list(units)), now, now))

    def coming(self, handover: bytes, organisation: str) -> Handover:
        """The hand-over whose part came, noted where it is new.

        Raises:
            HandoverError: another organisation has one of this id.
            NoRoomError: too many of this one are not taken yet.
        """
        known = self.get(handover)
        if known is None:
            with self._store.reading() as db:
                query = "SELECT COUNT(*) FROM handover WHERE organisation = ? AND state IN (5, 6)"
                if db.execute(query, (organisation,)).fetchone()[0] >= MAX_COMING:
                    raise NoRoomError(f"{MAX_COMING} hand-overs of {organisation} are not taken yet; send it later")
            now = now_us()
            self._insert((handover, 1, organisation, int(HandoverState.COMING), None, cbor.encode([]), now, now))
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

    def keep(self, handover: bytes, units: Sequence[str], until_us: int) -> None:
        """It is checked and taken: these units were shipped, and are expected until then."""
        with self._store.transaction() as tx:
            self.change(handover, HandoverState.KEPT, units=units, until_us=until_us)
            tx.executemany("INSERT OR IGNORE INTO handed VALUES (?, ?)", [(uri, handover) for uri in units])
            self.drop_parts(handover)

    def reject(self, handover: Handover, reason: str) -> None:
        """It is not taken; of those that were not, the newest are remembered."""
        with self._store.transaction() as tx:
            self.change(handover.id, HandoverState.REJECTED, reason=reason)
            self.drop_parts(handover.id)
            self.end_logging(handover.id)
            which = "organisation = ? AND state = 9"
            query = f"""DELETE FROM handover WHERE {which} AND made_us <
                (SELECT made_us FROM handover WHERE {which} ORDER BY made_us DESC LIMIT 1 OFFSET ?)"""
            tx.execute(query, (handover.organisation, handover.organisation, MAX_REJECTED - 1))

    def prove_in(self, handover: bytes, anchored: int) -> None:
        """The events of one from us are proved in this checkpoint from now on."""
        with self._store.transaction() as tx:
            tx.execute("UPDATE handover SET anchored = ? WHERE id = ?", (anchored, handover))

    def with_any(self, state: HandoverState) -> list[str]:
        """The organisations that have a hand-over in this state."""
        with self._store.reading() as db:
            rows = db.execute("SELECT DISTINCT organisation FROM handover WHERE state = ?", (int(state),)).fetchall()
        return [name for (name,) in rows]

    def in_state(self, state: HandoverState, organisation: str, limit: int = AT_ONCE) -> list[Handover]:
        """The oldest first."""
        query = f"SELECT {_COLUMNS} FROM handover WHERE state = ? AND organisation = ? ORDER BY made_us LIMIT ?"
        return self._all(query, int(state), organisation, limit)

    def stale(self, before_us: int, limit: int = 100) -> list[Handover]:
        """Of which no part came since then, and parts are missing."""
        query = f"SELECT {_COLUMNS} FROM handover WHERE state = 5 AND changed_us < ? LIMIT ?"
        return self._all(query, before_us, limit)

    def overdue(self, at_us: int, limit: int = 100) -> list[Handover]:
        """Taken, and the goods did not come in time."""
        query = f"SELECT {_COLUMNS} FROM handover WHERE until_us <= ? AND state = 7 ORDER BY until_us LIMIT ?"
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

    def put_part(self, handover: Handover, number: int, signed: bytes, *, last: bool) -> bool:
        """Keep a part that was verified; True when all are there.

        Raises:
            NoRoomError: so much of this organisation waits already.
        """
        with self._store.transaction() as tx:
            self._make_room(tx, handover, number, len(signed))
            tx.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?)", (handover.id, number, signed))
            if last:
                tx.execute("UPDATE handover SET parts = ? WHERE id = ?", (number + 1, handover.id))
            count = "(SELECT COUNT(*) FROM part WHERE handover = ?1 AND number < parts)"
            query = f"SELECT parts, {count} FROM handover WHERE id = ?1"
            wanted, there = tx.execute(query, (handover.id,)).fetchone()
            whole = wanted is not None and there == wanted
            if whole:
                self.change(handover.id, HandoverState.CHECKING)
        return whole

    @staticmethod
    def _make_room(tx: sqlite3.Connection, handover: Handover, number: int, nbytes: int) -> None:
        query = "SELECT COALESCE(SUM(nbytes), 0) FROM handover WHERE organisation = ? AND state IN (5, 6)"
        (held,) = tx.execute(query, (handover.organisation,)).fetchone()
        query = "SELECT LENGTH(body) FROM part WHERE handover = ? AND number = ?"
        row = tx.execute(query, (handover.id, number)).fetchone()
        more = nbytes - (row[0] if row else 0)
        if more > 0 and held + more > MAX_COMING_BYTES:
            raise NoRoomError(f"{held:,} bytes of hand-overs of {handover.organisation} wait here; send it later")
        query = "UPDATE handover SET nbytes = nbytes + ?, changed_us = ? WHERE id = ?"
        tx.execute(query, (more, now_us(), handover.id))

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
            tx.execute("UPDATE handover SET nbytes = 0 WHERE id = ?", (handover,))

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
        """Hand-overs of this organisation to us that shipped a unit, and are kept; the newest first."""
        query = f"""SELECT {_COLUMNS} FROM handed JOIN handover ON handover.id = handed.handover
            WHERE uri = ? AND organisation = ? AND state IN (7, 8) ORDER BY made_us DESC LIMIT ?"""
        return self._all(query, uri, organisation, AT_ONCE)

    def receipts(self, leaf: int) -> list[Task]:
        """What the receiving event of this record led to."""
        return [task for task in Tasks(self._store).of_record(leaf) if task.name == "receive"]

    # -- what partners are to be told

    def put_said(self, organisation: str, handover: bytes, kind: str, body: bytes) -> None:
        with self._store.transaction() as tx:
            query = "INSERT INTO say (organisation, handover, kind, body) VALUES (?, ?, ?, ?)"
            tx.execute(query, (organisation, handover, kind, body))

    def to_tell(self) -> list[str]:
        """The organisations that something is to be told to."""
        with self._store.reading() as db:
            return [name for (name,) in db.execute("SELECT DISTINCT organisation FROM say").fetchall()]

    def said(self, organisation: str, limit: int = AT_ONCE) -> list[tuple[int, bytes, str, Any]]:
        """What is to be told to it, in order: number, hand-over, kind and body."""
        with self._store.reading() as db:
            query = "SELECT id, handover, kind, body FROM say WHERE organisation = ? ORDER BY id LIMIT ?"
            rows = db.execute(query, (organisation, limit)).fetchall()
        return [(*row[:3], cbor.unpack(row[3])) for row in rows]

    def unsay(self, number: int) -> None:
        """The outbox has it."""
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM say WHERE id = ?", (number,))

    def begin_logging(self, handover: bytes, size: int, *, notice: bool = False) -> int:
        """Events of a hand-over, or of a notice about one, are going to be logged; the size that the log had before it,
        or before an earlier try, of this one or of a hand-over, that broke off."""
        with self._store.transaction() as tx:
            tx.execute("INSERT OR IGNORE INTO logging VALUES (?, ?, ?)", (handover, notice, size))
            query = "SELECT MIN(first_leaf) FROM logging WHERE notice = 0 OR (handover = ? AND notice = ?)"
            return int(tx.execute(query, (handover, notice)).fetchone()[0])

    def end_logging(self, handover: bytes, *, notice: bool = False) -> None:
        with self._store.transaction() as tx:
            tx.execute("DELETE FROM logging WHERE handover = ? AND notice = ?", (handover, notice))


def _handover(row: tuple[Any, ...]) -> Handover:
    number, incoming, organisation, state, leaf, units, made_us, changed_us, parts, reason, until_us, anchored = row
    return Handover(
        number, bool(incoming), organisation, HandoverState(state), leaf, tuple(cbor.decode(units, MAX_UNITS_BYTES)),
        made_us, changed_us, parts, reason, until_us, anchored,
    )  # fmt: skip
