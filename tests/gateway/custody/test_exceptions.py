"""FMD and DSCSA exceptions from the finding to the end: on the ledger, at both companies, by REST and commands."""

import json

import pytest
from typer.testing import CliRunner

from chaincode.lots.exception_records import ExceptionRecord, ExceptionState, Kind
from gateway.commands import application
from gateway.custody.exceptions.found import Found
from gateway.custody.exceptions.hearing import Hearing
from gateway.custody.exceptions.register import ExceptionCase
from tests.gateway.custody.goods import Company, Goods, kept, states

Trade = list[Company]


def cases(company: Company, thing: str) -> list[ExceptionCase]:
    return [one for one in company.custody.exceptions.page(None, 0, 500) if thing in one.things]


def case(company: Company, thing: str) -> ExceptionCase:
    """The one exception about a thing, once the ledger has it."""
    company.wait(lambda: [one for one in cases(company, thing) if one.ledger_id])
    (found,) = cases(company, thing)
    return found


def on_ledger(company: Company, found: ExceptionCase) -> ExceptionRecord:
    return ExceptionRecord.decode(company.evaluate("lots.exception", found.ledger_id or b""))


def run(company: Company, *args: str) -> str:
    """A command, while the gateways go on."""
    import asyncio

    company.request("GET", "/v1/exceptions")  # makes the token
    command = [*args, "--url", company.url, "--token", company.token]
    result = company.run(asyncio.to_thread(CliRunner().invoke, application(), command))
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_product_without_data(trade: Trade, goods: Goods) -> None:
    """Received, and nothing was handed over: reported, asked, answered, resolved; each side reads the other's words."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 1), goods.lot)  # what a company says rests on a record of its log
    leaf = wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.wait(lambda: states(wholesaler, leaf)[:1] == [("receive", "refused", "no-data")])
    found = case(wholesaler, goods.sscc(1))
    assert (found.kind, found.organisation, found.records) == ("product-without-data", "MakerMSP", (leaf,))
    record = on_ledger(wholesaler, found)
    assert (record.owner, [party.organisation for party in record.parties]) == ("WholesalerMSP", ["MakerMSP"])
    asked = case(maker, goods.sscc(1))
    assert (asked.compared, asked.owner) == (found.compared, "WholesalerMSP")
    assert f"Record {leaf} says" in json.loads(run(maker, "exceptions", "show", str(asked.id), "--json"))["compared"]
    maker.wait(lambda: any(found.compared[:80] in alert for alert in maker.alerts("exception")))
    # The owner cannot end it as explained before it was answered, and hears so at once.
    path = f"/v1/exceptions/{found.id}"
    for resolution in ("explained", "unanswered"):
        refused = wholesaler.request("POST", f"{path}/resolve", json={"resolution": resolution})
        assert refused.status_code == 409
        assert "MakerMSP has not answered" in refused.json()["detail"]
    assert wholesaler.request("GET", path).json()["state"] == "open"
    run(maker, "exceptions", "answer", str(asked.id), "--text", "shipped by mistake; a hand-over follows")
    wholesaler.wait(lambda: cases(wholesaler, goods.sscc(1))[0].answer.startswith("shipped by mistake"))
    assert on_ledger(wholesaler, found).state is ExceptionState.ANSWERED
    run(wholesaler, "exceptions", "resolve", str(found.id), "--as", "explained", "--remark", "thank you")
    maker.wait(lambda: cases(maker, goods.sscc(1))[0].state == "resolved")
    assert cases(maker, goods.sscc(1))[0].remark == "thank you"
    assert on_ledger(wholesaler, found).state is ExceptionState.RESOLVED
    assert "resolved" in run(wholesaler, "exceptions", "list")


def test_what_the_ledger_refuses_is_not_resolved(trade: Trade, goods: Goods) -> None:
    """A person resolved while the ledger was away; it says that the other company has not answered."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 1), goods.lot)
    wholesaler.received(maker, [goods.sscc(1)])
    found, asked = case(wholesaler, goods.sscc(1)), case(maker, goods.sscc(1))
    wholesaler.custody.workflow.resolve(found.id, "explained", "as we thought")
    wholesaler.wait(lambda: cases(wholesaler, goods.sscc(1))[0].trouble)
    [now] = cases(wholesaler, goods.sscc(1))
    assert (now.state, now.resolution, now.remark) == ("open", "", "")
    assert "the ledger refused the resolution: a party has not answered" in now.trouble
    assert now.trouble in run(wholesaler, "exceptions", "list")
    # Asked again once the reason is gone, it is what was said then.
    run(maker, "exceptions", "answer", str(asked.id), "--text", "one more is on its way")
    wholesaler.wait(lambda: cases(wholesaler, goods.sscc(1))[0].answer)
    again = now.trouble.split("`")[1].removeprefix("sealtrail ").split()
    run(wholesaler, *again)
    maker.wait(lambda: cases(maker, goods.sscc(1))[0].remark == "as we thought")
    [now] = cases(wholesaler, goods.sscc(1))
    assert (now.state, now.resolution, now.trouble) == ("resolved", "explained", "")


def test_an_answer_that_the_ledger_refuses_is_none(trade: Trade, goods: Goods) -> None:
    """The exception was over on the ledger, and nobody told us."""
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 1), goods.lot)
    leaf = wholesaler.received(maker, [goods.sscc(1)])
    found, asked = case(wholesaler, goods.sscc(1)), case(maker, goods.sscc(1))
    prover, ledger = wholesaler.custody.keeping._prover, wholesaler.gateway.ledger
    evidence = wholesaler.run(prover.evidence(leaf))
    wholesaler.run(ledger.submit("lots.resolve", found.ledger_id or b"", b"withdrawn", evidence))
    maker.custody.workflow.answer(asked.id, "it was on the other van")
    maker.wait(lambda: cases(maker, goods.sscc(1))[0].trouble)
    [now] = cases(maker, goods.sscc(1))
    assert (now.state, now.answer) == ("open", "")
    assert "the ledger refused the answer: MakerMSP answered before, or the exception is resolved" in now.trouble
    # What the ledger has ended already is not opened again by being ended otherwise.
    wholesaler.custody.workflow.resolve(found.id, "explained", "")
    wholesaler.wait(lambda: cases(wholesaler, goods.sscc(1))[0].trouble)
    [now] = cases(wholesaler, goods.sscc(1))
    assert now.state == "resolved"
    assert "it was resolved as withdrawn" in now.trouble


def test_a_report_that_the_ledger_refuses_says_so_and_can_be_ended(trade: Trade, goods: Goods) -> None:
    """It asks a company that no ledger knows."""
    maker, _, _ = trade
    leaf = maker.commissioned(goods.packs(0, 1), goods.lot)
    found: Found = maker.custody.keeping.overdue.__self__  # type: ignore[attr-defined]
    found.open(Kind.OTHER, "NobodyMSP", [goods.pack(0)], [leaf], "looked odd", leaf, goods.lot)
    maker.custody.keeping.wake()
    maker.wait(lambda: cases(maker, goods.pack(0))[0].trouble)
    [now] = cases(maker, goods.pack(0))
    assert (now.state, now.ledger_id) == ("open", None)
    assert "the ledger refused the report: " in now.trouble
    run(maker, "exceptions", "resolve", str(now.id), "--as", "false-alert")
    maker.wait(lambda: cases(maker, goods.pack(0))[0].trouble.startswith("the ledger refused the resolution"))
    assert cases(maker, goods.pack(0))[0].state == "resolved"


def test_data_that_comes_late_ends_the_exception(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, _ = trade
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    leaf = wholesaler.received(maker, [goods.sscc(1)])
    found = case(wholesaler, goods.sscc(1))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.settle()
    wholesaler.wait(lambda: states(wholesaler, leaf)[:1] == [("receive", "done", "")])
    wholesaler.until(lambda: on_ledger(wholesaler, found).state is ExceptionState.RESOLVED)
    assert cases(wholesaler, goods.sscc(1))[0].resolution == "withdrawn"


def test_data_without_product(trade: Trade, goods: Goods, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-over came, the goods did not; then they do."""
    maker, wholesaler, _ = trade
    monkeypatch.setattr(wholesaler.custody.handovers, "_wait_us", 1)
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 1))
    maker.packed(goods.sscc(2), goods.packs(1, 2))
    maker.shipped(wholesaler, [goods.sscc(1), goods.sscc(2)])
    maker.settle()
    kept(wholesaler, goods.sscc(1))
    found = case(wholesaler, goods.sscc(2))
    assert (found.kind, set(found.things)) == ("data-without-product", {goods.sscc(1), goods.sscc(2)})
    assert case(maker, goods.sscc(1)).compared == found.compared
    # By the ledger nothing of it moves on while that is open; receiving is possible.
    wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.received(maker, [goods.sscc(2)])
    wholesaler.settle()
    wholesaler.until(lambda: on_ledger(wholesaler, found).state is ExceptionState.RESOLVED)


def test_a_serial_that_is_commissioned_twice(trade: Trade, goods: Goods) -> None:
    maker, _, _ = trade
    first = maker.commissioned(goods.packs(0, 2), goods.lot)
    second = maker.commissioned([goods.pack(1), goods.pack(2)], goods.lot)
    maker.settle()
    maker.custody.lots.close(maker.custody.units.of(goods.lot_uri))
    maker.custody.keeping.wake()
    maker.settle()
    found = case(maker, goods.pack(1))
    assert (found.kind, found.records, found.organisation) == ("duplicate-serial", (first, second), "")
    assert maker.lot(goods.lot_uri).count == 3


def sold_twice(maker: Company, wholesaler: Company, goods: Goods) -> int:
    """The wholesaler sells one pack of ours twice; the record of the second sale, which the contract refused."""
    maker.commissioned(goods.packs(0, 2), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.settle()
    kept(wholesaler, goods.sscc(1))
    wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.packed(goods.sscc(1), [], "DELETE")
    wholesaler.ended([goods.pack(0)])
    leaf = wholesaler.ended([goods.pack(0)])
    wholesaler.settle()
    assert states(wholesaler, leaf)[-1] == ("dispense", "refused", "duplicate")
    return leaf


def test_the_maker_hears_of_a_duplicate_that_another_company_sells(trade: Trade, goods: Goods) -> None:
    """The contract opened it at the wholesaler's call. The maker is told by the ledger alone, and goes on with it."""
    maker, wholesaler, _ = trade
    leaf = sold_twice(maker, wholesaler, goods)
    ours, theirs = case(maker, goods.pack(0)), case(wholesaler, goods.pack(0))
    assert (ours.kind, ours.owner, ours.organisation) == ("duplicate-serial", "MakerMSP", "WholesalerMSP")
    wholesaler.wait(lambda: cases(wholesaler, goods.pack(0))[0].owner == "MakerMSP")
    assert (theirs.records, theirs.leaf) == ((leaf,), leaf)
    run(wholesaler, "exceptions", "answer", str(theirs.id), "--text", "the till counted it twice")
    maker.wait(lambda: cases(maker, goods.pack(0))[0].answer == "the till counted it twice")
    run(maker, "exceptions", "resolve", str(ours.id), "--as", "false-alert", "--remark", "seen")
    wholesaler.wait(lambda: cases(wholesaler, goods.pack(0))[0].remark == "seen")
    assert cases(wholesaler, goods.pack(0))[0].resolution == "false-alert"


def test_a_start_takes_in_what_was_opened_meanwhile(trade: Trade, goods: Goods) -> None:
    """The ledger's event was heeded, and the gateway ended before it looked."""
    maker, wholesaler, _ = trade
    hearing, heed = maker.custody.hearing, maker.custody.hearing._news.set
    hearing._news.set = lambda: None  # type: ignore[method-assign]
    try:
        sold_twice(maker, wholesaler, goods)
        assert not cases(maker, goods.pack(0))
    finally:
        hearing._news.set = heed  # type: ignore[method-assign]
    started = Hearing(hearing._register, hearing._units, hearing._book, hearing._ledger, hearing._us, hearing._alert)
    task = maker.runner.get_loop().create_task(started.run())
    assert case(maker, goods.pack(0)).kind == "duplicate-serial"
    task.cancel()


def arrived(maker: Company, wholesaler: Company, goods: Goods, **says: str) -> int:
    maker.commissioned(goods.packs(0, 2), goods.lot, "2028-12-31")
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.settle()
    kept(wholesaler, goods.sscc(1))
    leaf = wholesaler.received(maker, [goods.sscc(1)], **{f"cbvmda:{name}": value for name, value in says.items()})
    wholesaler.settle()
    return leaf


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ({"lotNumber": "OTHER"}, "lot OTHER. MakerMSP handed it over as lot"),
        ({"itemExpirationDate": "2029-12-31"}, "no lot, good until 2029-12-31. MakerMSP handed it over as lot"),
    ],
)
def test_goods_arrive_with_another_lot_or_expiry(trade: Trade, goods: Goods, says: dict[str, str], said: str) -> None:
    """The exception has both sides' records, asks the sender, and keeps the unit where it is."""
    maker, wholesaler, _ = trade
    leaf = arrived(maker, wholesaler, goods, **says)
    found = case(wholesaler, goods.sscc(1))
    assert (found.kind, found.organisation, found.records[0]) == ("label-differs", "MakerMSP", leaf)
    assert said in found.compared
    assert f"{goods.lot}, good until 2028-12-31 (record {found.records[1]})" in found.compared
    maker.wait(lambda: cases(maker, goods.sscc(1)))
    assert case(maker, goods.sscc(1)).compared == found.compared
    moved = wholesaler.shipped(maker, [goods.sscc(1)])
    wholesaler.settle()
    assert states(wholesaler, moved) == [("ship", "refused", "exception-open")]


def test_a_scan_reads_another_lot_than_was_handed_over(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, _ = trade
    arrived(maker, wholesaler, goods, lotNumber=goods.lot, itemExpirationDate="2028-12-31")
    scans = wholesaler.gateway.supply.ground.own_log("scanner", "production")
    right = {"gtin": goods.pack(0)[22:36], "serial": goods.pack(0)[40:], "lot": goods.lot, "expiry": "281231"}
    wrong = right | {"serial": goods.pack(1)[40:], "lot": "OTHER"}
    _, leaf = wholesaler.run(scans.append_all([json.dumps(one).encode() for one in (right, wrong)]))
    wholesaler.settle()
    found = case(wholesaler, goods.pack(1))
    assert (found.kind, found.organisation, found.records[0]) == ("label-differs", "MakerMSP", leaf)
    assert not cases(wholesaler, goods.pack(0))
    assert not cases(wholesaler, goods.sscc(1))


def test_who_may_do_what(trade: Trade, goods: Goods) -> None:
    maker, wholesaler, _ = trade
    wholesaler.received(maker, [goods.sscc(1)])
    ours, theirs = case(wholesaler, goods.sscc(1)), case(maker, goods.sscc(1))
    path = f"/v1/exceptions/{ours.id}"
    assert wholesaler.request("GET", path).json()["ours"] is True
    assert wholesaler.request("POST", f"{path}/answer", json={"text": "x"}).status_code == 409
    assert (
        maker.request("POST", f"/v1/exceptions/{theirs.id}/resolve", json={"resolution": "explained"}).status_code
        == 409
    )
    assert wholesaler.request("POST", f"{path}/resolve", json={"resolution": "nonsense"}).status_code == 422
    assert wholesaler.request("GET", "/v1/exceptions/999999").status_code == 404
    assert wholesaler.request("POST", "/v1/exceptions/999999/answer", json={"text": "x"}).status_code == 404
    counts = wholesaler.request("GET", "/v1/exceptions", params={"state": "open"}).json()["counts"]
    assert counts["open"] >= 1
    assert maker.request("POST", f"/v1/exceptions/{theirs.id}/answer", json={"text": "ours"}).status_code == 204
    assert maker.request("POST", f"/v1/exceptions/{theirs.id}/answer", json={"text": "again"}).status_code == 409


def test_commands_of_custody(trade: Trade, goods: Goods) -> None:
    maker, _, _ = trade
    maker.commissioned(goods.packs(0, 1), goods.lot)
    maker.settle()
    assert "is closed" in run(maker, "custody", "close", "09520002000019", goods.lot)
    maker.settle()
    assert goods.lot_uri in run(maker, "custody", "list", "--state", "done")
    assert maker.request("GET", "/v1/handovers", params={"limit": "5"}).status_code == 200
