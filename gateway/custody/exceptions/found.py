"""Exceptions that are found here: what was compared, in words, and whom it concerns.

Nothing is decided here: the gateway says what it compared. Call it inside the transaction of what found it.
"""

from collections.abc import Callable, Sequence

from chaincode.lots.exception_records import MAX_ABOUT, Kind, Resolution
from gateway.custody.database import Store
from gateway.custody.exceptions.register import RESOLVED, Register
from gateway.custody.handover.book import Book, Handover
from gateway.custody.schema import UnitState
from gateway.custody.tasks import Task, Tasks, now_us
from gateway.custody.units import Units
from gateway.supply.ourselves import OwnOrganisation

REPORT = "report"


class Found:
    """Opens exceptions of this company's own, and withdraws those that came right by themselves."""

    def __init__(
        self, store: Store, register: Register, units: Units, tasks: Tasks, book: Book, us: OwnOrganisation, *,
        partner_of: Callable[[int], str], resolve: Callable[[int, str, str], None], answer_us: int,
    ) -> None:  # fmt: skip
        """`partner_of(leaf)`: whom the receiving event at this record names as the sender, empty if nobody we know."""
        self._store, self._register, self._units, self._tasks, self._book = store, register, units, tasks, book
        self._us, self._partner_of, self._resolve, self._answer_us = us, partner_of, resolve, answer_us

    def product_without_data(self, task: Task) -> None:
        """Something was received, and no hand-over of it came in time."""
        sender = self._partner_of(task.leaf)
        thing = task.things[0]
        compared = (
            f"Record {task.leaf} says that {thing} was received{f' from {sender}' if sender else ''}. No hand-over that"
            " was taken here up to now has it, by its URI or in a unit. Expected: a hand-over of it by who shipped it."
        )
        cause = f"data {task.leaf} {thing}"
        self.open(Kind.PRODUCT_WITHOUT_DATA, sender, [thing], [task.leaf], compared, task.leaf, cause)

    def data_came(self, task: Task) -> None:
        """The hand-over that was missing came after all."""
        self._withdraw(f"data {task.leaf} {task.things[0]}", "the hand-over came after all")

    def product_came(self, handover: bytes) -> None:
        """All goods of a hand-over were received after all."""
        self._withdraw(f"product {handover.hex()}", "the goods were received after all")

    def _withdraw(self, cause: str, remark: str) -> None:
        case = self._register.caused_by(cause)
        if case is not None and case.state != RESOLVED:
            self._resolve(case.id, str(Resolution.WITHDRAWN), remark)

    def data_without_product(self, handover: Handover) -> None:
        """A hand-over was taken, and its goods were not received in time."""
        missing = [uri for uri in handover.units if self._units.of(uri).state == UnitState.COMING]
        if not missing:
            return
        records = [leaf for uri in missing[:MAX_ABOUT] for leaf in self._book.mentions(uri)]
        compared = (
            f"{handover.organisation} handed over {len(handover.units)} units; {len(missing)} were not received:"
            f" {', '.join(missing[:MAX_ABOUT])}. Expected: a receiving event of each by the deadline."
        )
        leaf = max(records, default=0)
        cause = f"product {handover.id.hex()}"
        self.open(Kind.DATA_WITHOUT_PRODUCT, handover.organisation, missing, records, compared, leaf, cause)

    def commissioned_twice(self, leaf: int, pack: str, first: int | None) -> None:
        """Two of our own events bring one serial into the world."""
        where = f"record {first}" if first is not None else "a hand-over"
        lot = self._units.find_lot(pack)
        compared = (
            f"{pack} is commissioned by record {leaf}. It came into the world before, by {where}"
            f"{f', as one of {lot.uri}' if lot else ''}. Expected: each serial once. It stays what it was."
        )
        records = [leaf] if first is None else [first, leaf]
        self.open(Kind.DUPLICATE_SERIAL, "", [pack], records, compared, leaf, f"made {leaf} {pack}")

    def handed_over_twice(self, pack: str, unit: str, sender: str) -> None:
        """A hand-over brings a pack that is here, or on its way from elsewhere."""
        leaf = max(self._book.mentions(unit), default=0)
        known = self._units.lot_of(pack)
        compared = (
            f"{sender} hands over {pack} in {unit}. By what is known here that pack is elsewhere: it was handed over or"
            f" made before, as one of {known.uri}. Expected: each serial in one place. One of the two may be falsified."
        )
        self.open(Kind.DUPLICATE_SERIAL, sender, [pack, unit], [leaf], compared, leaf, f"twice {pack} {unit}")

    def open(
        self, kind: Kind, counterparty: str, things: Sequence[str], records: Sequence[int], compared: str, leaf: int,
        cause: str,
    ) -> None:  # fmt: skip
        """Note it, once for each cause, and report it; `counterparty` is asked, where there is one."""
        deadline = now_us() + self._answer_us if counterparty else 0
        owner = self._us.name
        with self._store.transaction():
            number = self._register.open(
                str(kind), owner, counterparty, things, records, compared, leaf, cause, deadline
            )
            if number is not None:
                self._tasks.add(leaf, REPORT, [f"exception {number}"], [number])
