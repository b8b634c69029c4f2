"""What was captured before its hand-over came is done once it is here; what was refused is tried again."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chain.store.database import Database
from gateway.custody.follower import source_of
from gateway.custody.schema import TaskState
from gateway.custody.senders import SenderOf
from gateway.custody.tasks import Task
from tests.gateway.custody.goods import Company, Goods, amount, companies, kept, states

Trade = list[Company]


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trade]:
    """A maker and a pharmacy that waits for hand-overs for as long as it takes."""
    with companies(tmp_path_factory.mktemp("again"), "maker", "pharmacy", custody={"data_wait_s": 600}) as made:
        yield made


@contextmanager
def held_back(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hand-overs to this company are on their way, and not there yet."""
    came, receive = asyncio.Event(), company.custody.handovers.receive

    async def later(body: bytes, organisation: str) -> None:
        await came.wait()
        await receive(body, organisation)

    monkeypatch.setattr(company.custody.handovers, "receive", later)
    yield
    came.set()


def waiting(company: Company, leaf: int) -> list[str]:
    company.wait(lambda: company.custody.keeping.idle)
    tasks = company.tasks(leaf)
    assert all(task.state is TaskState.WAITING for task in tasks)
    return [task.name for task in tasks]


def all_done(company: Company) -> None:
    company.settle()
    counts = company.custody.tasks.counts()
    assert counts["waiting"] == counts["pending"] == 0
    assert company.custody.tasks.page(TaskState.REFUSED, 0, 10) == []
    assert company.alerts("custody") == company.alerts("exception") == []


def test_all_that_was_captured_before_the_hand_over_came(trade: Trade, goods: Goods,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """A pallet is received, opened, its cases too, packs are repacked and dispensed: all before its data."""
    maker, pharmacy = trade
    pallet, cases, tote = goods.sscc(9), [goods.sscc(1), goods.sscc(2)], goods.sscc(5)
    material = f"{goods.lot_uri}-GEL"
    maker.commissioned(goods.packs(0, 8), goods.lot)
    maker.amount_made(material, 5, "KGM")
    maker.packed(cases[0], goods.packs(0, 4))
    maker.packed(cases[1], goods.packs(4, 8))
    maker.packed(pallet, cases)
    with held_back(pharmacy, monkeypatch):
        maker.shipped(pharmacy, [pallet])
        maker.shipped(pharmacy, [], quantityList=[amount(material, 2, "KGM")])
        pharmacy.received(maker, [pallet])
        pharmacy.received(maker, [], quantityList=[amount(material, 2, "KGM")])
        leaves = [
            pharmacy.packed(pallet, [], "DELETE"), pharmacy.packed(cases[0], [], "DELETE"),
            pharmacy.ended(goods.packs(0, 2)), pharmacy.ended([goods.pack(2)], "decommissioning", "damaged"),
            pharmacy.ended([goods.pack(4)]),  # out of a case that no event opens
            pharmacy.packed(tote, [goods.pack(3), goods.pack(5)]),
            pharmacy.capture("ObjectEvent", "destroying", "DELETE", quantityList=[amount(material, 1, "KGM")]),
        ]  # fmt: skip
        assert [waiting(pharmacy, leaf) for leaf in leaves] == [
            ["take"], ["take"], ["take", "take"], ["take"], ["take"], ["take"], ["take"]
        ]  # fmt: skip
    pharmacy.wait(lambda: not pharmacy.custody.tasks.counts()["waiting"])
    all_done(pharmacy)
    assert [name for leaf in leaves[2:5] for name, state, _ in states(pharmacy, leaf) if name != "take"] == [
        "dispense", "dispense", "decommission", "unpack", "dispense"
    ]  # fmt: skip
    balance = pharmacy.balance(goods.lot_uri)
    assert (balance.dispensed, balance.decommissioned, balance.count) == (3, 1, 4)
    assert pharmacy.balance(material).count == 1_000_000
    assert {str(pharmacy.unit(one).state) for one in (pallet, *cases)} == {"opened"}
    inside = pharmacy.custody.containers.packs(pharmacy.custody.units.of(tote))
    assert [pack for pack, _ in inside] == [goods.pack(3), goods.pack(5)]


def test_shipped_on_before_the_hand_over_came(trade: Trade, goods: Goods, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, pharmacy = trade
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    with held_back(pharmacy, monkeypatch):
        maker.shipped(pharmacy, [goods.sscc(1)])
        pharmacy.received(maker, [goods.sscc(1)])
        leaf = pharmacy.shipped(maker, [goods.sscc(1)])
        assert waiting(pharmacy, leaf) == ["take"]
    pharmacy.wait(lambda: not pharmacy.custody.tasks.counts()["waiting"])
    all_done(pharmacy)
    assert states(pharmacy, leaf) == [("take", "done", ""), ("ship", "done", "")]
    kept(maker, goods.sscc(1))


def test_what_waits_and_is_declared_erroneous_is_not_done(trade: Trade, goods: Goods) -> None:
    _, pharmacy = trade
    unpack = pharmacy.event("AggregationEvent", "unpacking", "DELETE", parentID=goods.sscc(1), childEPCs=[])
    wrong = unpack.replace(
        b'"type"',
        b'"errorDeclaration": {"declarationTime": "2026-11-24T00:00:00Z", "reason": "incorrect_data"}, "type"',
    )
    leaf = pharmacy.capture_all([unpack])[0]
    assert waiting(pharmacy, leaf) == ["take"]
    pharmacy.capture_all([wrong])
    pharmacy.settle()
    assert states(pharmacy, leaf) == [("take", "void", "")]


def test_a_pack_that_nobody_handed_over_is_refused_at_once(trade: Trade, goods: Goods) -> None:
    """Nothing that was received waits for its data: so this serial is in none that is on its way."""
    _, pharmacy = trade
    leaf = pharmacy.ended([goods.pack(1)])
    pharmacy.settle()
    (task,) = pharmacy.tasks(leaf)
    assert (task.name, task.state, task.code) == ("dispense", TaskState.REFUSED, "not-possible")
    assert "no lot of" in task.reason


def lose(company: Company, subject: str, gone: str) -> None:
    """All payloads of a source are gone."""
    if gone == "erased":
        company.run(company.gateway.erase(subject, "dpo", "asked for"))
        return
    db = Database(company.gateway.folder.database)
    query = "UPDATE segment SET body = zeroblob(100) WHERE subject = (SELECT id FROM subject WHERE name = ?)"
    assert db.connection.execute(query, (subject,)).rowcount > 0
    db.close()


def retried(company: Company, task: Task) -> int:
    return company.request("POST", f"/v1/custody/{task.id}/retry").status_code


def test_what_was_refused_at_once_is_taken_again(trade: Trade, goods: Goods) -> None:
    """Two packs are dispensed before their lot is known, and again after; what is in order was not held up."""
    maker, _ = trade
    maker.commissioned([goods.pack(0)], f"{goods.lot}-A")
    leaf = maker.ended(goods.packs(0, 3))
    maker.settle()
    assert states(maker, leaf) == [("dispense", "done", "")] + [("dispense", "refused", "not-possible")] * 2
    tasks = [task for task in maker.tasks(leaf) if task.state is TaskState.REFUSED]
    assert [task.things for task in tasks] == [(goods.pack(1),), (goods.pack(2),)]
    assert retried(maker, tasks[0]) == 204
    maker.settle()
    again = maker.tasks(leaf)[-1]
    assert (again.name, again.state, again.things) == ("dispense", TaskState.REFUSED, (goods.pack(1),))
    maker.commissioned(goods.packs(1, 3), goods.lot)
    maker.settle()
    assert [retried(maker, task) for task in (again, tasks[1])] == [204, 204]
    maker.settle()
    assert maker.balance(goods.lot_uri).dispensed == 2
    assert [state for name, state, _ in states(maker, leaf) if name == "dispense"] == ["done"] * 3


def test_a_shipment_that_was_refused_at_once_is_tried_again(trade: Trade, goods: Goods) -> None:
    maker, pharmacy = trade
    leaf = maker.shipped(pharmacy, [goods.sscc(1)])
    maker.settle()
    (task,) = maker.tasks(leaf)
    assert task.state is TaskState.REFUSED
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.settle()
    assert retried(maker, task) == 204
    maker.settle()
    assert states(maker, leaf)[-1] == ("ship", "done", "")
    assert retried(maker, task) == 409  # it is done


@pytest.mark.parametrize(("name", "code"), [("declare", "declared-too-late"), ("receive", "no-data")])
def test_what_stays_refused_however_often_it_is_tried(trade: Trade, name: str, code: str) -> None:
    tasks = trade[0].custody.tasks
    number = tasks.refuse_at_once(0, name, (), "so it is", code)
    assert not tasks.again(number)
    assert [found.id for found in tasks.page(TaskState.REFUSED, number - 1, 10)] == [number]


def test_an_event_that_could_not_be_read_is_read_again(trade: Trade, goods: Goods) -> None:
    """By a program that can."""
    maker = trade[0]
    body = maker.event("ObjectEvent", "commissioning", "ADD", quantityList=[amount(goods.lot_uri, 1, "KGM")])
    follower, leaf = maker.custody.keeping._follower, maker.gateway.supply.ground.log_size()
    take = follower._take

    def older(leaf: int, payload: bytes) -> None:
        take(leaf, payload.replace(b'"ObjectEvent"', b'"OrderEvent"'))

    follower._take = older  # type: ignore[method-assign]
    try:
        leaf = maker.capture_all([body])[0]
        maker.settle()
    finally:
        follower._take = take  # type: ignore[method-assign]
    (task,) = maker.tasks(leaf)
    assert (task.name, task.state) == ("read", TaskState.REFUSED)
    assert retried(maker, task) == 204
    maker.settle()
    assert states(maker, leaf) == [("take", "done", ""), ("commission", "done", "")]


def test_a_fault_that_nobody_foresaw_halts_nothing_else(
    trade: Trade, goods: Goods, caplog: pytest.LogCaptureFixture
) -> None:
    maker = trade[0]
    bad: Any = None
    number = maker.custody.tasks.add(0, "ship", [goods.sscc(1)], bad)
    unknown = maker.custody.tasks.add(0, "fly", [goods.sscc(2)])
    leaf = maker.amount_made(goods.lot_uri, 1, "KGM")
    maker.settle()
    for one in (number, unknown):
        found = maker.custody.tasks.get(one)
        assert found is not None
        assert (found.state, found.code) == (TaskState.REFUSED, "fault")
    assert states(maker, leaf) == [("commission", "done", "")]
    assert "TypeError" in caplog.text


@pytest.mark.parametrize("gone", ["damaged", "erased"])
def test_events_that_do_not_open_any_more_halt_nothing(trade: Trade, goods: Goods, gone: str) -> None:
    """What a partner handed over, and then our own events: goods are received and scanned all the same. The last test:
    nothing is captured by these sources any more."""
    maker, pharmacy = trade
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.shipped(pharmacy, [goods.sscc(1)])
    kept(pharmacy, goods.sscc(1))
    lose(pharmacy, source_of(maker.organisation), gone)
    said = {"cbvmda:lotNumber": goods.lot, "cbvmda:itemExpirationDate": "2029-12-31"}
    leaf = pharmacy.received(maker, [goods.sscc(1)], **said)
    scan = {"gtin": goods.pack(0)[22:36], "serial": goods.pack(0)[40:], "lot": goods.lot, "expiry": "281231"}
    pharmacy.run(
        pharmacy.gateway.supply.ground.own_log("scanner", "production").append_all([json.dumps(scan).encode()])
    )
    pharmacy.settle()
    assert states(pharmacy, leaf) == [("receive", "done", "")]
    sender = SenderOf(pharmacy.gateway.folder, pharmacy.custody.partners)
    assert sender(leaf) == maker.organisation
    lose(pharmacy, "epcis-capture", gone)
    assert sender(leaf) == ""
