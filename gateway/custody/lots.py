"""Lots of our own making, from the first event that names one to its record on the ledger.

The ledger keeps a lot's packs as one tree, so a lot is told once it is closed. It is closed by the first of these: as
many packs were commissioned as an event gave as its amount; a call says so; something of it is shipped, dispensed or
used up, since nobody sends off a batch that is not finished. A lot with a unit of measure is a material without packs
and is closed at once.
"""

from dataclasses import dataclass

from crypto import cbor
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError
from gateway.custody.schema import LotState
from gateway.custody.tasks import Tasks
from gateway.custody.units import Unit, Units

COMMISSION = "commission"
_MAX_INPUTS_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class LotFacts:
    """What events said of a lot. `declared`: its amount as the ledger counts it; `inputs`: what it was made of."""

    declared: int | None = None
    uom: str | None = None
    expiry_day: int | None = None
    inputs: tuple[tuple[str, int], ...] = ()


class Lots:
    """Reads and changes lots. Call it inside the transaction of the event."""

    def __init__(self, store: Store, units: Units, tasks: Tasks) -> None:
        self._store, self._units, self._tasks = store, units, tasks

    def facts(self, lot: Unit) -> LotFacts:
        query = "SELECT declared, uom, expiry_day, inputs FROM lot WHERE unit = ?"
        with self._store.reading() as db:
            row = db.execute(query, (lot.number,)).fetchone()
        if row is None:
            return LotFacts()
        inputs = tuple((uri, count) for uri, count in cbor.decode(row[3], _MAX_INPUTS_BYTES)) if row[3] else ()
        return LotFacts(row[0], row[1], row[2], inputs)

    def note(self, lot: Unit, leaf: int, facts: LotFacts) -> None:
        """An event says something of an open lot; what it does not say stays as it was."""
        inputs = cbor.encode([[uri, count] for uri, count in facts.inputs]) if facts.inputs else None
        with self._store.transaction() as tx:
            tx.execute(
                "INSERT INTO lot VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " declared = COALESCE(excluded.declared, declared), uom = COALESCE(excluded.uom, uom),"
                " expiry_day = COALESCE(excluded.expiry_day, expiry_day), inputs = COALESCE(excluded.inputs, inputs)",
                (lot.number, facts.declared, facts.uom, facts.expiry_day, inputs),
            )
            tx.execute("UPDATE unit SET leaf = ? WHERE id = ?", (leaf, lot.number))

    def close_if_whole(self, lot: Unit) -> bool:
        """Close it where it is a material, or as many packs are there as were declared."""
        facts = self.facts(lot)
        if lot.state != LotState.OPEN or facts.declared is None:
            return False
        if facts.uom is None and self._units.count_packs(lot) < facts.declared:
            return False
        return self.close(lot)

    def close(self, lot: Unit) -> bool:
        """Tell the ledger of it; False where that was done before.

        Raises:
            CustodyError: there is nothing in it: no pack and no amount.
        """
        with self._store.transaction():
            lot = self._units.numbered(lot.number)
            if lot.state != LotState.OPEN or lot.origin:
                return False
            facts = self.facts(lot)
            if not facts.declared and not self._units.has_packs(lot):
                raise CustodyError(f"{lot.uri} has no packs and no amount: nothing to close; capture them first")
            things = [lot.uri, *(uri for uri, _ in facts.inputs)]
            self._units.set_state(lot, LotState.CLOSED)
            self._tasks.add(lot.leaf or 0, COMMISSION, things, [lot.number])
        return True

    def reopen(self, number: int) -> None:
        """The event that made it what it is was declared erroneous before the ledger was told: others may say more."""
        with self._store.transaction():
            lot = self._units.numbered(number)
            self._units.set_state(lot, LotState.OPEN)
            self._tasks.hold(lot.uri, f"{lot.uri} is not closed yet")

    def close_as_amount(self, lot: Unit) -> bool:
        """Something of it moves as an amount, without serials: that is what it is, if it has no packs."""
        return not self._units.has_packs(lot) and self.facts(lot).declared is not None and self.close(lot)

    def settled(self, lot: Unit, state: LotState) -> None:
        """The ledger has it, or the contract refused it: what waited for that goes on."""
        with self._store.transaction():
            self._units.set_state(lot, state)
            self._tasks.release(lot.uri)

    def waits(self, lots: list[Unit]) -> str | None:
        """The URI of the first of these lots that the ledger has not been told of yet."""
        for lot in lots:
            if lot.state in (LotState.OPEN, LotState.CLOSED):
                return lot.uri
        return None
