"""Whatever three companies call in whatever order: nothing comes from nowhere, nothing is lost, and only who has it
moves it.

The state is counted as a stranger would count it, from its records alone.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chaincode.errors import Code, ContractError
from chaincode.lots.pack_records import PackRecord
from chaincode.lots.records import Balance, LotRecord
from chaincode.lots.unit_records import UnitRecord, UnitState
from crypto import cbor
from tests.chaincode.lots.memory_world import Trade, ending
from tests.contract_suite.companies import Company, Lot, Unit
from tests.torture.scale import scaled

TRADE: list[Trade] = []
who = st.integers(0, 2)
REFUSALS = {
    Code.NOT_HELD, Code.NOT_CUSTODIAN, Code.UNIT_INSIDE, Code.UNIT_ENDED, Code.IN_TRANSIT, Code.NOT_IN_TRANSIT,
    Code.NOT_RECIPIENT, Code.RECALLED, Code.QUARANTINED, Code.NOT_MAKER, Code.MALFORMED, Code.NOT_RECALLED,
}  # fmt: skip


class Trading(RuleBasedStateMachine):
    """Two lots that are packed, moved, opened, made into others, ended, destroyed and recalled."""

    @initialize()
    def begin(self) -> None:
        if not TRADE:
            TRADE.append(Trade())
        self.trade = TRADE[0].again()
        self.lots, self.units = [Lot(6), Lot(50, serialised=False)], list[Unit]()
        for lot in self.lots:
            self.trade.maker.commission(lot)

    def company(self, number: int) -> Company:
        return self.trade.all[number]

    def call(self, number: int, function: str, *args: bytes) -> bytes | None:
        """The answer, or None after a refusal, which must be one that the rules know and must change nothing."""
        before = dict(self.trade.ledger.state)
        try:
            return self.company(number).submit(function, *args, self.company(number).evidence())
        except ContractError as e:
            assert e.code in REFUSALS, e  # noqa: PT017 - half of these calls are to be refused
            assert self.trade.ledger.state == before
            return None

    def has(self, number: int, unit: Unit) -> bool:
        """Whether it has the unit by itself and whole: what a move demands."""
        found = self.trade.unit(unit)
        return (found.custodian, found.state, found.parent) == (
            self.company(number).organisation, UnitState.HELD, None,
        )  # fmt: skip

    @rule(number=who, lot=st.integers(0, 1), count=st.integers(1, 4))
    def pack(self, number: int, lot: int, count: int) -> None:
        unit, had = Unit([], [self.lots[lot].of(count).encode()]), self.loose(number, lot)
        done = self.call(number, "lots.pack", *unit.pack(b"")[:-1])
        assert (done is not None) is (count <= had)
        if done is not None:
            self.units.append(unit)

    def loose(self, number: int, lot: int) -> int:
        return self.company(number).balance(self.lots[lot].lot_id).count

    @rule(number=who, count=st.integers(1, 3), data=st.data())
    @precondition(lambda self: self.units)
    def pack_units(self, number: int, count: int, data: st.DataObject) -> None:
        drawn = data.draw(st.lists(st.sampled_from(self.units), min_size=1, max_size=count))
        chosen = {unit.unit_id: unit for unit in drawn}
        first, *others = chosen.values()
        pallet, had = first.pallet(*others), all(self.has(number, unit) for unit in chosen.values())
        done = self.call(number, "lots.pack", *pallet.pack(b"")[:-1])
        assert had or done is None
        if done is not None:
            self.units.append(pallet)

    @rule(number=who, function=st.sampled_from(["unpack", "destroy", "ship", "ship"]), to=who, data=st.data())
    @precondition(lambda self: self.units)
    def act(self, number: int, function: str, to: int, data: st.DataObject) -> None:
        unit = data.draw(st.sampled_from(self.units))
        rest = {"unpack": [], "destroy": [b"fire"], "ship": [self.company(to).named]}[function]
        had = self.has(number, unit)
        done = self.call(number, f"lots.{function}", unit.unit_id, *rest)
        assert had or done is None
        assert done or not had or function == "ship"

    @rule(number=who, function=st.sampled_from(["receive", "receive", "refuse"]), data=st.data())
    @precondition(lambda self: self.units)
    def arrive(self, number: int, function: str, data: st.DataObject) -> None:
        unit = data.draw(st.sampled_from(self.units))
        before = self.trade.unit(unit)
        done = self.call(number, f"lots.{function}", unit.unit_id, *([b"wet"] if function == "refuse" else []))
        assert (done is not None) is (before.recipient == self.company(number).organisation)
        if done:
            now = self.trade.unit(unit).custodian
            assert now == (before.recipient if function == "receive" else before.custodian)

    @rule(number=who, pack=st.integers(0, 5), fate=st.sampled_from([b"dispensed", b"destroyed", b"stolen"]))
    def end(self, number: int, pack: int, fate: bytes) -> None:
        lot = self.lots[0]
        function, *rest = ["lots.dispense"] if fate == b"dispensed" else ["lots.decommission", fate]
        self.call(number, function, *ending(lot, lot.packs[pack]), *rest)

    @rule(number=who, count=st.integers(1, 30))
    def write_off(self, number: int, count: int) -> None:
        self.call(number, "lots.write-off", self.lots[1].lot_id, str(count).encode(), b"spilt")

    @rule(number=who, count=st.integers(1, 20))
    def make(self, number: int, count: int) -> None:
        made, had = Lot(3), self.loose(number, 1)
        args = made.commission(b"")[:-1]
        company = self.company(number)
        said = [*args, company.evidence(), self.lots[1].of(count).encode()]
        try:
            company.submit("lots.commission", *said)
        except ContractError as e:
            assert e.code in (Code.NOT_HELD, Code.RECALLED)  # noqa: PT017 - as above
        else:
            assert count <= had

    @rule(number=who, lot=st.integers(0, 1))
    def recall(self, number: int, lot: int) -> None:
        done = self.call(number, "lots.recall", self.lots[lot].lot_id, b"1", b"9", b"glass")
        assert number == 0 or done is None

    @invariant()
    def nothing_comes_from_nowhere_or_is_lost(self) -> None:
        state = getattr(self, "trade", None) and self.trade.ledger.state
        if not state:
            return
        made = {lot.lot_id: lot.count for lot in read(state, "lot/", LotRecord)}
        units = {unit.unit_id: unit for unit in read(state, "unit/", UnitRecord)}
        there, ended = Counter[bytes](), Counter[bytes]()
        for balance in read(state, "balance/", Balance):
            there[balance.lot_id] += balance.count + balance.dispensed + balance.decommissioned + balance.consumed
            ended[balance.lot_id] += balance.dispensed + balance.decommissioned
        for unit in units.values():
            inside = unit.parent is not None and units[unit.parent].state is not UnitState.OPENED
            for quantity in unit.contents if unit.state is not UnitState.OPENED and not inside else ():
                there[quantity.lot_id] += quantity.count
        assert there == made
        assert len(read(state, "pack/", PackRecord)) == ended[self.lots[0].lot_id]


def read(state: dict[str, bytes], prefix: str, kind):  # type: ignore[no-untyped-def]
    return [kind.decode(value) for key, value in state.items() if key.startswith(prefix)]


TestTrading = Trading.TestCase
TestTrading.settings = settings(max_examples=scaled(10, 2_000), stateful_step_count=scaled(25, 40))


def test_the_count_would_notice(trade: Trade) -> None:
    """A count that cannot fail shows nothing: one pack is put into a balance from nowhere."""
    machine = Trading()
    machine.begin()
    machine.nothing_comes_from_nowhere_or_is_lost()
    lot_id = machine.lots[0].lot_id
    key = next(key for key in machine.trade.ledger.state if key.startswith(f"balance/{lot_id.hex()}"))
    item = cbor.decode(machine.trade.ledger.state[key], 999)
    machine.trade.ledger.state[key] = cbor.encode(item | {4: item[4] + 1})
    try:
        machine.nothing_comes_from_nowhere_or_is_lost()
    except AssertionError:
        return
    raise AssertionError("a pack from nowhere was not noticed")
