"""Traces over REST and on the command line: the same answer, as its schema says, for those who may see payloads."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bench.traces import same_rows
from gateway.access import Scope
from gateway.commands import application
from gateway.server import running
from gateway.trace.forms import TraceOut
from tests.support.captures import Trade
from tests.support.trade import case, commissioned, declared_false, lot, made, objects, pack, packed, place

EVENTS = [
    made(0, {lot(1, "A1"): 5}, {lot(2, "L1"): 5}, at=place(1)),
    commissioned(1, 2, "L1", *(pack(2, n) for n in range(30)), at=place(1)),
    packed(2, case(1), *(pack(2, n) for n in range(30)), at=place(1)),
    objects(3, "shipping", case(1), at=place(1), destinationList=[
        {"type": "owning_party", "destination": "urn:epc:id:pgln:4012345.00002"}]),
    declared_false(objects(4, "storing", case(1), at=place(2)), 5),
]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A site that stopped, and what it answered over REST while it ran."""
    config = Trade(tmp_path_factory.mktemp("trace") / "site").config

    async def run() -> dict[str, Any]:
        async with running(config) as served:
            gateway = served.gateway
            await gateway._own_log("capture", "epcis").append_all(EVENTS)
            await served.index_caught_up()
            answers: dict[str, Any] = {}
            async with httpx.AsyncClient(base_url=served.url) as client:
                for scope in (Scope.AUDITOR, Scope.DEVICE_ADMIN):
                    headers = {"Authorization": f"Bearer {gateway.access.new_token(scope, frozenset({scope}))}"}
                    for name, params in QUESTIONS.items():
                        answers[f"{scope} {name}"] = await client.get("/v1/trace", params=params, headers=headers)
            return answers

    return config.data, asyncio.run(run())


QUESTIONS: dict[str, dict[str, Any]] = {
    "pack": {"id": pack(2, 1)},
    "scanned": {"id": "(01)00401234000002(21)1".replace("00401234000002", pack(2, 1).split("/")[4])},
    "narrow": {"id": lot(2, "L1"), "direction": "down", "limit": 10},
    "unknown": {"id": pack(9, 9)},
    "none": {"id": "hello"},
    "sideways": {"id": pack(2, 1), "direction": "sideways"},
}


def test_an_auditor_gets_what_the_schema_says(site: tuple[Path, dict[str, Any]]) -> None:
    answers = {name.removeprefix("auditor "): answer for name, answer in site[1].items() if "auditor" in name}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "pack": 200, "scanned": 200, "narrow": 200, "unknown": 404, "none": 422, "sideways": 422,
    }  # fmt: skip
    for name in ("pack", "scanned", "narrow"):
        TraceOut.model_validate(answers[name].json())
    assert answers["pack"].json()["links"] == answers["scanned"].json()["links"]
    assert answers["narrow"].json()["truncated"][0]["total"] == 30
    [held] = answers["pack"].json()["holders"]
    assert (held["place"], held["state"]) == ("https://id.gs1.org/417/4012345000023", "in transit")


def test_who_may_not_see_payloads_is_refused(site: tuple[Path, dict[str, Any]]) -> None:
    assert {a.status_code for name, a in site[1].items() if "device-admin" in name} == {403}


def test_the_command_says_the_same(site: tuple[Path, dict[str, Any]]) -> None:
    app, runner = application(), CliRunner()
    done = runner.invoke(app, ["trace", pack(2, 1), "--data", str(site[0]), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) | {"partners": []} == site[1]["auditor pack"].json()
    said = runner.invoke(app, ["trace", pack(2, 1), "--data", str(site[0])]).stdout
    assert "├─" in said or "└─" in said
    for words in (
        "made of:",
        "lot A1 of",
        "5 KGM",
        "way:",
        "declares an error",
        "now:",
        "in transit party 4012345000023",
    ):
        assert words in said, said
    narrow = runner.invoke(app, ["trace", lot(2, "L1"), "--down", "--limit", "10", "--data", str(site[0])]).stdout
    assert "! 9 of 30 shown: lot" in narrow
    assert "--after" in narrow
    assert runner.invoke(app, ["trace", pack(2, 1)]).exit_code == 2


def test_the_bench_asks_rows_as_the_real_way_makes_them(tmp_path: Path) -> None:
    assert same_rows(tmp_path / "small") > 2000
