"""From EPCIS events to the ledger: what is made, packed, opened, ended; what waits, and what is refused and why."""

import asyncio
import json
from typing import Any

import pytest

from chain.errors import LedgerError
from chain.ledger.interface import Submitted
from gateway.custody import parts
from gateway.custody.amounts import whole
from gateway.custody.errors import CustodyError
from gateway.custody.schema import LotState, TaskState
from gateway.epcis.event import read_event
from tests.gateway.custody.goods import Company, Goods, amount, between, sscc, states

Trade = list[Company]


@pytest.fixture
def maker(trade: Trade) -> Company:
    return trade[0]


def test_a_lot_is_closed_by_its_amount_packed_and_opened(maker: Company, goods: Goods) -> None:
    maker.amount_made(goods.lot_uri, 12)
    maker.commissioned(goods.packs(0, 6), goods.lot)
    cases, pallet = [goods.sscc(1), goods.sscc(2)], goods.sscc(3)
    maker.packed(cases[0], goods.packs(0, 4))
    maker.packed(pallet, cases)
    maker.settle()
    with pytest.raises(Exception, match="unknown-lot"):
        maker.lot(goods.lot_uri)  # it is not whole
    maker.commissioned(goods.packs(6, 12), goods.lot)
    maker.settle()
    record = maker.lot(goods.lot_uri)
    assert (record.count, record.serialised, record.maker, record.expiry_day) == (12, True, "MakerMSP", 21549)
    maker.packed(cases[0], goods.packs(4, 6))
    maker.packed(cases[1], goods.packs(6, 12))
    leaf = maker.ended([goods.pack(5)], "decommissioning", "damaged")
    maker.settle()
    assert states(maker, leaf) == [("decommission", "done", "")]
    assert (maker.balance(goods.lot_uri).count, maker.balance(goods.lot_uri).decommissioned) == (11, 1)


def test_materials_become_a_batch(maker: Company, goods: Goods) -> None:
    """A transformation uses up what is on the ledger; an input that nobody told the ledger of is left out."""
    material, unknown = f"{goods.lot_uri}-API", f"{goods.lot_uri}-WATER"
    maker.amount_made(material, 5, "KGM")
    maker.capture("TransformationEvent", "commissioning", None,
                  inputQuantityList=[amount(material, 2, "KGM"), amount(unknown, 1, "LTR")],
                  outputQuantityList=[amount(goods.lot_uri, 3)])  # fmt: skip
    maker.commissioned(goods.packs(0, 3), goods.lot)
    maker.settle()
    record = maker.lot(goods.lot_uri)
    assert [quantity.count for quantity in record.inputs] == [2_000_000]
    assert (maker.balance(material).count, maker.balance(material).consumed) == (3_000_000, 2_000_000)


def test_a_lot_is_closed_by_a_call(maker: Company, goods: Goods) -> None:
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 1))
    maker.packed(goods.sscc(2), [goods.sscc(1)])
    maker.settle()
    assert maker.request("POST", f"/v1/lots/09520002000019/{goods.lot}/close").status_code == 204
    maker.settle()
    assert maker.lot(goods.lot_uri).count == 2
    leaf = maker.commissioned([goods.pack(9)], goods.lot)
    maker.settle()
    assert states(maker, leaf) == [("commission", "refused", "not-possible")]
    assert "is closed" in maker.tasks(leaf)[0].reason
    assert maker.request("POST", "/v1/lots/09520002000019/NONE/close").status_code == 404


def test_a_case_that_something_was_taken_out_of_is_another_unit(maker: Company, goods: Goods, trade: Trade) -> None:
    """The case was shipped, came back, a pack was taken out as a sample, and the rest goes on under the same SSCC."""
    maker.commissioned(goods.packs(0, 3), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 3))
    maker.packed(goods.sscc(2), [goods.sscc(1)])
    maker.capture("AggregationEvent", "shipping", "OBSERVE", parentID=goods.sscc(2), childEPCs=[goods.sscc(1)])
    maker.settle()
    unit = maker.custody.units.of(goods.sscc(1))
    maker.custody.lots.close(maker.custody.units.of(goods.lot_uri))
    with maker.custody.store.transaction():
        maker.custody.keeping._sealing.seal(maker.custody.units.of(goods.sscc(2)))
    maker.packed(goods.sscc(1), [goods.pack(0)], "DELETE")
    leaf = maker.shipped(trade[1], [goods.sscc(1)])
    maker.settle()
    assert states(maker, leaf)[-1] == ("ship", "done", "")
    again = maker.custody.units.of(goods.sscc(1))
    assert (again.generation, again.id == unit.id) == (1, False)
    assert maker.unit(goods.sscc(1)).count == 2
    assert maker.balance(goods.lot_uri).count == 1


@pytest.mark.parametrize(("kind", "step", "action", "members", "said"), [
    ("ObjectEvent", "commissioning", "ADD", {"epcList": ["https://id.gs1.org/01/09520002000019/21/X"]},
     "without a lot"),
    ("ObjectEvent", "shipping", "OBSERVE", {"epcList": [sscc(999_999)]}, "to nobody"),
    ("ObjectEvent", "shipping", "OBSERVE", {
        "epcList": [sscc(999_999)],
        "destinationList": [{"type": "owning_party", "destination": "https://id.gs1.org/417/9520009000005"}],
    }, "nobody's of the partners"),
    ("AggregationEvent", "packing", "ADD", {
        "parentID": sscc(999_999),
        "childEPCs": ["https://id.gs1.org/01/09520002000019/21/UNKNOWN"],
    }, "no lot of"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_the_reason(
    maker: Company, kind: str, step: str, action: str, members: dict[str, Any], said: str
) -> None:
    leaf = maker.capture(kind, step, action, **members)
    maker.settle()
    (task,) = maker.tasks(leaf)
    assert (task.state, task.code) == (TaskState.REFUSED, "not-possible")
    assert said in task.reason
    found = maker.request("GET", "/v1/custody", params={"state": "refused", "limit": "500"}).json()
    assert any(one["record"] == str(leaf) and said in one["reason"] for one in found["transitions"])
    assert any(said in alert for alert in maker.alerts("custody"))


def test_an_event_that_was_captured_twice_counts_once(maker: Company, goods: Goods) -> None:
    body = maker.event("ObjectEvent", "commissioning", "ADD", quantityList=[amount(goods.lot_uri, 7, "KGM")])
    first, second = maker.capture_all([body, body])
    maker.settle()
    assert states(maker, first) == [("commission", "done", "")]
    assert states(maker, second) == []
    assert maker.balance(goods.lot_uri).count == 7_000_000


def test_different_events_of_one_hash_are_each_taken(maker: Company, goods: Goods) -> None:
    """Also again, and when one of them is declared erroneous."""
    body = json.loads(
        maker.event("ObjectEvent", "commissioning", "ADD", quantityList=[amount(goods.lot_uri, 7, "KGM")])
    )
    one, other = ({"ilmd": {"cbvmda:lotNumber": name}} | body for name in ("7", "007"))
    said = {"errorDeclaration": {"declarationTime": "2026-11-24T00:00:00Z", "reason": "incorrect_data"}}
    payloads = [json.dumps(event).encode() for event in (one, other, other, other | said, one | said)]
    assert len({read_event(payload).hash for payload in payloads}) == 1
    leaves = maker.capture_all(payloads[:2])
    maker.settle()
    leaves += maker.capture_all(payloads[2:])
    maker.settle()
    assert [states(maker, leaf) for leaf in leaves] == [
        [("commission", "done", "")], [("commission", "refused", "not-possible")], [], [],
        [("declare", "refused", "declared-too-late")],
    ]  # fmt: skip


def test_what_was_declared_erroneous_in_time_is_not_told(maker: Company, goods: Goods) -> None:
    maker.commissioned(goods.packs(0, 2), goods.lot)
    wrong = json.loads(maker.event("ObjectEvent", "decommissioning", "DELETE", epcList=[goods.pack(0)]))
    right = json.loads(maker.event("ObjectEvent", "inspecting", "OBSERVE", epcList=[goods.pack(0)]))
    said = {"declarationTime": "2026-11-24T00:00:00Z", "reason": "incorrect_data"}
    maker.custody.keeping._store._lock.acquire()  # the follower waits until both are there
    try:
        leaves = maker.capture_all([json.dumps(body).encode() for body in (
            right, wrong | {"epcList": [goods.pack(1)]}, wrong | {"epcList": [goods.pack(1)], "errorDeclaration": said},
        )])  # fmt: skip
    finally:
        maker.custody.keeping._store._lock.release()
    maker.settle()
    assert states(maker, leaves[1]) == [("decommission", "void", "")]
    late = json.dumps(wrong).encode(), json.dumps(wrong | {"errorDeclaration": said}).encode()
    told = maker.capture_all([late[0]])[0]
    maker.settle()
    assert states(maker, told) == [("decommission", "done", "")]
    leaf = maker.capture_all([late[1]])[0]
    maker.settle()
    assert states(maker, leaf) == [("declare", "refused", "declared-too-late")]


def test_a_commissioning_that_was_declared_erroneous_is_corrected(
    maker: Company, goods: Goods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lot is open again: its true amount is told, and what waited for it goes on."""
    ledger = maker.gateway.ledger
    submit = ledger.submit

    async def away(function: str, *args: bytes) -> Submitted:
        raise LedgerError("the ledger is away")

    maker.commissioned(goods.packs(0, 3), goods.lot)
    maker.settle()
    monkeypatch.setattr(ledger, "submit", away)
    said = {"declarationTime": "2026-11-24T00:00:00Z", "reason": "incorrect_data"}
    members = {"quantityList": [amount(goods.lot_uri, 4)], "ilmd": {"cbvmda:lotNumber": goods.lot}}
    wrong = json.loads(maker.event("ObjectEvent", "commissioning", "ADD", epcList=[goods.pack(3)], **members))
    (leaf,) = maker.capture_all([json.dumps(wrong).encode()])
    maker.packed(goods.sscc(1), goods.packs(0, 3))
    shipped = maker.ended([goods.pack(0)])
    maker.wait(lambda: impatient(maker) and states(maker, shipped) == [("dispense", "pending", "")])
    maker.capture_all([json.dumps(wrong | {"errorDeclaration": said}).encode()])
    maker.wait(lambda: impatient(maker) and states(maker, leaf) == [("commission", "void", "")])
    maker.amount_made(goods.lot_uri, 4)
    monkeypatch.setattr(ledger, "submit", submit)
    maker.wait(lambda: impatient(maker) and states(maker, shipped) == [("dispense", "done", "")])
    assert maker.lot(goods.lot_uri).count == 4
    maker.wait(lambda: not maker.custody.keeping.problem)


def test_a_lot_is_closed_with_its_task_or_not_at_all(maker: Company, goods: Goods,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The gateway ends between the two."""
    maker.commissioned(goods.packs(0, 1), goods.lot)
    maker.settle()
    lots, lot = maker.custody.lots, maker.custody.units.of(goods.lot_uri)

    class Killed(BaseException):
        """The end."""

    def ends(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(lots._tasks, "add", ends)
        with pytest.raises(Killed):
            lots.close(lot)
    assert maker.custody.units.of(goods.lot_uri).state == LotState.OPEN
    assert lots.close(lot)
    maker.custody.keeping.wake()
    maker.settle()
    assert maker.lot(goods.lot_uri).count == 1


def test_an_answer_that_was_lost_is_asked_for_again(maker: Company, goods: Goods, trade: Trade,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The ledger takes each call, and its answer does not come back: nothing is told twice, and nothing is lost."""
    ledger, lost = maker.gateway.ledger, list[str]()
    submit = ledger.submit

    async def losing(function: str, *args: bytes) -> Submitted:
        answer = await submit(function, *args)
        if function.startswith("lots.") and lost.count(function) < 2:
            lost.append(function)
            raise LedgerError("the connection broke")
        return answer

    monkeypatch.setattr(ledger, "submit", losing)
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    leaf = maker.shipped(trade[1], [goods.sscc(1)])
    maker.wait(lambda: impatient(maker) and states(maker, leaf)[-1:] == [("ship", "done", "")])
    assert sorted(lost) == ["lots.commission"] * 2 + ["lots.pack"] * 2 + ["lots.ship"] * 2
    changes = maker.evaluate("lots.history", maker.custody.units.id_of(goods.sscc(1)))
    assert changes[0] == 0x82  # a list of two: packed, shipped
    maker.wait(lambda: not maker.custody.keeping.problem)


def test_the_ledger_is_away(maker: Company, goods: Goods, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events go on; what waits is seen, and told when the ledger is there again."""
    ledger = maker.gateway.ledger
    submit = ledger.submit

    async def away(function: str, *args: bytes) -> Submitted:
        raise LedgerError("the ledger is away")

    monkeypatch.setattr(ledger, "submit", away)
    leaf = maker.amount_made(goods.lot_uri, 3, "KGM")
    maker.wait(lambda: "away" in maker.custody.keeping.problem)
    assert states(maker, leaf) == [("commission", "pending", "")]
    monkeypatch.setattr(ledger, "submit", submit)
    maker.wait(lambda: impatient(maker) and states(maker, leaf) == [("commission", "done", "")])
    maker.wait(lambda: not maker.custody.keeping.problem)


def test_a_refused_one_is_tried_again_when_asked(maker: Company, goods: Goods) -> None:
    maker.commissioned(goods.packs(0, 1), goods.lot)
    leaf = maker.capture("ObjectEvent", "destroying", "DELETE", epcList=[goods.pack(0)])
    maker.settle()
    (task,) = maker.tasks(leaf)
    assert task.state is TaskState.DONE
    assert maker.request("POST", f"/v1/custody/{task.id}/retry").status_code == 409
    assert not maker.custody.tasks.again(10**9)


def test_custody_of_another_log_does_not_start(maker: Company) -> None:
    """A custody.db that went further than the log: one of the two was put back from an older backup."""
    keeping = maker.custody.keeping
    follower = keeping._follower
    with maker.custody.store.reading() as db:
        row = db.execute("SELECT next_leaf, root FROM position").fetchone()
    assert row[0] == follower.position
    for changed in ((row[0] + 1000, row[1]), (row[0], bytes(32))):
        with maker.custody.store.transaction() as tx:
            tx.execute("UPDATE position SET next_leaf = ?, root = ?", changed)
            try:
                with pytest.raises(CustodyError, match="another log"):
                    follower._require_same_history()
            finally:
                tx.execute("UPDATE position SET next_leaf = ?, root = ?", row)
    assert asyncio.iscoroutinefunction(keeping.run)


def impatient(company: Company) -> bool:
    """What failed is tried again now, not after its pause."""
    company.custody.keeping.wake()
    return True


@pytest.mark.parametrize(("quantity", "uom", "count"), [
    (3, None, 3), (2.5, "KGM", 2_500_000), (2500, "GRM", 2_500_000), (0.75, "LTR", 750_000), (1.5, "MTR", 1500),
])  # fmt: skip
def test_amounts_are_whole_numbers(quantity: float, uom: str | None, count: int) -> None:
    assert whole(quantity, uom) == count


@pytest.mark.parametrize(("quantity", "uom"), [(1.5, None), (0, "KGM"), (1e30, "KGM"), (-1, None)])
def test_amounts_that_are_none(quantity: float, uom: str | None) -> None:
    with pytest.raises(CustodyError):
        whole(quantity, uom)


def test_what_may_not_leave_stays_and_holds_up_nothing(maker: Company, trade: Trade, goods: Goods) -> None:
    """A recalled lot is not shipped on; the refusal is of the unit, and no exception that the contract kept."""
    leaf = maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.custody.lots.close(maker.custody.units.of(goods.lot_uri))
    maker.settle()
    evidence = maker.run(maker.custody.keeping._prover.evidence(leaf))
    lot_id = maker.custody.units.id_of(goods.lot_uri)
    recall = maker.gateway.ledger.submit("lots.recall", lot_id, b"2", b"1900000000000000", b"glass", evidence)
    maker.run(recall)
    leaf = maker.shipped(trade[1], [goods.sscc(1)])
    maker.settle()
    assert states(maker, leaf)[0][:2] == ("ship", "refused")
    assert states(maker, leaf)[0][2] == "recalled"


def test_many_refusals_are_told_together(
    maker: Company, trade: Trade, goods: Goods, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """One commit for each would keep everybody else from the disk."""
    commits, real = list[int](), parts.note_alert

    def noted(folder: Any, kind: str, source: str, *texts: str) -> None:
        commits.append(len(texts))
        real(folder, kind, source, *texts)

    monkeypatch.setattr(parts, "note_alert", noted)
    unknown = [
        maker.event("ObjectEvent", "shipping", "OBSERVE", epcList=[pack], **between(maker, trade[1]))
        for pack in goods.packs(0, 12)
    ]
    leaves = maker.capture_all(unknown)
    maker.settle()
    assert [states(maker, leaf)[0][1] for leaf in leaves] == ["refused"] * 12
    assert sum(commits) == 12
    assert len(commits) <= 2
