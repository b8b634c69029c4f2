"""What the ledger refused is marked in a trace: the event is there, what it says did not happen."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.commands import application
from gateway.events.view import EventsView
from gateway.trace.sharing import shared
from gateway.trace.tracing import Question
from tests.gateway.custody.goods import GTIN, Company, companies, lot_uri, pack, packs, states

LOT = lot_uri("REF")


@pytest.fixture(scope="module")
def pharmacy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Of packs 0 to 3 of a lot 0 is dispensed, and then again together with 1. 7 is dispensed and 8 shipped, which were
    never there."""
    with companies(tmp_path_factory.mktemp("refused"), "pharmacy", "maker") as (company, maker):
        company.commissioned(packs(0, 4), "REF")
        company.settle()
        company.request("POST", f"/v1/lots/{GTIN}/REF/close")
        company.settle()
        company.ended([pack(0)])
        company.settle()
        twice = company.ended([pack(0), pack(1)])
        company.settle()
        company.shipped(maker, [pack(8)])
        never = company.ended([pack(7)])
        company.settle()
        assert sorted(state for _, state, _ in states(company, twice)) == ["done", "refused"]
        assert [state for _, state, _ in states(company, never)] == ["refused"]
        company.until(lambda: indexed(company) > never)
        yield company


def indexed(company: Company) -> int:
    answer = company.request("GET", "/v1/trace", params={"id": pack(7), "local": "true"})
    return int(answer.json()["indexed"]) if answer.status_code == 200 else -1


def traced(company: Company, thing: str) -> dict[str, Any]:
    found: dict[str, Any] = company.request("GET", "/v1/trace", params={"id": thing, "local": "true"}).json()
    return found


def test_what_was_dispensed_and_never_there_is_marked(pharmacy: Company) -> None:
    found = traced(pharmacy, pack(7))
    (step,), (held,) = found["steps"], found["holders"]
    assert pack(7) in step["refused"]
    assert step["refused_count"] == step["count"] == 1
    assert (held["state"], held["refused"]) == ("gone", step["refused"])
    page = pharmacy.request("GET", "/goods", params={"id": pack(7)}).text
    assert page.count('class="flag out-of-range"') == 2
    assert page.count("refused</span>") == 2


def test_only_the_pack_that_was_refused_is_marked(pharmacy: Company) -> None:
    other = traced(pharmacy, pack(1))
    assert not any("refused" in one for one in other["steps"] + other["holders"])
    ended = [one for one in traced(pharmacy, LOT)["steps"] if one["step"] == "dispensing"]
    assert [(one["count"], one.get("refused_count")) for one in ended] == [(1, None), (2, 1)]
    assert [one.get("refused_count") for one in traced(pharmacy, pack(0))["steps"]][-1] == 1
    assert "refused for 1</span>" in pharmacy.request("GET", "/goods", params={"id": LOT}).text


def test_the_command_line_says_it_of_a_folder_too(pharmacy: Company) -> None:
    def said(thing: str) -> str:
        command = ["trace", thing, "--data", str(pharmacy.gateway.folder.root)]
        return pharmacy.run(asyncio.to_thread(CliRunner().invoke, application(), command)).output

    assert "REFUSED for 1 of them: " in said(LOT)
    assert "REFUSED: " in said(pack(7))
    assert "as an event says that was REFUSED: " in said(pack(7))


def test_a_partner_is_not_shown_why(pharmacy: Company) -> None:
    """What was refused here, of a pack that names the partner, is this company's own affair."""
    assert traced(pharmacy, pack(8))["steps"][0]["refused"]
    with closing(EventsView.open(pharmacy.gateway.folder)) as view:
        found = shared(view, Question.of(pack(8)), lambda uri: True)
    assert found
    assert [one["record"] for one in found["steps"]]
    assert not any("refused" in one for one in found["steps"] + found["holders"])
