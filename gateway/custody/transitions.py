"""From one EPCIS event of this company to what the ledger is to be told, and to what this company knows itself.

The event was checked when it was captured (gateway.epcis.rules); that its sender may do what it says is the contract's
to judge. What can be judged here already (a pack without a lot, a recipient that is no partner) is noted as refused,
with the reason. Everything is done inside the transaction that moves the follower on, so each event counts once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from chaincode.lots.records import MAX_INPUTS
from crypto import cbor
from crypto.errors import FormatError
from gateway.custody import amounts
from gateway.custody.containers import MAX_NESTED, Amount, Containers
from gateway.custody.database import Store
from gateway.custody.errors import CustodyError, UnknownUnitError
from gateway.custody.lots import LotFacts, Lots
from gateway.custody.names import gtin_of, is_container, is_lot, is_pack
from gateway.custody.partners import Partner, Partners
from gateway.custody.schema import LotState, UnitKind, UnitState
from gateway.custody.sealing import Sealing
from gateway.custody.senders import named
from gateway.custody.tasks import DATA, TAKE, Tasks, now_us
from gateway.custody.units import Unit, Units
from gateway.epcis import ilmd
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import Event, Thing
from gateway.epcis.identifiers import lgtin_of

SHIP, RECEIVE, DISPENSE, DECOMMISSION, DESTROY, DISCARD = (
    "ship", "receive", "dispense", "decommission", "destroy", "discard",
)  # fmt: skip
MAX_SHIPPED = 32
_SHIPPING, RECEIVING = frozenset({"shipping"}), frozenset({"receiving", "accepting"})
_DISPENSING = frozenset({"dispensing", "retail_selling"})
# How goods leave the trade, by business step and then by disposition; anything else that is deleted is destroyed.
_FATES = {
    "damaged": "damaged", "expired": "expired", "recalled": "recalled", "stolen": "stolen", "destroyed": "destroyed",
    "sampling": "sampled", "destroying": "destroyed", "unavailable": "lost", "unknown": "lost",
}  # fmt: skip


class Transitions:
    """Takes events in the order of the log."""

    def __init__(
        self, store: Store, units: Units, containers: Containers, lots: Lots, sealing: Sealing, tasks: Tasks,
        partners: Partners, *, data_wait_s: float,
    ) -> None:  # fmt: skip
        self._store, self._units, self._containers = store, units, containers
        self._lots, self._sealing, self._tasks, self._partners = lots, sealing, tasks, partners
        self._data_wait_s = data_wait_s
        # (leaf, pack, first): the event at `leaf` commissions a pack that the one at `first` did before.
        self.noted: Callable[[Event, int], None] = lambda event, leaf: None  # of each receiving event
        self.duplicate: Callable[[int, str, int | None], None] = lambda leaf, pack, first: None

    def take(self, event: Event, leaf: int) -> None:
        """Everything that follows from one event; nothing from one that declares another erroneous."""
        for work in self._works(event) if event.error is None else ():
            self._do(work, event, leaf)

    def again(self, event: Event, leaf: int, name: str, place: int | None) -> None:
        """That part of an event that could not be done when it was taken."""
        for work in self._works(event):
            if (work.name, work.place) == (name, place):
                self._do(work, event, leaf)

    def _works(self, event: Event) -> Iterator["_Work"]:
        """The parts of an event that are done or refused each for itself, in their order."""
        step = event.biz_step or ""
        if event.type == "TransformationEvent":
            yield _Work("commission", self._transform)
            return
        if step in RECEIVING:  # before it is opened
            yield _Work(RECEIVE, self._receive)
        if event.type == "AggregationEvent" and event.action in ("ADD", "DELETE"):
            yield _Work("pack" if event.action == "ADD" else "unpack", self._aggregate)
        elif event.type == "ObjectEvent" and event.action == "ADD":
            yield _Work("commission", self._commission)
        elif step in _DISPENSING or (event.type == "ObjectEvent" and event.action == "DELETE"):
            name = DISPENSE if step in _DISPENSING else DECOMMISSION
            for place in range(len(event.things)):
                yield _Work(name, partial(self._end, place), place)
        if step in _SHIPPING:
            yield _Work(SHIP, self._ship)

    def _do(self, work: "_Work", event: Event, leaf: int) -> None:
        """What cannot be is noted with the reason, and nothing of it is done; or it waits for a hand-over."""
        try:
            with self._store.savepoint():
                work.do(event, leaf)
        except (CustodyError, FormatError) as e:  # the latter: of what it names or asks for, not of what is kept here
            thing = e.thing if isinstance(e, UnknownUnitError) else ""
            if thing and (work.name == "unpack" or self._tasks.expects(RECEIVE)):
                self._wait(leaf, TAKE, thing, [None, work.name, None, work.place])
                return
            things = event.things if work.place is None else event.things[work.place : work.place + 1]
            self._tasks.refuse_at_once(leaf, work.name, (one.uri for one in things), str(e), "not-possible", work.place)

    def _wait(self, leaf: int, name: str, thing: str, detail: cbor.CborValue) -> None:
        """It is done once a hand-over has brought this thing."""
        until = now_us() + int(self._data_wait_s * 1e6)
        reason = "no hand-over of it came so far"
        self._tasks.add(leaf, name, [thing], detail, waits=DATA + thing, until_us=until, reason=reason)

    # -- made

    def _commission(self, event: Event, leaf: int) -> None:
        """Packs come into the world, each of the lot in ilmd; or a lot gets its amount."""
        facts = LotFacts(expiry_day=ilmd.expiry_day(event))
        lots = self._serialised([thing.uri for thing in event.things if is_pack(thing.uri)], event, leaf, facts)
        for thing in event.things:
            if is_lot(thing.uri):
                lots.append(self._declare(thing, leaf, facts))
            elif is_container(thing.uri):
                self._units.made(thing.uri, leaf)
        for lot in lots:
            self._lots.close_if_whole(lot)

    def _transform(self, event: Event, leaf: int) -> None:
        """Lots become other lots. Inputs whose secret is not known here are none of the ledger's and are left out."""
        facts = LotFacts(expiry_day=ilmd.expiry_day(event), inputs=self._inputs(event, leaf))
        outputs = [thing for thing in event.things if thing.role == "output"]
        lots: list[Unit] = []
        for thing in outputs:
            if is_lot(thing.uri):
                lots.append(self._declare(thing, leaf, facts))
                facts = replace(facts, inputs=())  # what went in counts once: for the first of several outputs
        lots += self._serialised([thing.uri for thing in outputs if is_pack(thing.uri)], event, leaf, facts)
        for lot in lots:
            self._lots.close_if_whole(lot)

    def _serialised(self, packs: Sequence[str], event: Event, leaf: int, facts: LotFacts) -> list[Unit]:
        """Packs come into the world: those of each product are of the lot in ilmd. The lots; what went in is in the
        first of them."""
        number, lots = ilmd.lot_number(event), list[Unit]()
        if packs and number is None:
            raise CustodyError("packs are made without a lot; put cbvmda:lotNumber into ilmd")
        for gtin in dict.fromkeys(map(gtin_of, packs)):
            lot = self._open_lot(_lot_uri(gtin, number or ""), leaf)
            self._lots.note(lot, leaf, facts if not lots else replace(facts, inputs=()))
            for pack in self._units.put_packs(lot, [one for one in packs if gtin_of(one) == gtin], leaf):
                self.duplicate(leaf, pack, self._units.commissioned_at(pack))
            lots.append(lot)
        return lots

    def _inputs(self, event: Event, leaf: int) -> tuple[tuple[str, int], ...]:
        counts: dict[str, int] = {}
        for thing in event.things:
            if thing.role != "input":
                continue
            if is_pack(thing.uri) and (lot := self._units.find_lot(thing.uri)):
                self._sealing.loosen(thing.uri, leaf)
                counts[lot.uri] = counts.get(lot.uri, 0) + 1
            elif is_lot(thing.uri) and thing.quantity and (lot := self._units.get(thing.uri)):
                self._lots.close_as_amount(lot)
                counts[lot.uri] = amounts.bounded(counts.get(lot.uri, 0) + amounts.whole(thing.quantity, thing.uom))
        if len(counts) > MAX_INPUTS:
            raise CustodyError(f"a lot is made of at most {MAX_INPUTS} lots, got {len(counts)}; split the event")
        return tuple(counts.items())

    def _declare(self, thing: Thing, leaf: int, facts: LotFacts) -> Unit:
        lot = self._open_lot(thing.uri, leaf)
        count = None if thing.quantity is None else amounts.whole(thing.quantity, thing.uom)
        self._lots.note(lot, leaf, LotFacts(count, thing.uom, facts.expiry_day, facts.inputs))
        return lot

    def _open_lot(self, uri: str, leaf: int) -> Unit:
        lot = self._units.made(uri, leaf)
        if lot.origin:
            raise CustodyError(f"{uri} was made by others: {lot.origin} handed it over")
        if lot.state != LotState.OPEN:
            raise CustodyError(f"{uri} is closed; what was not commissioned before that is not part of it")
        return lot

    # -- packed and unpacked

    def _aggregate(self, event: Event, leaf: int) -> None:
        parent = next((thing.uri for thing in event.things if thing.role == "parent"), None)
        if parent is None or not is_container(parent):
            raise CustodyError(
                "goods are packed into a thing with an identity of its own, an SSCC say; name it as parentID"
            )
        children = [thing for thing in event.things if thing.role == "child"]
        if event.action == "ADD":
            self._put_in(parent, children, leaf)
        else:
            self._take_out(parent, children, leaf)

    def _put_in(self, parent: str, children: Sequence[Thing], leaf: int) -> None:
        things = [child.uri for child in children if is_pack(child.uri) or is_container(child.uri)]
        self._require_room(parent, things)
        unit = self._to_pack_into(parent, leaf)
        for thing in things:
            if self._containers.parent_of(thing) is not None:
                self._sealing.loosen(thing, leaf)
        unknown = self._containers.put_in(unit, things, leaf)
        if unknown:
            self._units.lot_of(unknown[0])  # raises
        for child in children:
            if is_lot(child.uri) and child.quantity:
                self._containers.put_amount(unit, self._amount(child))

    def _require_room(self, parent: str, things: Sequence[str]) -> None:
        """A thing is in nothing that is in it, and what is around each other has a bound."""
        above = [unit.uri for unit in self._containers.above(parent)]
        for thing in things:
            if thing == parent or thing in above:
                raise CustodyError(
                    f"{thing} cannot be packed into {parent}: that is {thing} itself, or is inside of it"
                )
            if len(above) + 1 + self._containers.height(thing) > MAX_NESTED:
                raise CustodyError(f"{thing} in {parent}: more than {MAX_NESTED} units would be around each other")

    def _to_pack_into(self, parent: str, leaf: int) -> Unit:
        """The unit, open. One that was sealed is opened, and what is in it goes over into a new one of its name."""
        unit = self._units.made(parent, leaf)
        if unit.state == UnitState.OPEN:
            return unit
        made = self._units.new(parent, UnitKind.LOGISTIC, leaf)
        if unit.state == UnitState.SEALED:
            self._sealing.open(unit, leaf, made)
        return made

    def _take_out(self, parent: str, children: Sequence[Thing], leaf: int) -> None:
        """Without children everything is taken out."""
        unit = self._units.of(parent)
        if unit.state == UnitState.OPEN:
            rest: Unit | None = unit
        elif unit.state in (UnitState.SEALED, UnitState.COMING):
            self._sealing.loosen(parent, leaf)
            rest = self._units.new(parent, UnitKind.LOGISTIC, leaf) if children else None
            self._sealing.open(unit, leaf, rest)
        else:
            return  # it was opened before, when something was taken out alone
        if not children and rest is not None:
            self._containers.empty(rest)
        for child in children:
            if is_lot(child.uri) and child.quantity and rest is not None:
                self._containers.take_amount(rest, self._amount(child))
            elif self._containers.parent_of(child.uri) == rest:
                self._containers.take_out(child.uri)

    def _amount(self, thing: Thing) -> Amount:
        lot = self._units.of(thing.uri)
        self._lots.close_as_amount(lot)
        return Amount(lot, amounts.whole(thing.quantity or 0, thing.uom))

    # -- handed over

    def _ship(self, event: Event, leaf: int) -> None:
        partner = self._recipient(event)
        units = []
        loose: list[Thing] = []
        for thing in self._outermost(event):
            if is_container(thing.uri):
                units.append(self._ready_to_go(thing.uri, leaf))
            else:
                loose.append(thing)
        if loose:
            units.append(self._consignment(event, loose, leaf))
        for unit in units:
            self._close_lots(unit)
        if not units:
            raise CustodyError("nothing that is shipped is a pack, a lot's amount or a logistic unit")
        for start in range(0, len(units), MAX_SHIPPED):
            part = units[start : start + MAX_SHIPPED]
            detail: cbor.CborValue = [[unit.number for unit in part], partner.organisation]
            self._tasks.add(leaf, SHIP, [unit.uri for unit in part], detail)
            for unit in part:
                self._units.set_state(unit, UnitState.SHIPPED)

    def _ready_to_go(self, uri: str, leaf: int) -> Unit:
        unit = self._units.of(uri)
        if unit.parent is not None:
            self._sealing.loosen(uri, leaf)
        self._sealing.seal(unit)
        return self._units.numbered(unit.number)

    def _consignment(self, event: Event, loose: Sequence[Thing], leaf: int) -> Unit:
        """A unit of what is shipped without one; it is named after the event."""
        unit = self._units.new(event.hash_id, UnitKind.CONSIGNMENT, leaf)
        packs = [thing.uri for thing in loose if is_pack(thing.uri)]
        for pack in packs:
            self._sealing.loosen(pack, leaf)
        unknown = self._containers.put_in(unit, packs, leaf)
        if unknown:
            self._units.lot_of(unknown[0])  # raises
        for thing in loose:
            if not is_pack(thing.uri):
                self._containers.put_amount(unit, self._amount(thing))
        self._sealing.seal(unit)
        return unit

    def _close_lots(self, unit: Unit) -> None:
        """What is sent off is finished."""
        for part in self._containers.inside(unit):
            for lot, _ in self._containers.lots(part):
                self._lots.close(lot)

    def _recipient(self, event: Event) -> Partner:
        if not event.destinations:
            raise CustodyError("it is shipped to nobody; name the recipient in destinationList (possessing_party)")
        partner = named(self._partners, event.destinations)
        if partner is None:
            uri = event.destinations[0].uri
            raise CustodyError(f"{uri} is nobody's of the partners; add its GLN to [[partners]]")
        return partner

    def _receive(self, event: Event, leaf: int) -> None:
        self.noted(event, leaf)
        sender = named(self._partners, event.sources)
        for thing in self._outermost(event):
            amount: int | None = None
            if is_lot(thing.uri) and thing.quantity:
                amount = amounts.whole(thing.quantity, thing.uom)
            elif not (is_pack(thing.uri) or is_container(thing.uri)):
                continue
            self._wait(
                leaf, RECEIVE, thing.uri, [amount, event.biz_step == "accepting", None, sender and sender.organisation]
            )

    def _outermost(self, event: Event) -> Iterator[Thing]:
        """The things of an event that are not inside of others of it. Of an aggregation the parent stands for all."""
        if any(thing.role == "parent" for thing in event.things):
            things = [thing for thing in event.things if thing.role == "parent"]
        else:
            things = list(event.things)
        uris = {thing.uri for thing in things}
        for thing in things:
            if is_pack(thing.uri) or is_container(thing.uri):
                if not any(unit.uri in uris for unit in self._containers.above(thing.uri)):
                    yield thing
            elif is_lot(thing.uri):
                yield thing

    # -- ended

    def _end(self, place: int, event: Event, leaf: int) -> None:
        """One thing of the event is dispensed, or leaves the trade otherwise."""
        thing, dispensed, fate = event.things[place], (event.biz_step or "") in _DISPENSING, self._fate(event)
        if is_pack(thing.uri):
            lot = self._units.lot_of(thing.uri)
            self._sealing.loosen(thing.uri, leaf)
            self._lots.close(lot)
            name = DISPENSE if dispensed else DECOMMISSION
            self._tasks.add(leaf, name, [thing.uri, lot.uri], None if dispensed else fate)
        elif is_container(thing.uri) and not dispensed:
            if self._units.get(thing.uri) or self._tasks.expects(
                RECEIVE
            ):  # an empty one that nobody told of is no news
                self._destroy(self._units.of(thing.uri), fate, leaf)
        elif is_lot(thing.uri) and thing.quantity:
            amount = self._amount(thing)
            self._tasks.add(leaf, DISCARD, [thing.uri], [amount.count, "dispensed" if dispensed else fate])

    def _destroy(self, unit: Unit, fate: str, leaf: int) -> None:
        """A unit with all that is in it; one that was empty just is no more."""
        if unit.state == UnitState.OPEN and not self._units.has_contents(unit):
            self._units.set_state(unit, UnitState.OPENED)
            return
        self._sealing.loosen(unit.uri, leaf)
        self._sealing.seal(unit)
        self._tasks.add(leaf, DESTROY, [unit.uri], [unit.number, fate])
        self._units.set_state(unit, UnitState.OPENED)

    @staticmethod
    def _fate(event: Event) -> str:
        for word in (event.disposition, event.biz_step):
            if word in _FATES:
                return _FATES[word]
        return "destroyed"


@dataclass(frozen=True, slots=True)
class _Work:
    """A part of an event: what the ledger calls it, what does it, and the place of the one thing that it is about."""

    name: str
    do: Callable[[Event, int], None]
    place: int | None = None


def _lot_uri(gtin: str, number: str) -> str:
    """CustodyError where no GS1 key can have this lot number."""
    try:
        return lgtin_of(gtin, number)
    except EpcisError as e:
        raise CustodyError(f"ilmd names a lot that cannot be: {e}") from e
