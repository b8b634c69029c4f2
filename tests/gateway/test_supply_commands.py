"""The commands for goods, each against running gateways: shipments, alarms, recalls, and what they print."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chaincode.identities import enrolment
from crypto import labels
from crypto.errors import SealtrailError
from crypto.keys import Algorithm, PrivateKey
from gateway.access import SourceSettings
from gateway.commands import application
from tests.gateway.custody.goods import Company, Goods, companies, kept, states


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Company]]:
    with companies(tmp_path_factory.mktemp("trade"), "maker", "wholesaler", recall={"auto_answer": False}) as made:
        yield made


def run(company: Company, *args: str, code: int = 0, bare: bool = False) -> str:
    """A command with the company's URL and token (not those where `bare`), while the gateways go on."""
    company.request("GET", "/v1/exceptions")  # makes the token
    where = () if bare else ("--url", company.url, "--token", company.token)
    result = company.run(asyncio.to_thread(CliRunner().invoke, application(), [*args, *where]))
    assert result.exit_code == code, result.output + repr(result.exception)
    if code == 2:
        return " ".join(result.output.split())
    if code:
        assert isinstance(result.exception, SealtrailError), repr(result.exception)
        return str(result.exception)  # as `sealtrail` prints it
    return result.output


def said(company: Company, *args: str) -> Any:
    return json.loads(run(company, *args, "--json"))


def sent(maker: Company, wholesaler: Company, goods: Goods, *, arrives: bool = True) -> None:
    maker.commissioned(goods.packs(0, 3), goods.lot)
    maker.packed(goods.sscc(1), goods.packs(0, 2))
    maker.shipped(wholesaler, [goods.sscc(1)])
    maker.settle()
    kept(wholesaler, goods.sscc(1))
    if not arrives:
        return
    wholesaler._minute = max(wholesaler._minute, maker._minute)  # goods arrive after they left
    wholesaler.received(maker, [goods.sscc(1)])
    wholesaler.settle()


def test_shipment_commands_and_the_alarms_that_come_of_them(trade: list[Company], tmp_path: Path) -> None:
    maker, wholesaler = trade
    goods = Goods(1)
    sent(maker, wholesaler, goods, arrives=False)
    policies = said(maker, "shipment", "policies")["policies"]
    assert all(one["name"] in run(maker, "shipment", "policies") for one in policies)
    truck = PrivateKey.generate(Algorithm.ED25519)
    claims = enrolment("truck", maker.gateway.folder.origin, truck.public)
    code = maker.gateway.invite("truck", SourceSettings())
    maker.run(maker.gateway.enrol(code, str(Algorithm.ED25519), truck.public.raw, truck.sign(claims, labels.ENROL)))
    own = tmp_path / "policy.json"
    own.write_text(json.dumps({name: value for name, value in policies[0].items() if name != "id"} | {"name": "own"}))
    options = ("--recipient", "WholesalerMSP", "--unit", goods.sscc(1).rpartition("/")[2])
    logger = ("--logger", "truck=truck:temperature=2026-03-01")
    opened = said(maker, "shipment", "open", "--policy", policies[0]["name"], *options, *logger)
    other = Goods(5)
    sent(maker, wholesaler, other, arrives=False)
    options = ("--recipient", "WholesalerMSP", "--unit", other.sscc(1))
    second = said(maker, "shipment", "open", "--policy", str(own), *options, *logger)
    assert second["policy"]["name"] == "own"
    assert opened["units"] == [maker.custody.units.id_of(goods.sscc(1)).hex()]
    shown = run(wholesaler, "shipment", "show", opened["id"])
    assert f"shipment {opened['id']}: under way, {policies[0]['name']}, MakerMSP to WholesalerMSP" in shown
    listed = said(maker, "shipment", "list", "--state", "open")["shipments"]
    assert {opened["id"], second["id"]} <= set(listed)
    assert opened["id"] in run(wholesaler, "shipment", "list", "--organisation", "MakerMSP")
    # What the contract refuses is a message, not a stack trace.
    assert "unknown-alarm" in run(maker, "shipment", "explain", opened["id"], "--alarm", "7", "--code", "door",
                             "--text", "the door stood open", code=1)  # fmt: skip
    assert "refused (4" in run(wholesaler, "shipment", "release", opened["id"], "--reason", "stable", code=1)
    wrong = run(maker, "shipment", "open", "--policy", "x", *options, "--logger", "t", code=2)
    assert "expected SOURCE=SERIES" in wrong
    assert "under way" in run(wholesaler, "shipment", "close", opened["id"])
    assert said(wholesaler, "shipment", "show", opened["id"])["closed"]


def test_alarms_are_listed_and_acknowledged(trade: list[Company]) -> None:
    maker, wholesaler = trade
    goods = Goods(2)
    sent(maker, wholesaler, goods)
    wholesaler.packed(goods.sscc(1), [], "DELETE")
    wholesaler.ended([goods.pack(0)])
    leaf = wholesaler.ended([goods.pack(0)])
    wholesaler.settle()
    assert states(wholesaler, leaf)[-1] == ("dispense", "refused", "duplicate")
    wholesaler.until(lambda: said(wholesaler, "alarms", "list", "--pending")["alarms"])
    alarm = next(a for a in said(wholesaler, "alarms", "list")["alarms"] if a["what"] == "exception")
    assert "duplicate-serial between MakerMSP, WholesalerMSP: now open" in run(wholesaler, "alarms", "list")
    done = run(wholesaler, "alarms", "acknowledge", str(alarm["id"]), "--by", "ada", "--reason", "seen to")
    assert done == f"alarm {alarm['id']} [ada: seen to]\n"
    pending = said(wholesaler, "alarms", "list", "--pending")["alarms"]
    assert alarm["id"] not in [one["id"] for one in pending]
    assert "9999" in run(wholesaler, "alarms", "acknowledge", "9999", "--by", "ada", "--reason", "x", code=1)


def test_recall_commands_from_start_to_lift(trade: list[Company], tmp_path: Path) -> None:
    maker, wholesaler = trade
    goods = Goods(3)
    sent(maker, wholesaler, goods)
    begun = said(
        maker, "recall", "start", goods.lot_uri, "--class", "2", "--reason", "glass in it", "--deadline", "90m"
    )
    recall = begun["id"]
    assert f"{recall}  class 2   open    ours" in run(maker, "recall", "status")
    wholesaler.until(lambda: recall in run(wholesaler, "recall", "status"))
    # It is heard, and nothing is said until a person answers.
    maker.until(lambda: said(maker, "recall", "status", recall)["customers"])
    assert said(maker, "recall", "status", recall)["customers"][0]["state"] == "waiting"
    assert "it goes to our suppliers" in run(wholesaler, "recall", "answer", recall, "--quarantined", "2")
    maker.until(lambda: said(maker, "recall", "status", recall)["customers"][0]["state"] == "answered")
    page = tmp_path / "report.html"
    assert "WholesalerMSP: 2 packs, answered" in run(maker, "recall", "status", recall, "--html", str(page))
    assert "glass in it" in page.read_text()
    branch = tmp_path / "branch.json"
    run(wholesaler, "recall", "open-branch", recall, "--supplier", "MakerMSP", "-o", str(branch))
    data = ("--organisation", "WholesalerMSP", "--data", str(maker.gateway.folder.root))
    checked = json.loads(run(maker, "recall", "check-branch", str(branch), *data, "--json", bare=True))
    assert (checked["recall"], checked["received"], checked["own"]["quarantined"]) == (recall, 2, 2)
    content = json.loads(branch.read_bytes())
    branch.write_text(json.dumps(content | {"answer": content["answer"][:-8] + "AAAAAAA="}))
    assert "no statement of a recall" in run(maker, "recall", "check-branch", str(branch), *data, code=1, bare=True)
    # Lifted: the ledger lets the lot go, and the customer's list says that it is over.
    assert "lifted by the company" in run(wholesaler, "recall", "lift", recall, "--reason", "no", code=1)
    stopped = wholesaler.shipped(maker, [goods.sscc(1)])
    assert run(maker, "recall", "lift", recall, "--reason", "the glass was of another line") == f"ended {recall}\n"
    assert said(maker, "recall", "status", recall)["closed"]
    wholesaler.settle()
    assert states(wholesaler, stopped) == [("ship", "done", "")]
    wholesaler.until(lambda: said(wholesaler, "recall", "status", recall)["closed"])
    assert run(maker, "recall", "lift", recall, "--reason", "again", code=1) == (
        f"the gateway refused (422): the recall {recall} is ended already"
    )


def test_a_drill_is_waited_for_and_marked(trade: list[Company]) -> None:
    maker, wholesaler = trade
    goods = Goods(4)
    sent(maker, wholesaler, goods)
    state = said(maker, "recall", "drill", goods.lot_uri, "--deadline", "60m", "--wait")
    assert (state["drill"], state["reach"], state["customers"][0]["state"]) == (True, 100.0, "answered")
    moved = maker.ended([goods.pack(2)])
    maker.settle()
    assert states(maker, moved)[-1] == ("dispense", "done", "")
    assert run(maker, "recall", "lift", state["id"], "--reason", "done") == f"ended {state['id']}\n"
