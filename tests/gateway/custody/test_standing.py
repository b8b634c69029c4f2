"""What stands behind another in the queue says so, wherever it is shown."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.commands import application
from gateway.custody import standing
from gateway.custody.database import Store
from gateway.custody.lots import COMMISSION
from gateway.custody.schema import TaskState
from gateway.custody.standing import Standings
from gateway.custody.tasks import DATA, Tasks
from tests.gateway.custody.goods import Company, Goods, amount, between, companies, sscc

LOT = "https://id.gs1.org/01/09520002000019/10/L"
NO_DATA_YET = "no hand-over of it came so far"


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Company]]:
    with companies(tmp_path_factory.mktemp("standing"), "maker", "pharmacy", custody={"data_wait_s": 600}) as made:
        yield made


def listed(company: Company) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The whole answer, and its transitions that are open by id."""
    said = company.request("GET", "/v1/custody", params={"limit": 500}).json()
    return said, {one["id"]: one for one in said["transitions"] if one["state"] in ("pending", "waiting")}


def test_one_delivery_without_its_hand_over_says_what_it_holds_up(trade: list[Company], goods: Goods) -> None:
    """A maker takes in more of a material that it has; no hand-over comes, and two batches are made of the lot."""
    maker, supplier = trade
    material, packs = f"{goods.lot_uri}-LR1", f"{goods.lot_uri}-A"
    maker.amount_made(material, 2900, "KGM")
    maker.settle()
    assert listed(maker)[0]["idle"] is True
    wrong = maker.event("ObjectEvent", "receiving", "OBSERVE", quantityList=[amount(material, 5, "GRM")],
                        **between(supplier, maker))  # fmt: skip
    (leaf,) = maker.capture_all([wrong])
    for lot in (packs, f"{goods.lot_uri}-B"):
        maker.capture("TransformationEvent", "commissioning", None, outputQuantityList=[amount(lot, 1, "KGM")],
                      inputQuantityList=[amount(material, 2, "KGM")])  # fmt: skip
    maker.packed(goods.sscc(1), [], childQuantityList=[amount(packs, 1, "KGM")])
    maker.shipped(supplier, [goods.sscc(1)])
    maker.settle()
    (receipt,) = maker.tasks(leaf)
    said, shown = listed(maker)
    behind = f"transition {receipt.id} (receive: {NO_DATA_YET}; until 20"
    made = [one for one in shown.values() if one["name"] == COMMISSION]
    assert [one["behind"] for one in made] == [str(receipt.id)] * 2
    assert all(one["reason"].startswith(f"behind {behind}") for one in made), made
    packing = next(one for one in shown.values() if one["name"] == "pack")
    assert packing["reason"].startswith(
        f"{packs} is not closed yet: transition {made[0]['id']} (commission) is behind {behind}"
    ), packing["reason"]
    assert packing["behind"] == str(receipt.id)
    assert shown[str(receipt.id)]["until_us"] == receipt.until_us
    assert said["idle"] is False
    assert f"behind {behind}" in on_the_command_line(maker)
    declared = b'"errorDeclaration": {"declarationTime": "2026-11-24T00:00:00Z", "reason": "incorrect_data"}, "type"'
    maker.capture_all([wrong.replace(b'"type"', declared, 1)])
    maker.settle()
    said, shown = listed(maker)
    assert (shown, said["idle"]) == ({}, True)


def on_the_command_line(company: Company) -> str:
    arguments = ["custody", "list", "--state", "pending", "--url", company.url, "--token", company.token]
    return company.run(asyncio.to_thread(CliRunner().invoke, application(), arguments)).output


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("most", [2000, 5])
def test_a_long_row_is_gone_along_once(store: Store, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All name its head; where the row is too long for that, the one right before."""
    monkeypatch.setattr(standing, "MAX_LOOKED_AT", most)
    tasks = Tasks(store)
    with store.transaction():
        head = tasks.add(0, "receive", [LOT], waits=DATA + LOT, until_us=10**15, reason=NO_DATA_YET)
        row = [tasks.add(n, "pack", [sscc(n), LOT]) for n in range(600)]
    assert tasks.ready(64) == []
    shown = tasks.page(TaskState.PENDING, row[99], 500)
    found = Standings(store, tasks).of(shown)
    wanted = [head] * 500 if most > 600 else [task.id - 1 for task in shown]
    assert [one.behind for one in found] == wanted
    assert (found[0].reason == f"behind transition {head} (receive: {NO_DATA_YET}; until 2001-09-09 01:46 UTC)") == (
        most > 600
    )
    tasks.end(head, TaskState.VOID)
    (first,) = tasks.ready(64)
    assert Standings(store, tasks).of([first])[0] == standing.Standing(None, "")
