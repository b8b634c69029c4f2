"""Who holds what of a lot, as far as this company knows: for recalls and shipments. The ledger has the last word."""

from dataclasses import dataclass

from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.handover.book import Book
from gateway.custody.schema import UnitState
from gateway.custody.units import Unit, Units


@dataclass(frozen=True, slots=True)
class Holding:
    """`organisation` got this unit of us, or has it on its way; empty: it is with us."""

    unit: str
    organisation: str
    state: str


class Holdings:
    """Reads custody.db; calls block for moments."""

    def __init__(self, store: Store, units: Units, containers: Containers, book: Book) -> None:
        self._store, self._units, self._containers, self._book = store, units, containers, book

    def holders(self, lot: str) -> list[str]:
        """The partners that something of a lot was shipped to from here, each once, in the order of their names."""
        unit = self._units.get(lot)
        if unit is None:
            return []
        query = """SELECT DISTINCT parent FROM pack WHERE lot = ?1 AND parent IS NOT NULL
            UNION SELECT parent FROM amount WHERE lot = ?1"""
        with self._store.reading() as db:
            numbers = [row[0] for row in db.execute(query, (unit.number,)).fetchall()]
        tops = {self._outermost(self._units.numbered(number)).uri for number in numbers}
        return sorted({partner for top in tops for partner in self._book.recipients(top)})

    def loose(self, lot: str) -> int:
        """Packs of a lot that are in no unit, by our own events."""
        unit = self._units.get(lot)
        if unit is None:
            return 0
        with self._store.reading() as db:
            query = "SELECT COUNT(*) FROM pack WHERE lot = ? AND parent IS NULL"
            return int(db.execute(query, (unit.number,)).fetchone()[0])

    def units_of(self, uri: str) -> list[Unit]:
        """A logistic unit and all units in it, each before what is in it; empty where its secret is not known here."""
        unit = self._units.get(uri)
        return [] if unit is None else list(self._containers.inside(unit))

    def _outermost(self, unit: Unit) -> Unit:
        while unit.parent is not None:
            unit = self._units.numbered(unit.parent)
        return unit

    def of(self, unit: Unit) -> Holding:
        """Where a unit is, by our own events."""
        top = self._outermost(unit)
        sent = self._book.recipients(top.uri) if top.state == UnitState.SHIPPED else []
        return Holding(unit.uri, sent[0] if sent else "", UnitState(top.state).name.lower())
