"""Lot and expiry as goods bear them, compared with what was handed over: from receiving events, and from scans.

A receiving event may say them with `cbvmda:lotNumber` and `cbvmda:itemExpirationDate`; a scan is a record of the kind
`production`. What a partner handed over is believed of nothing: where the two differ an exception asks the partner.
Goods of our own making are not looked at here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta

import msgspec

from chain.event import Event as LoggedEvent
from chain.site import Folder, SiteReader
from crypto.errors import FormatError
from gateway.custody.containers import Containers
from gateway.custody.database import Store
from gateway.custody.names import PRODUCT, is_container, is_pack
from gateway.custody.schema import TaskState, UnitKind
from gateway.custody.tasks import Task
from gateway.custody.units import Unit, Units
from gateway.epcis import ilmd
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import Event, read_event
from gateway.preprocess.gs1 import expiry_date, gtin14
from gateway.preprocess.moment import to_date
from gateway.preprocess.production import Production, ProductionPayload

PRODUCTION_KIND = Production.code
MAX_UNITS = 256  # in one that is received, that are looked at
_EPOCH = date(1970, 1, 1)
# (sender, things, records, what was compared, leaf, cause)
Differs = Callable[[str, Sequence[str], Sequence[int], str, int, str], None]


@dataclass(frozen=True, slots=True)
class Said:
    """`expiry`: the last good day, counted from 1970. None: not said."""

    lot: str | None
    expiry: int | None

    def __str__(self) -> str:
        lot = "no lot" if self.lot is None else f"lot {self.lot}"
        return lot if self.expiry is None else f"{lot}, good until {_EPOCH + timedelta(days=self.expiry)}"


class Labels:
    """Call it inside the transaction of the event or task. `differs` opens the exception, once for each cause."""

    def __init__(self, folder: Folder, store: Store, units: Units, containers: Containers, differs: Differs) -> None:
        self._folder, self._store, self._units, self._containers = folder, store, units, containers
        self._differs = differs

    # -- what is said

    def noted(self, event: Event, leaf: int) -> None:
        """Remember what a receiving event says, until its goods are ours and what was handed over is known."""
        said = Said(*ilmd.borne(event))
        if said != Said(None, None):
            with self._store.transaction() as tx:
                tx.execute("INSERT OR IGNORE INTO label VALUES (?, ?, ?)", (leaf, said.lot, said.expiry))

    def received(self, task: Task) -> None:
        """A receipt is on the ledger."""
        if task.name != "receive" or task.state is not TaskState.DONE:
            return
        with self._store.reading() as db:
            row = db.execute("SELECT lot, expiry FROM label WHERE leaf = ?", (task.leaf,)).fetchone()
        if row is not None:
            sender = self._units.numbered(task.detail[2]).origin
            self._compare(task.things[0], Said(*row), sender, task.leaf)

    @property
    def wanted(self) -> bool:
        """Whether a scan may be of goods that others handed over."""
        query = "SELECT EXISTS (SELECT 1 FROM unit WHERE kind = ? AND origin != '')"
        with self._store.reading() as db:
            return bool(db.execute(query, (int(UnitKind.LOT),)).fetchone()[0])

    def scanned(self, stored: bytes, leaf: int) -> None:
        """A stored event of the kind `production`. One of a pack that nobody handed over says nothing here."""
        event = LoggedEvent.decode(stored)
        try:
            sent = msgspec.json.decode(event.payload, type=ProductionPayload)
            gtin = gtin14(sent.gtin)
            day = sent.expiry and (expiry_date(sent.expiry, to_date(event.sensed_us).year) - _EPOCH).days
        except (FormatError, msgspec.MsgspecError, ValueError):
            return  # it was checked before it was logged; by an earlier version, say
        if sent.serial is not None:
            pack = f"{PRODUCT}{gtin}/21/{sent.serial}"
            lot = self._units.find_lot(pack)
            if lot is not None and lot.origin:
                self._compare(pack, Said(sent.lot, day or None), lot.origin, leaf)

    # -- compared

    def _compare(self, thing: str, said: Said, sender: str, leaf: int) -> None:
        known = [(lot, self._handed_over(lot, thing)) for lot in self._lots(thing) if lot.origin]
        if not known or any(_fits(said, told) for _, (told, _) in known):
            return
        told = "; ".join(str(one) for _, (one, _) in known[:16])
        records = [leaf, *(at for _, (_, at) in known[:16] if at is not None)]
        behind = f" (record {', '.join(map(str, records[1:]))})" if len(records) > 1 else ""
        compared = (
            f"Record {leaf} says of {thing}: {said}. {sender} handed it over as {told}{behind}. Expected: the same lot"
            " and expiry. Label or data are wrong, or these are not the goods."
        )
        things = [thing, *(lot.uri for lot, _ in known)]
        self._differs(sender, things, records, compared, leaf, f"label {thing} {said}")

    def _lots(self, thing: str) -> Iterator[Unit]:
        """The lot of a pack or amount; of a logistic unit all lots that are in it."""
        if is_pack(thing) or not is_container(thing):
            lot = self._units.find_lot(thing) if is_pack(thing) else self._units.get(thing)
            yield from [lot] if lot is not None else []
            return
        found: dict[int, Unit] = {}
        for unit, _ in zip(self._containers.inside(self._units.of(thing)), range(MAX_UNITS), strict=False):
            found |= {lot.number: lot for lot, _ in self._containers.lots(unit)}
            found |= {amount.lot.number: amount.lot for amount in self._containers.amounts(unit)}
        yield from found.values()

    def _handed_over(self, lot: Unit, thing: str) -> tuple[Said, int | None]:
        """What the partner's own event says that made the pack, or one of the lot; and where that stands here."""
        pack = thing if is_pack(thing) else next(iter(self._units.packs(lot)), None)
        at = self._units.commissioned_at(pack) if pack else None
        return Said(lot.uri.partition("/10/")[2], self._expiry(at)), at

    def _expiry(self, leaf: int | None) -> int | None:
        if leaf is None:
            return None
        with closing(SiteReader.open(self._folder)) as reader:
            stored = reader.stored(leaf)
        if stored is None:
            return None  # it was erased: then nothing is known to compare
        try:
            return ilmd.expiry_day(read_event(LoggedEvent.decode(stored.event).payload))
        except EpcisError:
            return None  # the partner's own gateway refuses that


def _fits(said: Said, told: Said) -> bool:
    same_lot = said.lot is None or said.lot == told.lot
    return same_lot and (said.expiry is None or told.expiry is None or said.expiry == told.expiry)
