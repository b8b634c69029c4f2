"""What is in what, by this company's own events: packs and amounts in units, units in units.

A unit collects what is put into it until it moves; then it is sealed (gateway.custody.sealing) and the ledger knows it.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.custody.amounts import bounded
from gateway.custody.database import Store
from gateway.custody.names import PRODUCT, is_pack, pack_name
from gateway.custody.units import PACKS_AT_ONCE, Unit, Units

MAX_NESTED = 16  # units around each other: more than the contract takes, with the gateway's own in between


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of a lot, in pieces or in thousandths of its unit of measure."""

    lot: Unit
    count: int


class Containers:
    """Reads and changes what is in what."""

    def __init__(self, store: Store, units: Units) -> None:
        self._store, self._units = store, units

    def parent_of(self, thing: str) -> Unit | None:
        """The unit that a pack or unit is in."""
        if is_pack(thing):
            with self._store.reading() as db:
                row = db.execute("SELECT parent FROM pack WHERE name = ?", (pack_name(thing),)).fetchone()
            number = row[0] if row else None
        else:
            unit = self._units.get(thing)
            number = unit.parent if unit else None
        return None if number is None else self._units.numbered(number)

    def above(self, thing: str) -> list[Unit]:
        """All units around a thing, the innermost first."""
        found: list[Unit] = []
        parent = self.parent_of(thing)
        while parent is not None:
            found.append(parent)
            parent = None if parent.parent is None else self._units.numbered(parent.parent)
        return found

    def height(self, thing: str) -> int:
        """How many units are below each other in a thing, at most MAX_NESTED; 0 for one that has no unit in it."""
        unit = None if is_pack(thing) else self._units.get(thing)
        if unit is None:
            return 0
        query = """WITH RECURSIVE below (id, level) AS (SELECT ?, 0 UNION ALL
            SELECT unit.id, level + 1 FROM below JOIN unit ON unit.parent = below.id WHERE level < ?)
            SELECT MAX(level) FROM below"""
        with self._store.reading() as db:
            return int(db.execute(query, (unit.number, MAX_NESTED)).fetchone()[0])

    def out_of(self, pack: str) -> Unit | None:
        """The unit that was opened around a pack last."""
        with self._store.reading() as db:
            row = db.execute("SELECT out_of FROM pack WHERE name = ?", (pack_name(pack),)).fetchone()
        return None if row is None or row[0] is None else self._units.numbered(row[0])

    def put_in(self, parent: Unit, things: list[str], leaf: int) -> list[str]:
        """Put packs and units, by URI, into a unit. Returns packs that no lot is known of, which were not put in."""
        unknown: list[str] = []
        with self._store.transaction() as tx:
            for thing in things:
                if not is_pack(thing):
                    child = self._units.made(thing)
                    tx.execute("UPDATE unit SET parent = ? WHERE id = ?", (parent.number, child.number))
                elif not self._move(tx, thing, parent.number):
                    unknown.append(thing)
            tx.execute("UPDATE unit SET leaf = ? WHERE id = ?", (leaf, parent.number))
        return unknown

    def put_amount(self, parent: Unit, amount: Amount) -> None:
        """CustodyError where there is more of it than the ledger counts."""
        with self._store.transaction() as tx:
            place = (parent.number, amount.lot.number)
            known = tx.execute("SELECT count FROM amount WHERE parent = ? AND lot = ?", place).fetchone()
            count = bounded(amount.count + (known[0] if known else 0))
            tx.execute("INSERT OR REPLACE INTO amount VALUES (?, ?, ?)", (*place, count))

    def take_amount(self, parent: Unit, amount: Amount) -> None:
        with self._store.transaction() as tx:
            place = (parent.number, amount.lot.number)
            tx.execute("UPDATE amount SET count = count - ? WHERE parent = ? AND lot = ?", (amount.count, *place))
            tx.execute("DELETE FROM amount WHERE parent = ? AND lot = ? AND count <= 0", place)

    def take_out(self, thing: str) -> None:
        """It is in no unit any more."""
        with self._store.transaction() as tx:
            if is_pack(thing):
                self._move(tx, thing, None)
            elif unit := self._units.get(thing):
                tx.execute("UPDATE unit SET parent = NULL WHERE id = ?", (unit.number,))

    def empty(self, unit: Unit, into: Unit | None = None) -> None:
        """Everything that is directly in it is in `into` from now on, or in nothing; amounts are nowhere then."""
        number = into.number if into else None
        with self._store.transaction() as tx:
            tx.execute("UPDATE pack SET parent = ?, out_of = ? WHERE parent = ?", (number, unit.number, unit.number))
            tx.execute("UPDATE unit SET parent = ?, out_of = ? WHERE parent = ?", (number, unit.number, unit.number))
            if into:
                tx.execute("UPDATE amount SET parent = ? WHERE parent = ?", (number, unit.number))
            else:
                tx.execute("DELETE FROM amount WHERE parent = ?", (unit.number,))

    def children(self, unit: Unit) -> list[Unit]:
        """Units that are directly in it."""
        query = "SELECT id FROM unit WHERE parent = ? ORDER BY id"
        with self._store.reading() as db:
            rows = db.execute(query, (unit.number,)).fetchall()
        return [self._units.numbered(number) for (number,) in rows]

    def packs(self, unit: Unit) -> Iterator[tuple[str, int]]:
        """URIs of packs that are directly in it, with the numbers of their lots; a few thousand at a time."""
        after = ""
        query = "SELECT name, lot FROM pack WHERE parent = ? AND name > ? ORDER BY name LIMIT ?"
        while True:
            with self._store.reading() as db:
                rows = db.execute(query, (unit.number, after, PACKS_AT_ONCE)).fetchall()
            yield from ((PRODUCT + name, lot) for name, lot in rows)
            if len(rows) < PACKS_AT_ONCE:
                return
            after = rows[-1][0]

    def amounts(self, unit: Unit) -> list[Amount]:
        with self._store.reading() as db:
            rows = db.execute("SELECT lot, count FROM amount WHERE parent = ?", (unit.number,)).fetchall()
        return [Amount(self._units.numbered(lot), count) for lot, count in rows]

    def lots(self, unit: Unit) -> list[tuple[Unit, int]]:
        """Lots of the packs that are directly in it, with their numbers."""
        query = "SELECT lot, COUNT(*) FROM pack WHERE parent = ? GROUP BY lot"
        with self._store.reading() as db:
            rows = db.execute(query, (unit.number,)).fetchall()
        return [(self._units.numbered(lot), count) for lot, count in rows]

    def inside(self, unit: Unit) -> Iterator[Unit]:
        """The unit and all units in it, each before what is in it."""
        yield unit
        for child in self.children(unit):
            yield from self.inside(child)

    @staticmethod
    def _move(tx: sqlite3.Connection, pack: str, parent: int | None) -> bool:
        query = "UPDATE pack SET parent = ? WHERE name = ?"
        return tx.execute(query, (parent, pack_name(pack))).rowcount == 1
