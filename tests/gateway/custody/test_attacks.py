"""What companies might try on each other: each attack is performed on real gateways and a shared ledger."""

import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chain.event import Event
from chaincode.lots.exception_records import ExceptionRecord
from crypto import cbor
from crypto.errors import SealtrailError
from crypto.keys import Algorithm, PrivateKey
from gateway.access import Scope
from gateway.custody.errors import HandoverError
from gateway.custody.handover import format as form
from gateway.custody.handover.format import Heading, Part, SharedEvent
from gateway.custody.schema import HandoverState
from tests.gateway.custody.goods import Company, Goods, kept, states
from tests.gateway.custody.handing import change, deliver, key_of, sent

Trade = list[Company]


# -- custody


def test_ships_what_it_does_not_hold(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, pharmacy = trade
    sent(maker, wholesaler, goods)
    leaf = maker.shipped(pharmacy, [goods.sscc(1)])  # the maker gave it away
    never = wholesaler.shipped(pharmacy, [goods.sscc(7)])  # nobody ever had it
    maker.settle()
    wholesaler.settle()
    assert states(maker, leaf) == [("ship", "refused", "not-custodian")]
    assert states(wholesaler, never) == [("ship", "refused", "not-possible")]
    assert wholesaler.unit(goods.sscc(1)).custodian == "WholesalerMSP"
    assert not [one for one in pharmacy.custody.book.page(2**63 - 1, 100) if goods.sscc(1) in one.units]
    assert any("not-custodian" in alert or "is with WholesalerMSP" in alert for alert in maker.alerts("custody"))


def test_receives_twice(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, _ = trade
    sent(maker, wholesaler, goods)
    leaf = wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.settle()
    assert states(wholesaler, leaf) == [("receive", "refused", "not-in-transit")]


def test_dispenses_a_recalled_pack(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, _ = trade
    sent(maker, wholesaler, goods)
    evidence = maker.run(maker.custody.keeping._prover.evidence(0))
    lot_id = maker.custody.units.id_of(goods.lot_uri)
    maker.run(maker.gateway.ledger.submit("lots.recall", lot_id, b"1", b"0", b"glass in it", evidence))
    leaf = wholesaler.ended([goods.pack(1)])
    wholesaler.settle()
    assert states(wholesaler, leaf)[-1] == ("dispense", "refused", "recalled")
    (case,) = [one for one in wholesaler.custody.exceptions.page(None, 0, 500) if goods.pack(1) in one.things]
    assert (case.kind, case.records) == ("recalled-product", (leaf,))
    assert wholesaler.balance(goods.lot_uri).dispensed == 0


def test_one_serial_is_dispensed_at_two_places(trade: Trade, goods: Goods) -> None:
    """The second is refused, the ledger keeps both sides, and the maker finds the exception in its own list."""
    maker, wholesaler, pharmacy = trade
    maker.commissioned(goods.packs(0, 4), goods.lot)
    for number, to in ((1, wholesaler), (2, pharmacy)):
        maker.packed(goods.sscc(number), goods.packs(2 * number - 2, 2 * number))
        maker.shipped(to, [goods.sscc(number)])
    maker.settle()
    for number, to in ((1, wholesaler), (2, pharmacy)):
        kept(to, goods.sscc(number))
        to.received(maker, [goods.sscc(number)])
        to.settle()
    copied = goods.pack(0)  # in the wholesaler's case; somebody prints it on a box at the pharmacy
    lot = pharmacy.custody.units.of(goods.lot_uri)
    pharmacy.custody.units.put_packs(lot, [copied])
    first = wholesaler.ended([copied])
    wholesaler.settle()
    pharmacy.ended([goods.pack(2)])
    pharmacy.settle()
    second = pharmacy.ended([copied])
    pharmacy.settle()
    assert states(wholesaler, first)[-1] == ("dispense", "done", "")
    assert states(pharmacy, second)[-1] == ("dispense", "refused", "duplicate")
    (case,) = [one for one in pharmacy.custody.exceptions.page(None, 0, 500) if copied in one.things]
    record = ExceptionRecord.decode(pharmacy.evaluate("lots.exception", case.ledger_id or b""))
    assert {party.organisation for party in record.parties} == {"WholesalerMSP", "PharmacyMSP"}
    for company in (maker, wholesaler):  # of both nobody asked anything: the ledger told them
        company.wait(lambda here=company: [one for one in here.custody.exceptions.page(None, 0, 500)
                                           if copied in one.things and one.owner == "MakerMSP"])  # fmt: skip
    (found,) = [one for one in maker.custody.exceptions.page(None, 0, 500) if copied in one.things]
    assert (found.kind, found.organisation) == ("duplicate-serial", "PharmacyMSP and WholesalerMSP")


def test_two_companies_claim_one_serial_at_once(trade: Trade, goods: Goods) -> None:
    """Maker and wholesaler each send the pharmacy a case with the same serial in it: the second is an exception that
    says which cases, and the pack stays where it was."""
    maker, wholesaler, pharmacy = trade
    maker.commissioned(goods.packs(0, 6), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 3))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.packed(goods.sscc(2), goods.packs(3, 6))
    maker.shipped(pharmacy, [goods.sscc(2)])
    maker.settle()
    kept(pharmacy, goods.sscc(2))
    kept(wholesaler, goods.sscc(1))
    wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.packed(goods.sscc(1), [], "DELETE")
    wholesaler.settle()
    with wholesaler.custody.store.transaction() as tx:  # the wholesaler packs a copy of number 4 in place of number 2
        name = goods.pack(4).removeprefix("https://id.gs1.org/01/")
        lot = wholesaler.custody.units.of(goods.lot_uri)
        tx.execute("INSERT INTO pack (name, lot) VALUES (?, ?)", (name, lot.number))
    proof = maker.custody.places.in_lot(goods.pack(4), maker.custody.units.of(goods.lot_uri))
    wholesaler.custody.places.put([(goods.pack(4), proof)])
    wholesaler.packed(goods.sscc(3), [goods.pack(0), goods.pack(4)])
    wholesaler.shipped(pharmacy, [goods.sscc(3)])
    wholesaler.settle()
    kept(pharmacy, goods.sscc(3))
    (case,) = [one for one in pharmacy.custody.exceptions.page(None, 0, 500) if goods.pack(4) in one.things]
    assert (case.kind, case.organisation) == ("duplicate-serial", "WholesalerMSP")
    assert goods.sscc(3) in case.compared
    assert pharmacy.custody.containers.parent_of(goods.pack(4)).uri == goods.sscc(2)
    wholesaler.wait(
        lambda: [one for one in wholesaler.custody.exceptions.page(None, 0, 500) if goods.pack(4) in one.things]
    )


# -- hand-overs


def test_a_true_hand_over_is_taken_twice_and_changes_nothing(trade: Trade, goods: Goods, shipment: list[Part]) -> None:
    """Replayed under another id: nothing that is known is known twice, no event is logged again."""
    maker, wholesaler, _ = trade
    before = wholesaler.gateway.committer.counters.log_size
    assert deliver(wholesaler, shipment, key_of(maker)) is HandoverState.KEPT
    assert wholesaler.gateway.committer.counters.log_size == before
    assert len(list(wholesaler.custody.units.generations(goods.sscc(1)))) == 1
    again = form.seal_message(form.encode_part(shipment[-1]), key_of(maker))
    wholesaler.run(wholesaler.custody.handovers.receive(again, "MakerMSP"))  # the answer was lost; it is known


def test_a_hand_over_that_another_key_signed(trade: Trade, shipment: list[Part]) -> None:
    _, wholesaler, pharmacy = trade
    for key in (PrivateKey.generate(Algorithm.ED25519), key_of(pharmacy)):
        with pytest.raises(HandoverError, match="none of maker"):
            deliver(wholesaler, shipment, key)
    with pytest.raises(HandoverError, match="is no gateway of PharmacyMSP"):  # another partner passes it on as its own
        deliver(wholesaler, shipment, key_of(trade[0]), "PharmacyMSP")


def test_a_message_whose_bytes_were_changed(trade: Trade, shipment: list[Part]) -> None:
    maker, wholesaler, _ = trade
    good = form.encode_part(shipment[0])
    bad = bytearray(good)
    bad[-1] ^= 1
    signature = key_of(maker).sign(good, b"sealtrail/handover/v1")
    body = zlib.compress(cbor.encode([bytes(bad), key_of(maker).public.kid, signature]))
    with pytest.raises(SealtrailError):
        wholesaler.run(wholesaler.custody.handovers.receive(body, "MakerMSP"))
    other = key_of(maker).sign(good, b"sealtrail/gateway-receipt/v1")
    body = zlib.compress(cbor.encode([good, key_of(maker).public.kid, other]))
    with pytest.raises(HandoverError, match="is not what the gateway of MakerMSP signed"):
        wholesaler.run(wholesaler.custody.handovers.receive(body, "MakerMSP"))


def test_a_hand_over_for_another_company(trade: Trade, shipment: list[Part]) -> None:
    maker, _, pharmacy = trade
    with pytest.raises(HandoverError, match="for WholesalerMSP"):
        deliver(pharmacy, shipment, key_of(maker))
    heading = replace(shipment[0].heading, recipient="PharmacyMSP")
    assert (
        deliver(pharmacy, [replace(part, heading=heading) for part in shipment], key_of(maker))
        is HandoverState.REJECTED
    )
    assert "not on its way from MakerMSP to PharmacyMSP" in pharmacy.custody.book.get(heading.handover).reason


def altered_event(item: list[Any]) -> list[Any]:
    event = Event.decode(item[5])
    changed = Event(
        event.source, event.boot, event.seq, event.kind, event.schema, event.sensed_us, event.blind,
        event.payload.replace(b"2026-11-23", b"2026-11-22"),
    )  # fmt: skip
    return [*item[:5], changed.encode(), item[6]]


def other_index(item: list[Any]) -> list[Any]:
    return [item[0], item[1], item[2] + 1, *item[3:]]


def other_size(item: list[Any]) -> list[Any]:
    return [*item[:3], item[3] + 10_000, *item[4:]]


@pytest.mark.parametrize(("tag", "work", "said"), [
    (form.EVENT, altered_event, "it was altered"),
    (form.EVENT, other_index, "not in the log that was anchored"),
    (form.EVENT, other_size, "is anchored"),
    (form.UNIT, lambda item: [*item[:3], os.urandom(32)], "the ledger has no"),
    (form.PACKS, lambda item: [*item[:3], item[3][1:]], "is not what the ledger has"),
    (form.PACKS, lambda item: [*item[:3], [*item[3][1:], "09520002000019/21/FALSE"]], "is not what the ledger has"),
    (form.TREE, lambda item: [*item[:3], item[3][32:]], "ids of"),
    (form.TREE, lambda item: [*item[:3], bytes(32) + item[3][32:]], "do not make the tree"),
])  # fmt: skip
def test_a_lying_partner_signs_something_else(
    trade: Trade, shipment: list[Part], tag: int, work: Callable[[list[Any]], list[Any]], said: str
) -> None:
    """All is signed with the partner's own key; the ledger knows better. The sender hears that it was rejected."""
    maker, wholesaler, _ = trade
    if tag == form.TREE and said == "do not make the tree":
        lot = next(item[1] for part in shipment for item in part.items if item[0] == form.TREE)
        wholesaler.custody.trees.drop(wholesaler.custody.units.of(lot).number)
    assert deliver(wholesaler, change(shipment, tag, work), key_of(maker)) is HandoverState.REJECTED
    assert said in wholesaler.custody.book.get(shipment[0].heading.handover).reason
    wholesaler.wait(lambda: any(said in alert for alert in wholesaler.alerts("hand-over")))


def test_secrets_of_another_lot(trade: Trade, goods: Goods, shipment: list[Part]) -> None:
    maker, wholesaler, _ = trade
    other = maker.custody.units.made(f"{goods.lot_uri}-OTHER")

    def swapped(item: list[Any]) -> list[Any]:
        return [*item[:3], other.secret] if item[2] == 0 else item

    assert deliver(wholesaler, change(shipment, form.UNIT, swapped), key_of(maker)) is HandoverState.REJECTED


def test_messages_that_are_none(trade: Trade) -> None:
    """Bombs, floods of nonsense, items of every wrong shape."""
    maker, wholesaler, _ = trade
    heading = Heading("maker.example/gw", "WholesalerMSP", bytes(32))
    bomb = zlib.compress(bytes(64 * 2**20))
    items: list[list[Any]] = [
        [], [99], [form.UNIT, "x", 0, b"short"], [form.UNIT, "x", 9, bytes(32)], [form.PACKS, "u", "l", [1]],
        [form.AMOUNT, "u", "l", 0], [form.AMOUNT, "u", "l", -1], [form.TREE, "l", 0, b"123"],
        [form.PLACES, "l", [["p", -1, []]]], [form.EVENT, "o", 0, 1, b"", b"", [b"x"]], [form.INSIDE, "u", [b"x"]],
        [form.UNIT, "x" * 257, 0, bytes(32)], [form.PLACES, "l", [["p" * 257, 0, []]]],
    ]  # fmt: skip
    bodies = [b"", b"x", bomb, zlib.compress(b"\\xff"), zlib.compress(cbor.encode([1, 2, 3]))]
    bodies += [form.seal_message(form.encode_part(Part(heading, 0, True, (item,))), key_of(maker)) for item in items]
    for body in bodies:
        with pytest.raises(SealtrailError):
            wholesaler.run(wholesaler.custody.handovers.receive(body, "MakerMSP"))


def test_a_partner_that_is_not_configured(trade: Trade) -> None:
    _, wholesaler, _ = trade
    token = wholesaler.gateway.access.new_token("StrangerMSP", frozenset({Scope.PARTNER}))
    key = PrivateKey.generate(Algorithm.ED25519)
    body = form.seal_message(form.encode_part(Part(Heading("x", "WholesalerMSP", bytes(32)), 0, True, ())), key)
    answer = wholesaler.request("POST", "/v1/handovers", content=body, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, "StrangerMSP is no partner here" in answer.json()["detail"]) == (403, True)


def test_kill_between_logging_and_noting(trade: Trade, goods: Goods, shipment: list[Part],
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The events of a hand-over were logged, and the gateway ended before it noted where: they are not logged again."""
    maker, wholesaler, _ = trade
    with wholesaler.custody.store.transaction() as tx:  # as if none of them had come before
        rows = tx.execute("SELECT leaf FROM shared WHERE leaf >= 0 ORDER BY leaf").fetchall()
        first = rows[-3][0]
        tx.execute("DELETE FROM shared WHERE leaf >= ?", (first,))
        tx.execute("INSERT INTO logging VALUES (?, 0, ?)", (shipment[0].heading.handover, first))
    before = wholesaler.gateway.committer.counters.log_size
    assert deliver(wholesaler, shipment, key_of(maker)) is HandoverState.KEPT
    assert wholesaler.gateway.committer.counters.log_size == before
    shared = [SharedEvent.of(item) for part in shipment for item in part.items if item[0] == form.EVENT]
    assert [wholesaler.custody.book.shared_at(one.origin, one.index) is not None for one in shared] == [True] * len(
        shared
    )
