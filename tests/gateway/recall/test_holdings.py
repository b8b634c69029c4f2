"""Who has how many packs of a lot: nobody is left out for want of room, and nobody's word but ours makes it so."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.custody.follower import source_of
from gateway.events.view import EventsView
from gateway.query.errors import BusyError
from gateway.recall import holdings as counting
from gateway.recall.holdings import Found, holdings
from gateway.recall.statements import Counts
from gateway.trace import walk
from tests.gateway.recall.conftest import GLN
from tests.gateway.recall.test_recall import DRUG, LOT, received, shipped
from tests.support.captures import Trade
from tests.support.trade import case, commissioned, declared_false, keyed, objects, pack, packed, place


@pytest.fixture
def trade(tmp_path: Path) -> Iterator[Trade]:
    with Trade(tmp_path / "site") as site:
        yield site


def counted(
    trade: Trade, *suppliers: str, default: str = "", not_ours: frozenset[tuple[int, str]] = frozenset()
) -> Found:  # fmt: skip
    trade.follow()
    whose = {f"https://id.gs1.org/417/{gln}": name for name, gln in GLN.items()}
    with closing(EventsView.open(trade.folder)) as view:
        return holdings(view.events, LOT, whose.get, suppliers, default, not_ours)


def forty(trade: Trade) -> None:
    """40 packs in cases of ten: 1 stays here, 2 to 4 go to the wholesaler, in a later event each."""
    made = [commissioned(n, DRUG, "L1", *(pack(DRUG, 10 * n + i) for i in range(10)), at=place(1)) for n in range(4)]
    cases = [packed(9, case(n), *(pack(DRUG, 10 * n + i) for i in range(10)), at=place(1)) for n in range(4)]
    trade.capture(*made, *cases, *(shipped(20 + n, case(n), "Maker", "Wholesaler") for n in (1, 2, 3)))


def other(trade: Trade, organisation: str, *payloads: bytes) -> None:
    """What a partner handed over."""
    trade.run(trade.gateway._own_log(source_of(organisation), "epcis").append_all(payloads))


@pytest.mark.parametrize("page", [2, 7, 20, 41, 20_000])
def test_packs_on_full_pages_are_where_their_cases_went(
    trade: Trade, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A page that packs fill to the last has room for what they lie in."""
    monkeypatch.setattr(counting, "PAGE", page)
    forty(trade)
    found = counted(trade)
    assert (found.parts[""].own, found.customers) == (Counts(quarantined=10), {"Wholesaler": 30})
    assert len(found.shipments["Wholesaler"]) == 3


def test_what_another_company_had_did_not_leave_from_here_again(trade: Trade) -> None:
    """Only where we had sent it off before: what nobody else can have had from us may be where the event says."""
    forty(trade)
    leaves = [trade.capture(shipped(30 + n, case(n), "Maker", "Kiosk")) for n in (0, 1)]
    refused = frozenset((leaf, case(n)) for n, [leaf] in zip((0, 1), leaves, strict=True))
    assert counted(trade).customers == {"Wholesaler": 20, "Kiosk": 20}
    assert counted(trade, not_ours=refused).customers == {"Wholesaler": 30, "Kiosk": 10}


@pytest.mark.parametrize("bound", ["rows", "carriers"])
def test_a_page_that_was_not_walked_to_its_end_is_cut_smaller(
    trade: Trade, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    forty(trade)
    monkeypatch.setattr(walk, "_LEAST", 2)
    monkeypatch.setattr(walk, "_OTHERS", 0 if bound == "carriers" else 4)
    monkeypatch.setattr(walk, "MAX_ROWS", 60 if bound == "rows" else 400_000)
    assert dict(counted(trade).parts[""].customers) == {"Wholesaler": 30}


@pytest.mark.parametrize(("name", "value"), [("_LEAST", 0), ("MAX_ROWS", 2)])
def test_no_number_is_better_than_a_wrong_one(
    trade: Trade, name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    forty(trade)
    monkeypatch.setattr(walk, "_OTHERS", 0)
    monkeypatch.setattr(walk, name, value)
    with pytest.raises(BusyError, match="cannot be counted now"):
        counted(trade)


def test_time_that_is_over_is_no_count(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    forty(trade)
    monkeypatch.setattr(counting, "COUNT_S", -1.0)
    with pytest.raises(BusyError, match="time"):
        counted(trade)


def test_packs_of_other_products_in_the_same_events_hide_none(trade: Trade) -> None:
    """An event of two products with one lot number: the other's packs take no place on a page."""
    for first in range(0, 3000, 300):
        both = [pack(number, first + n) for number in (DRUG + 1, DRUG) for n in range(300)]
        trade.capture(commissioned(0, DRUG, "L1", *both, at=place(1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "PAGE", 400)
        assert counted(trade).parts[""].own == Counts(quarantined=3000)


def test_what_a_partner_declares_erroneous_of_ours_still_counts(trade: Trade) -> None:
    forty(trade)
    made = commissioned(0, DRUG, "L1", *(pack(DRUG, i) for i in range(10)), at=place(1))
    sent = shipped(21, case(1), "Maker", "Wholesaler")
    other(trade, "Shop", declared_false(made, 90), declared_false(sent, 91))
    found = counted(trade).parts[""]
    assert (found.own, dict(found.customers)) == (Counts(quarantined=10), {"Wholesaler": 30})
    assert trade.rows("SELECT COUNT(*) FROM event WHERE void") == [(0,)]


def test_who_told_us_is_no_supplier_for_that(trade: Trade) -> None:
    """Only what our own events name as the source of packs came from there; a partner's own word does not count."""
    packs = [pack(DRUG, i) for i in range(4)]
    trade.capture(commissioned(0, DRUG, "L1", *packs), packed(1, case(1), *packs[:2]), packed(1, case(2), *packs[2:]))
    trade.capture(received(5, case(1), "Maker", 2), received(5, case(2), "Shop", 2))
    other(trade, "Kiosk", shipped(9, case(1), "Kiosk", "Wholesaler"))
    assert {name: one.received for name, one in counted(trade, "Kiosk").parts.items()} == {"Kiosk": 0, "": 4}
    both = counted(trade, "Maker", "Shop", "Kiosk", default="Maker")
    assert {name: one.received for name, one in both.parts.items()} == {"Maker": 2, "Shop": 2, "Kiosk": 0}


def test_a_customer_that_tells_us_of_the_recall_has_sent_nothing_back_for_that(trade: Trade) -> None:
    forty(trade)
    found = counted(trade, "Wholesaler")
    assert (found.customers, found.parts["Wholesaler"].received, found.parts[""].own.returned) == (
        {"Wholesaler": 30}, 0, 0,
    )  # fmt: skip
    trade.capture(received(5, case(7), "Maker", 2), packed(4, case(7), pack(DRUG, 0)))
    trade.capture(shipped(40, pack(DRUG, 0), "Wholesaler", "Maker"))
    assert counted(trade, "Maker").parts["Maker"].own == Counts(returned=1)


def test_a_step_with_many_parties_of_a_partner_hides_no_destination_of_ours(trade: Trade) -> None:
    forty(trade)
    many = [{"type": "owning_party", "destination": f"https://id.gs1.org/417/{gln}"} for gln in _glns(300)]
    other(trade, "Kiosk", *(objects(n, "storing", case(n), destinationList=many) for n in range(4)))
    assert counted(trade).customers == {"Wholesaler": 30}


def _glns(count: int) -> list[str]:
    return [keyed(f"4099999{n:05d}") for n in range(count)]
