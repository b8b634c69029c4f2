"""Hand-overs that would halt, fill or poison whoever takes them; and partners that are away while others are not."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.lots.unit_records import UnitState as OnLedger
from crypto import cbor, labels
from gateway.custody.errors import CustodyError, HandoverError, NoRoomError
from gateway.custody.handover import book, outline
from gateway.custody.handover import format as form
from gateway.custody.handover.exchanging import COMING_US
from gateway.custody.handover.format import Heading, Notice, Part
from gateway.custody.handover.outline import Outline
from gateway.custody.handover.taking import Taking, _all_in
from gateway.custody.schema import HandoverState, UnitKind, UnitState
from gateway.custody.tasks import now_us
from gateway.delivery.target import Bounds
from tests.gateway.custody.goods import Company, Goods, kept, lot_uri, sscc, states
from tests.gateway.custody.handing import deliver, key_of, more, parts_of, sent, under

Trade = list[Company]
SECRET = bytes(range(32))


def items_of(parts: Sequence[Part], tag: int) -> list[list[Any]]:
    return [item for part in parts for item in part.items if item[0] == tag]


def in_a_lot(parts: Sequence[Part]) -> list[list[Any]]:
    ((_, _, lot, names),) = items_of(parts, form.PACKS)
    return [[form.PACKS, lot, lot, names]]


def nowhere(parts: Sequence[Part]) -> list[list[Any]]:
    ((_, _, lot, _),) = items_of(parts, form.PACKS)
    return [[form.AMOUNT, "nowhere", lot, 5]]


def beside(parts: Sequence[Part], name: str) -> list[list[Any]]:
    ((_, unit, lot, _),) = items_of(parts, form.PACKS)
    return [[form.PACKS, unit, lot, [name]]]


def of_another_kind(parts: Sequence[Part]) -> list[list[Any]]:
    _, uri, _, secret = next(item for item in items_of(parts, form.UNIT) if item[2] == UnitKind.LOGISTIC)
    return [[form.UNIT, uri, int(UnitKind.SLICE), secret]]


def claimed(_: Sequence[Part]) -> list[list[Any]]:
    return [[form.UNIT, lot_uri(f"CLAIMED-{n}"), int(UnitKind.LOT), SECRET] for n in range(10)]


def twice_inside(parts: Sequence[Part]) -> list[list[Any]]:
    _, uri, _, _ = next(item for item in items_of(parts, form.UNIT) if item[2] == UnitKind.LOGISTIC)
    return [[form.UNIT, sscc(7), int(UnitKind.LOGISTIC), SECRET], *[[form.INSIDE, sscc(7), [uri]] for _ in range(2)]]


def false_ids(_: Sequence[Part]) -> list[list[Any]]:
    uri = lot_uri("CLAIMED")
    return [[form.UNIT, uri, int(UnitKind.LOT), SECRET], [form.TREE, uri, 0, bytes(32)]]


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (nowhere, "came before as no unit"),
        (in_a_lot, "came before as no unit"),
        (lambda parts: beside(parts, "foo"), "is no pack of"),
        (lambda parts: beside(parts, "09520004000017/21/S1"), "is no pack of"),
        (of_another_kind, "is of two kinds"),
        (claimed, "nothing of it is in any unit"),
        (false_ids, "nothing of it is in any unit"),
        (twice_inside, "as in two units"),
    ],
)
def test_a_malformed_hand_over_is_rejected_and_holds_up_none_behind_it(
    trade: Trade, shipment: list[Part], items: Callable[[Sequence[Part]], list[list[Any]]], said: str
) -> None:
    """It is signed by a partner's own gateway, and half of it is true."""
    maker, wholesaler, _ = trade
    units = len(wholesaler.custody.units.named([]))
    bad = more(shipment, *items(shipment))
    assert deliver(wholesaler, bad, key_of(maker)) is HandoverState.REJECTED
    assert said in wholesaler.custody.book.get(bad[0].heading.handover).reason
    assert units == len(wholesaler.custody.units.named([]))
    assert deliver(wholesaler, shipment, key_of(maker)) is HandoverState.KEPT
    assert wholesaler.custody.units.get(lot_uri("CLAIMED-1")) is None


def test_a_lot_comes_with_the_places_of_its_packs(trade: Trade, shipment: list[Part]) -> None:
    maker, wholesaler, _ = trade
    without = [replace(p, items=tuple(i for i in p.items if i[0] != form.TREE)) for p in shipment]
    assert deliver(wholesaler, without, key_of(maker)) is HandoverState.REJECTED
    assert "are not those of its packs" in wholesaler.custody.book.get(shipment[0].heading.handover).reason


def test_a_fault_of_ours_with_one_hand_over_holds_up_no_other(
    trade: Trade, shipment: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, wholesaler, _ = trade
    broken = under(os.urandom(32), shipment)
    keep = Taking.keep

    def fails(self: Taking, organisation: str, *rest: Any) -> Any:
        if wholesaler.custody.book.get(broken[0].heading.handover).state is HandoverState.CHECKING:
            raise KeyError("nowhere")
        return keep(self, organisation, *rest)

    monkeypatch.setattr(Taking, "keep", fails)
    assert deliver(wholesaler, broken, key_of(maker)) is HandoverState.REJECTED
    assert deliver(wholesaler, shipment, key_of(maker)) is HandoverState.KEPT


def test_nothing_of_a_rejected_hand_over_stays(
    trade: Trade, goods: Goods, shipment: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the ledger can say holds, and the last step fails."""
    maker, wholesaler, _ = trade
    store, units = wholesaler.custody.store, wholesaler.custody.units

    def fails(*_: Any) -> None:
        assert units.get(goods.sscc(1))  # it is there by now
        raise CustodyError("and then it cannot be")

    with store.transaction() as tx:  # as if the case had never come
        rows = tx.execute("SELECT * FROM unit WHERE uri = ?", (goods.sscc(1),)).fetchall()
        tx.execute("DELETE FROM unit WHERE uri = ?", (goods.sscc(1),))
    monkeypatch.setattr(Taking, "_build_units", fails)
    assert deliver(wholesaler, shipment, key_of(maker)) is HandoverState.REJECTED
    assert wholesaler.custody.book.get(shipment[0].heading.handover).reason == "and then it cannot be"
    assert units.get(goods.sscc(1)) is None
    with store.transaction() as tx:
        tx.executemany(f"INSERT INTO unit VALUES ({', '.join('?' * len(rows[0]))})", rows)


def test_memory_is_bounded_before_lists_are_made(
    trade: Trade, shipment: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, wholesaler, _ = trade
    monkeypatch.setattr(outline, "MAX_THINGS", 3)
    monkeypatch.setattr(outline, "unit_ids", lambda *_: pytest.fail("ids are made first"))
    assert deliver(wholesaler, shipment, key_of(maker)) is HandoverState.REJECTED
    assert "more than 3 packs" in wholesaler.custody.book.get(shipment[0].heading.handover).reason


@pytest.mark.parametrize("count", [0, 1001])
def test_so_many_units_are_shipped_at_once(count: int) -> None:
    """What a row of custody.db holds of one hand-over can be read again."""
    said = Outline()
    items = tuple([form.UNIT, sscc(n), int(UnitKind.LOGISTIC), SECRET] for n in range(count))
    said.read(Part(Heading("a", "b", SECRET), 0, True, items))
    with pytest.raises(HandoverError, match="1 to 1,000 units"):
        said.require_whole()


def test_an_old_hand_over_of_what_we_passed_on(trade: Trade, goods: Goods) -> None:
    """Replayed while the next company does not have it yet: what we know of our own unit stays."""
    maker, wholesaler, pharmacy = trade
    sent(maker, wholesaler, goods)
    wholesaler.shipped(pharmacy, [goods.sscc(1)])
    wholesaler.settle()
    kept(pharmacy, goods.sscc(1))
    assert wholesaler.unit(goods.sscc(1)).state is OnLedger.IN_TRANSIT
    deliver(wholesaler, parts_of(maker, goods.sscc(1)), key_of(maker))
    assert wholesaler.custody.units.of(goods.sscc(1)).state == UnitState.SHIPPED
    leaf = pharmacy.received(wholesaler, [goods.sscc(1)])
    pharmacy.settle()
    assert states(pharmacy, leaf) == [("receive", "done", "")]


def test_a_hand_over_comes_again_after_the_goods_were_opened(trade: Trade, goods: Goods, shipment: list[Part]) -> None:
    """The ledger, which is away, say, does not know yet that they are here: the unit stays open, its packs loose."""
    maker, wholesaler, _ = trade
    units, containers = wholesaler.custody.units, wholesaler.custody.containers
    units.set_state(units.of(goods.sscc(1)), UnitState.OPENED)
    containers.empty(units.of(goods.sscc(1)))
    assert deliver(wholesaler, shipment, key_of(maker)) is HandoverState.KEPT
    assert units.of(goods.sscc(1)).state == UnitState.OPENED
    assert containers.parent_of(goods.pack(1)) is None
    assert not [one for one in wholesaler.custody.exceptions.page(None, 0, 500) if goods.pack(1) in one.things]


# -- room


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch, shipment: list[Part]) -> int:
    size = len(form.encode_part(shipment[0]))
    monkeypatch.setattr(book, "MAX_COMING_BYTES", 2 * size + size // 2)
    return size


def test_parts_without_an_end_fill_the_room_of_nobody_else(
    trade: Trade, goods: Goods, shipment: list[Part], little_room: int
) -> None:
    maker, wholesaler, pharmacy = trade
    endless = [replace(shipment[0], number=n, last=False) for n in range(3)]
    heading = replace(endless[0].heading, handover=os.urandom(32))
    bodies = [form.seal_message(form.encode_part(replace(part, heading=heading)), key_of(maker)) for part in endless]
    for body in (*bodies[:2], *bodies[:2]):  # the same part again takes no more room
        wholesaler.run(wholesaler.custody.handovers.receive(body, "MakerMSP"))
    with pytest.raises(NoRoomError):
        wholesaler.run(wholesaler.custody.handovers.receive(bodies[2], "MakerMSP"))
    token = Path(maker.custody.partners.of("WholesalerMSP").token_file).read_text()
    kind = {"Authorization": f"Bearer {token}", "Content-Type": form.MEDIA_TYPE}
    answer = wholesaler.request("POST", "/v1/handovers", content=bodies[2], headers=kind)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    pharmacy.commissioned(goods.packs(50, 52), f"{goods.lot}-P")
    pharmacy.packed(goods.sscc(5), goods.packs(50, 52))
    pharmacy.shipped(wholesaler, [goods.sscc(5)])
    pharmacy.settle()
    kept(wholesaler, goods.sscc(5))
    with wholesaler.custody.store.transaction() as tx:  # a week later
        tx.execute("UPDATE handover SET changed_us = ? WHERE id = ?", (now_us() - COMING_US - 1, heading.handover))
    wholesaler.custody.handovers.wake()
    wholesaler.wait(lambda: wholesaler.custody.book.get(heading.handover).state is HandoverState.REJECTED)
    with wholesaler.custody.store.reading() as db:
        assert db.execute("SELECT COUNT(*) FROM part WHERE handover = ?", (heading.handover,)).fetchone() == (0,)
    wholesaler.run(wholesaler.custody.handovers.receive(bodies[2], "MakerMSP"))  # no refusal that holds up others


def test_rejected_ones_are_not_kept_for_ever(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MAX_REJECTED", 3)
    here = trade[2].custody.book
    with trade[2].custody.store.transaction():
        for _ in range(5):
            here.reject(here.coming(os.urandom(32), "DepotMSP"), "no")
    assert len(here.in_state(HandoverState.REJECTED, "DepotMSP")) == 3


# -- partners that are away


def shipped(maker: Company, to: Company, goods: Goods, number: int) -> None:
    maker.commissioned([goods.pack(number)], f"{goods.lot}-{number}")
    maker.packed(goods.sscc(number), [goods.pack(number)])
    maker.shipped(to, [goods.sscc(number)])


def test_a_partner_whose_queue_is_full_holds_up_no_other(
    trade: Trade, goods: Goods, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, wholesaler, pharmacy = trade
    sending = maker.custody.handovers.sending
    target = sending._target
    full = {"PharmacyMSP": Bounds(nbytes=1, refuse=True)}  # who comes first
    monkeypatch.setattr(
        sending, "_target", lambda p: replace(target(p), bounds=full.get(p.organisation, Bounds(refuse=True)))
    )
    shipped(maker, pharmacy, goods, 1)
    shipped(maker, wholesaler, goods, 2)
    kept(wholesaler, goods.sscc(2))
    maker.wait(lambda: "bytes" in maker.custody.handovers.problem)
    full.clear()
    maker.custody.handovers.wake()
    kept(pharmacy, goods.sscc(1))
    maker.wait(lambda: not maker.custody.handovers.problem)


def test_many_that_wait_for_one_partner_hide_nobody_elses(trade: Trade, goods: Goods) -> None:
    """The file with the token for the pharmacy is away; the wholesaler gets its own."""
    maker, wholesaler, _ = trade
    file = maker.custody.partners.of("PharmacyMSP").token_file
    file.rename(file.with_suffix(".away"))
    try:
        with maker.custody.store.transaction():
            for _ in range(book.AT_ONCE + 1):
                maker.custody.book.begin(os.urandom(32), "PharmacyMSP", 0, ["nowhere"])
                maker.custody.book.put_said("PharmacyMSP", os.urandom(32), "taken", cbor.encode(None))
        shipped(maker, wholesaler, goods, 1)
        kept(wholesaler, goods.sscc(1))
    finally:
        file.with_suffix(".away").rename(file)
    with maker.custody.store.transaction() as tx:
        tx.execute("DELETE FROM handover WHERE state = 0")
        tx.execute("DELETE FROM say")
    maker.custody.handovers.wake()
    maker.wait(lambda: not maker.custody.handovers.problem)


# -- made again, and told


def test_nobody_can_tell_the_id_of_a_hand_over_before_it_comes(trade: Trade, goods: Goods) -> None:
    """Else another partner takes it at the recipient's, and the true one is refused."""
    maker, wholesaler, _ = trade
    shipped(maker, wholesaler, goods, 1)
    kept(wholesaler, goods.sscc(1))
    (one,) = [one for one in maker.custody.book.page(2**63 - 1, 100) if one.units == (goods.sscc(1),)]
    guessed = cbor.encode([maker.gateway.folder.origin, one.leaf, goods.sscc(1)])
    assert one.id != sha256(labels.HANDOVER + guessed).digest()


def test_a_hand_over_that_is_made_again_is_the_same(
    trade: Trade, goods: Goods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway ended while it made the parts; meanwhile its log grew, and more of it is anchored."""
    maker, wholesaler, _ = trade
    sending = maker.custody.handovers.sending
    post, failing = sending._post, [True]

    async def fails(*args: Any) -> None:
        if failing:
            raise RuntimeError("the gateway ends here")
        await post(*args)

    monkeypatch.setattr(sending, "_post", fails)
    shipped(maker, wholesaler, goods, 1)
    maker.wait(lambda: "ends here" in maker.custody.handovers.problem)
    (first,) = [one for one in maker.custody.book.page(2**63 - 1, 100) if one.units == (goods.sscc(1),)]
    later = maker.commissioned([goods.pack(9)], f"{goods.lot}-9")
    sending.prover._anchored = maker.run(sending.prover.head(later + 1))
    failing.clear()
    maker.custody.handovers.wake()
    kept(wholesaler, goods.sscc(1))
    with wholesaler.custody.store.reading() as db:
        query = "SELECT proof FROM shared WHERE leaf IN (SELECT leaf FROM mention WHERE uri = ?)"
        proofs = db.execute(query, (goods.sscc(1),)).fetchall()
    assert proofs
    assert {cbor.unpack(proof)[0] for (proof,) in proofs} == {first.anchored}


def test_a_notice_between_a_crash_and_the_next_try_forgets_no_logged_events(trade: Trade) -> None:
    here, one, other = trade[2].custody.book, os.urandom(32), os.urandom(32)
    assert here.begin_logging(one, 10) == 10  # and the gateway ends
    assert here.begin_logging(other, 20, notice=True) == 10
    here.end_logging(other, notice=True)
    assert here.begin_logging(one, 30) == 10
    here.end_logging(one)
    assert here.begin_logging(other, 40, notice=True) == 40
    here.end_logging(other, notice=True)


def test_only_what_received_the_goods_is_taken_as_a_receipt(trade: Trade, goods: Goods) -> None:
    """The recipient sends along another event of its log, in the name of the hand-over."""
    maker, wholesaler, _ = trade
    sent(maker, wholesaler, goods)
    (one,) = [one for one in maker.custody.book.page(2**63 - 1, 100) if one.units == (goods.sscc(1),)]
    other = wholesaler.received(maker, [goods.sscc(77)])
    made = wholesaler.commissioned([goods.pack(90)], f"{goods.lot}-90")
    sending = wholesaler.custody.handovers.sending
    anchored = wholesaler.run(sending.prover.anchored_above(made))
    theirs = [sending.builder.one_event(leaf, anchored) for leaf in (other, made)]
    ours = next(item for item in items_of(parts_of(maker, goods.sscc(1)), form.EVENT))
    before = maker.gateway.committer.counters.log_size
    bodies: list[Any] = [[[goods.sscc(1)], item] for item in (*(event.items() for event in theirs if event), ours)]
    bodies += [[[goods.sscc(77)], None], [[], None], [[[]], None], [[goods.sscc(1)], [form.AMOUNT, "u", "l", 1]]]
    for body in bodies:
        notice = Notice(Heading(wholesaler.gateway.folder.origin, "MakerMSP", one.id), "received", body)
        message = form.seal_message(form.encode_notice(notice), key_of(wholesaler))
        with pytest.raises(HandoverError):
            maker.run(maker.custody.handovers.receive(message, "WholesalerMSP"))
    assert maker.gateway.committer.counters.log_size == before


def test_a_pack_that_is_not_in_the_lot(trade: Trade, goods: Goods, shipment: list[Part]) -> None:
    """The customer passes on what it got, and with it serials of the maker's lot that never were; its own unit on the
    ledger says so, since the contract sees counts."""
    _, wholesaler, pharmacy = trade
    wholesaler.received(trade[0], [goods.sscc(1)])
    wholesaler.packed(goods.sscc(1), [], "DELETE")
    wholesaler.settle()
    lot = wholesaler.custody.units.of(goods.lot_uri)
    false = goods.pack(99)
    wholesaler.custody.units.put_packs(lot, [false])
    wholesaler.packed(goods.sscc(3), [goods.pack(0), false])
    wholesaler.shipped(pharmacy, [goods.sscc(3)])
    wholesaler.settle()
    rejected = partial(pharmacy.custody.book.in_state, HandoverState.REJECTED, "WholesalerMSP")
    pharmacy.wait(lambda: any("not in the tree" in one.reason for one in rejected()))
    assert pharmacy.custody.units.get(goods.sscc(3)) is None


def test_a_receipt_finds_its_hand_over_behind_thousands_of_newer_ones(trade: Trade, goods: Goods) -> None:
    here, wanted = trade[2].custody.book, os.urandom(32)
    with trade[2].custody.store.transaction() as tx:
        for n in range(2000):
            name = wanted if n == 0 else os.urandom(32)
            here.coming(name, "DepotMSP")
            here.keep(name, [goods.sscc(1) if n == 0 else f"{goods.sscc(2)}#{n}"], 2**62)
        assert [one.id for one in here.of_unit(goods.sscc(1), "DepotMSP")] == [wanted]
        (plan,) = (row[3] for row in tx.execute(
            "EXPLAIN QUERY PLAN SELECT handover FROM handed WHERE uri = ?", (goods.sscc(1),)
        ))  # fmt: skip
        assert "PRIMARY KEY" in plan
        tx.execute("DELETE FROM handover WHERE organisation = 'DepotMSP'")
        tx.execute("DELETE FROM handed WHERE handover NOT IN (SELECT id FROM handover)")


@given(st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=50), st.data())
def test_ids_are_looked_for_in_a_tree_as_in_a_set(ids: list[bytes], data: st.DataObject) -> None:
    packs = data.draw(st.lists(st.sampled_from(ids) if ids else st.nothing(), max_size=20)) if ids else []
    packs += data.draw(st.lists(st.binary(min_size=32, max_size=32), max_size=2))
    pieces = [bytearray(b"".join(packs[:7])), bytearray(b"".join(packs[7:]))]
    assert _all_in(iter(sorted(ids)), pieces) is (set(packs) <= set(ids))
