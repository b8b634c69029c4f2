"""Genealogy: every material, every place, every product, by what was so at the time."""

from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.epcis.event import read_event
from gateway.events.schema import Action
from gateway.events.view import EventsView
from gateway.query.errors import NotFoundError
from gateway.trace.containment import Said, containment
from gateway.trace.errors import TraceError
from gateway.trace.identify import identified
from gateway.trace.spans import ALWAYS, beyond, inside, joined
from gateway.trace.tracing import Question, trace
from tests.support.captures import Trade
from tests.support.trade import (
    START_US,
    case,
    commissioned,
    declared_false,
    event,
    gtin,
    lot,
    made,
    objects,
    pack,
    packed,
    place,
)

API, BULK, DRUG = 1, 2, 3  # products
MINUTE = 60_000_000
PLANT, CARRIER, SHOP, OTHER = (place(n) for n in range(1, 5))


def asked(trade: Trade, identifier: str, direction: str = "both", **options: Any) -> dict[str, Any]:
    trade.follow()
    with closing(EventsView.open(trade.folder)) as view:
        return trace(view, Question.of(identifier, direction, **options))


def story(trade: Trade) -> None:
    """Two materials become bulk, bulk becomes a lot of packs; packs 1, 2 go in case 1 on pallet 9, pack 3 in case 2."""
    trade.capture(
        made(0, {lot(API, "A1"): 5, lot(API, "A2"): 2}, {lot(BULK, "B1"): 7}, at=PLANT),
        made(10, {lot(BULK, "B1"): 7}, {lot(DRUG, "L1"): 7}, at=PLANT),
        commissioned(20, DRUG, "L1", *(pack(DRUG, n) for n in (1, 2, 3)), at=PLANT),
        packed(30, case(1), pack(DRUG, 1), pack(DRUG, 2), at=PLANT),
        packed(30, case(2), pack(DRUG, 3), at=PLANT),
        packed(40, case(9), case(1), at=PLANT),
        objects(50, "shipping", case(9), at=PLANT, disposition="in_transit"),
        objects(60, "receiving", case(9), at=CARRIER),
        packed(70, case(9), case(1), action="DELETE", at=CARRIER),
        objects(80, "receiving", case(1), at=SHOP),
        objects(81, "storing", case(9), at=OTHER),  # the empty pallet's own way
        packed(90, case(1), pack(DRUG, 1), action="DELETE", at=SHOP),
        objects(95, "dispensing", pack(DRUG, 1), at=SHOP),
        objects(99, "shipping", case(1), at=OTHER),  # with pack 2 alone
    )


def steps(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["step"], step["location"]) for step in found["steps"] if not step["void"]]


def test_a_pack_leads_up_to_every_material(trade: Trade) -> None:
    story(trade)
    found = asked(trade, pack(DRUG, 1), "up")
    assert {(m["source"], m["target"], m["quantity"], m["uom"], m["end"]) for m in found["materials"]} == {
        (lot(API, "A1"), lot(BULK, "B1"), 5.0, "KGM", True),
        (lot(API, "A2"), lot(BULK, "B1"), 2.0, "KGM", True),
        (lot(BULK, "B1"), lot(DRUG, "L1"), 7.0, "KGM", False),
    }
    assert {t["id"]: t["depth"] for t in found["things"]}[lot(API, "A1")] == 3
    assert not any(thing["id"] in (pack(DRUG, 2), pack(DRUG, 3)) for thing in found["things"])


def test_a_pack_was_where_its_case_and_pallet_were_while_it_was_in_them(trade: Trade) -> None:
    story(trade)
    assert steps(asked(trade, pack(DRUG, 1), "down")) == [
        ("commissioning", PLANT), ("packing", PLANT), ("packing", PLANT), ("shipping", PLANT), ("receiving", CARRIER),
        ("unpacking", CARRIER), ("receiving", SHOP), ("unpacking", SHOP), ("dispensing", SHOP),
    ]  # fmt: skip
    assert ("shipping", OTHER) in steps(asked(trade, pack(DRUG, 2), "down"))
    assert ("storing", OTHER) not in steps(asked(trade, pack(DRUG, 2), "down"))


def test_a_material_leads_down_to_every_pack_and_where_each_is_now(trade: Trade) -> None:
    story(trade)
    found = asked(trade, lot(API, "A2"), "down")
    assert {(h["place"], h["state"], tuple(h["things"])) for h in found["holders"]} == {
        (SHOP, "gone", (pack(DRUG, 1),)), (OTHER, "in transit", (pack(DRUG, 2),)), (PLANT, "at", (pack(DRUG, 3),)),
    }  # fmt: skip
    drug = next(p for p in found["products"] if p["label"] == f"product {gtin(DRUG).zfill(14)}")
    assert drug["count"] == 4  # the lot and its packs
    assert [p["id"] for p in found["places"]] == [PLANT, CARRIER, SHOP, OTHER]
    assert all(step["record"].isdigit() for step in found["steps"])


def test_a_case_leads_to_what_was_in_it(trade: Trade) -> None:
    story(trade)
    up = asked(trade, case(1), "up")
    assert {lot(API, "A1"), lot(API, "A2")} <= {m["source"] for m in up["materials"]}
    down = asked(trade, case(1), "down")
    assert {pack(DRUG, 1), pack(DRUG, 2)} <= {t["id"] for t in down["things"]}
    assert pack(DRUG, 3) not in {t["id"] for t in down["things"]}
    until = {k["source"]: k["until_us"] for k in down["links"] if k["target"] == case(1)}
    assert until == {pack(DRUG, 1): START_US + 90 * MINUTE, pack(DRUG, 2): None}


@pytest.mark.parametrize("how", ["empty", "gone", "elsewhere"])
def test_what_ends_containment(trade: Trade, how: str) -> None:
    """A container that is emptied without a list, that ceases to be, or whose content is put elsewhere."""
    end = {
        "empty": event("Aggregation", 5, "unpacking", action="DELETE", parentID=case(1), childEPCs=[]),
        "gone": objects(5, "decommissioning", case(1), action="DELETE"),
        "elsewhere": packed(5, case(2), pack(DRUG, 1)),
    }[how]
    trade.capture(packed(0, case(1), pack(DRUG, 1)), end, objects(9, "storing", case(1), at=OTHER))
    assert ("storing", OTHER) not in steps(asked(trade, pack(DRUG, 1)))


def test_what_is_observed_inside_is_inside(trade: Trade) -> None:
    inside_it = event("Aggregation", 5, "receiving", action="OBSERVE", parentID=case(1), childEPCs=[pack(DRUG, 1)])
    trade.capture(inside_it, objects(9, "storing", case(1), at=OTHER))
    assert ("storing", OTHER) in steps(asked(trade, pack(DRUG, 1)))


def test_a_lot_leaves_a_drum_when_as_much_was_taken_out_as_was_put_in(trade: Trade) -> None:
    def drum(minutes: float, action: str, kilograms: float) -> bytes:
        some = [{"epcClass": lot(API, "A1"), "quantity": kilograms, "uom": "KGM"}]
        return event("Aggregation", minutes, "packing", action=action, parentID=case(5), childQuantityList=some)

    trade.capture(
        drum(0, "ADD", 10), drum(5, "DELETE", 4), objects(6, "storing", case(5), at=SHOP),
        drum(7, "DELETE", 6), objects(8, "storing", case(5), at=OTHER),
    )  # fmt: skip
    found = steps(asked(trade, lot(API, "A1")))
    assert ("storing", SHOP) in found
    assert ("storing", OTHER) not in found


def test_void_events_lead_nowhere_and_are_shown(trade: Trade) -> None:
    false = packed(30, case(1), pack(DRUG, 1), at=PLANT)
    trade.capture(commissioned(20, DRUG, "L1", pack(DRUG, 1)), false, objects(50, "storing", case(1), at=OTHER))
    assert ("storing", OTHER) in steps(asked(trade, pack(DRUG, 1)))
    trade.capture(declared_false(false, 60))
    found = asked(trade, pack(DRUG, 1))
    assert ("storing", OTHER) not in steps(found)
    assert [(s["void"], s["declares_error"]) for s in found["steps"] if s["step"] == "packing"] == [
        (True, False), (False, True),
    ]  # fmt: skip


def test_goods_that_became_goods_again_are_followed_to_an_end(trade: Trade) -> None:
    """A cycle of transformations, and a container that lies in itself."""
    trade.capture(
        made(0, {lot(API, "A"): 1}, {lot(BULK, "B"): 1}), made(1, {lot(BULK, "B"): 1}, {lot(API, "A"): 1}),
        packed(0, case(1), case(2)), packed(1, case(2), case(1)), packed(2, case(1), pack(DRUG, 1)),
    )  # fmt: skip
    for direction in ("up", "down"):
        assert {t["id"] for t in asked(trade, lot(API, "A"), direction)["things"]} == {lot(API, "A"), lot(BULK, "B")}
        assert asked(trade, pack(DRUG, 1), direction)["things"]
        assert asked(trade, case(1), direction)["things"]


def test_parts_of_one_transformation_are_joined(trade: Trade) -> None:
    way = {"transformationID": "urn:epc:id:gdti:4012345.00001.7"}
    first = [{"epcClass": lot(API, "A1"), "quantity": 1}]
    trade.capture(
        event("Transformation", 0, "commissioning", inputQuantityList=first, **way),
        event("Transformation", 9, "commissioning", outputEPCList=[pack(DRUG, 1)], **way),
    )
    assert [m["source"] for m in asked(trade, pack(DRUG, 1), "up")["materials"]] == [lot(API, "A1")]


def test_a_lot_that_is_wider_than_asked_goes_on_page_by_page(trade: Trade) -> None:
    for first in range(0, 60, 30):
        trade.capture(*(commissioned(n, DRUG, "L1", pack(DRUG, n)) for n in range(first, first + 30)))
    seen: list[str] = []
    after = ""
    for _ in range(3):
        found = asked(trade, lot(DRUG, "L1"), "down", limit=26, after=after)
        seen += [k["target"] for k in found["links"]]
        if not found["truncated"]:
            break
        [cut] = found["truncated"]
        assert (cut["thing"], cut["relation"], cut["shown"]) == (lot(DRUG, "L1"), "lot", 25)
        assert cut["total"] == 60 - len(seen) + 25
        after = cut["after"]
    assert seen == [pack(DRUG, n) for n in range(60)]


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("(01)09506000134352(10)AB(21)1", "https://id.gs1.org/01/09506000134352/21/1"),
        ("(01)09506000134352(10)AB", "https://id.gs1.org/01/09506000134352/10/AB"),
        ("0109506000134352211\x1d10AB", "https://id.gs1.org/01/09506000134352/21/1"),
        ("urn:epc:id:sscc:4012345.0000000001", "https://id.gs1.org/00/040123450000000016"),
        ("https://shop.example/01/09506000134352/10/AB/21/1?17=280131", "https://id.gs1.org/01/09506000134352/21/1"),
        ("9506000134352", "https://id.gs1.org/01/09506000134352"),
        ("urn:uuid:01234567-89ab-4def-8123-0123456789ab", "urn:uuid:01234567-89ab-4def-8123-0123456789ab"),
    ],
)
def test_any_identifier(text: str, uri: str) -> None:
    assert identified(text) == uri


@pytest.mark.parametrize("text", ["", "x" * 3000, "(01)09506000134353", "hello", "https://id.gs1.org/01/1"])
def test_what_is_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match="expected"):
        identified(text)


def test_a_product_that_events_name_by_pack_and_lot_leads_to_its_lots(trade: Trade) -> None:
    product = f"https://id.gs1.org/01/{gtin(DRUG)}"
    trade.capture(commissioned(0, BULK, "B1", pack(BULK, 1)))
    said = "a GTIN alone stands for what events name by product"
    with pytest.raises(NotFoundError, match=said) as none:
        asked(trade, gtin(DRUG))
    assert "lots of it here" not in str(none.value)
    trade.capture(*(commissioned(n, DRUG, f"L{n}", pack(DRUG, n)) for n in range(1, 8)))
    with pytest.raises(NotFoundError, match=said) as found:
        asked(trade, gtin(DRUG))
    named = str(found.value).partition("lots of it here are ")[2].split(", ")
    assert named == [*(f"{product}/10/L{n}" for n in range(1, 6)), "…"]
    assert pack(DRUG, 1) in [thing["id"] for thing in asked(trade, named[0])["things"]]


def test_an_unknown_thing_and_a_bad_question(trade: Trade) -> None:
    trade.captured(objects(0, "storing", pack(DRUG, 1)))
    with pytest.raises(NotFoundError, match="no event here names"):
        asked(trade, pack(DRUG, 2))
    with pytest.raises(NotFoundError, match="spelt so"):
        asked(trade, pack(DRUG, 2))
    for options in ({"direction": "sideways"}, {"limit": 0}, {"limit": 10**9}):
        with pytest.raises(TraceError):
            Question.of(pack(DRUG, 1), **options)
    assert read_event(objects(0, "storing", pack(DRUG, 1))).things


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))), st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_spans_are_as_sets_of_moments(known: list[tuple[int, int]], span: tuple[int, int]) -> None:
    def moments(spans: list[tuple[int, int]]) -> set[int]:
        return {t for first, last in spans for t in range(first, last + 1)}

    known = joined([(min(s), max(s)) for s in known])
    span = (min(span), max(span))
    assert moments(beyond(span, known)) == moments([span]) - moments(known)
    assert all(inside(t, known) == (t in moments(known)) for t in range(31))


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([1, 2, 3]), st.integers(0, 2)), max_size=12))
def test_an_instance_is_in_one_container_at_a_time(said: list[tuple[int, int, int]]) -> None:
    events = [Said(t, leaf, action, 1, 10 + c) for leaf, (t, action, c) in enumerate(said)]
    stays = sorted(stay.span for stay in containment(events, {}))
    assert all(one[1] <= other[0] for one, other in pairwise(stays))
    if stays and any(action != Action.DELETE for _, action, _ in said):
        assert stays[0][0] >= 0
        assert stays[-1][1] in {*range(21), ALWAYS[1]}
