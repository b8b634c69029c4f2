"""What people type about shipments and alarms, and what they are told: policies of their own, alarms told apart, the
command in a mail, refusals in words, and a stop while somebody follows the stream."""

import asyncio
import json
import logging
import shlex
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from chain.conditions.policies import READY_MADE
from chaincode.coldchain.records import Shipment
from gateway.access import Scope
from gateway.alarms import cli as alarms_cli
from gateway.alarms.alarm import Alarm, What
from gateway.alarms.errors import AlarmError
from gateway.alarms.mail import message
from gateway.alarms.settings import AlarmTarget
from gateway.api.alarm_models import policy_out, shipment_out
from gateway.api.routes import alarms as routes
from gateway.coldchain import cli
from gateway.coldchain.errors import ShipmentError
from gateway.server import running
from tests.chain.conditions.readings import START_US, course
from tests.chaincode.coldchain.world import ColdWorld
from tests.contract_suite.shipments import logger_of
from tests.support.captures import Trade

NOWHERE = ["--url", "http://127.0.0.1:9", "--token", "none"]
LIMITS = '[{"direction": "above", "threshold_milli_c": 8000}]'
OPEN = ["open", "--recipient", "WholesalerMSP", "--logger", "a=b", "--unit", "952123454321000018", *NOWHERE]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": NaN}', "name: Input should be a valid string"),
        (f'{{"name": "x", "limits": {LIMITS}, "gap_s": Infinity}}', "gap_s: Input should be a"),
        (f'{{"name": "x", "limits": {LIMITS}, "gap_s": 1e400}}', "gap_s: Input should be a"),
        (f'{{"name": "x", "limits": {LIMITS}, "gaps": 3}}', "gaps: Extra inputs are not permitted"),
        ("[" * 100_000, "Invalid JSON: recursion limit exceeded"),
        ('{"name": "Kühl", "limits": []}', "name: Value error, stands on the ledger, which takes printable ASCII"),
        ("", "Invalid JSON"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)
    done = CliRunner().invoke(cli.app, [*OPEN, "--policy", str(file)], env={"COLUMNS": "400"})
    assert done.exit_code == 2, done.exception
    assert said in done.output


def test_a_policy_that_a_gateway_shows_is_sent_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    shown = policy_out(READY_MADE["controlled-cold"])
    file.write_text(json.dumps({name: value for name, value in shown.items() if name != "id"}))
    assert cli._policy(str(file)) == {name: value for name, value in shown.items() if name != "id"}
    done = CliRunner().invoke(cli.app, [*OPEN, "--policy", str(file)])
    assert (type(done.exception), "cannot reach" in str(done.exception)) == (ShipmentError, True)


def test_alarms_of_a_shipment_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    world = ColdWorld.fresh()
    trip = world.opened(loggers=tuple(logger_of(world.carrier, calibrated=day) for day in (None,)))
    to_us = world.at(95)
    report = trip.report(1, to_us, course(5, 5, 16, 16))
    world.submit(world.carrier, "coldchain.report", *trip.reporting(report))
    shipment, progress = world.get(trip)
    cli._print(shipment_out(shipment, progress, trip.policy), as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("alarm ")]
    assert len(set(lines)) == len(lines) == len(progress.alarms)
    said = "\n".join(line.partition(": ")[2] for line in lines)
    of, since = _named(shipment), "by report 1, since 2026-11-23T07:35:00+00:00"
    assert f"limit of {of}, above 8 °C (single, 600 s allowed): 600 s too long, {since}" in said
    assert f"limit of {of}, at-least 15 °C: 1,200 s too long, {since}" in said
    assert f"gap of {of}: 3,900 s missing, {since}" in said
    assert f"overdue: nothing since 2026-11-23T06:00:00+00:00, {since}" in said


def _named(shipment: Shipment) -> str:
    (logger,) = shipment.loggers
    return f"{logger.source} ({logger.series})"


def test_the_command_in_a_mail_can_be_typed() -> None:
    target = AlarmTarget(name="desk", smtp="smtp://localhost:25", sender="a@b.example", to=["c@b.example"])
    alarm = Alarm(5, "key", START_US, What.EXCURSION, "s", "too warm")
    mail = message_from_bytes(message(alarm, target, "carrier.example/gw", "http://127.0.0.1:9"))
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    (line,) = (line for line in body.decode().splitlines() if line.startswith("sealtrail "))
    program, group, *words = shlex.split(line)
    assert (program, group) == ("sealtrail", "alarms")
    done = CliRunner().invoke(alarms_cli.app, words, env={"SEALTRAIL_TOKEN": "none"})
    assert isinstance(done.exception, AlarmError), done.output  # it asks, and nobody is there
    assert "cannot reach http://127.0.0.1:9" in str(done.exception)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A gateway that refused some requests, and stopped while somebody followed its alarms."""
    config = Trade(tmp_path_factory.mktemp("stop") / "site").config
    found: dict[str, Any] = {"log": []}
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found["log"].append(record.getMessage())  # type: ignore[method-assign]

    async def follow(client: httpx.AsyncClient) -> bytes:
        async with client.stream("GET", "/v1/alarms/stream") as answer:
            return b"".join([piece async for piece in answer.aiter_bytes()])

    async def run() -> None:
        async with running(config) as served:
            token = served.gateway.access.new_token("desk", frozenset({Scope.OPERATOR}))
            client = httpx.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {token}"})
            opening = {"policy": "refrigerated", "recipient": "X", "units": ["00" * 32]}
            opening |= {"loggers": [{"source": "l1", "series": "t x"}]}
            found["open"] = await client.post("/v1/shipments", json=opening)
            found["release"] = await client.post(f"/v1/shipments/{'00' * 32}/release", json={"reason": "kühl"})
            following = asyncio.create_task(follow(client))
            while not routes._open:
                await asyncio.sleep(0.01)
            begun = asyncio.get_running_loop().time()
        found["took"] = asyncio.get_running_loop().time() - begun
        found["stream"] = await following
        await client.aclose()

    logging.getLogger("uvicorn").addHandler(handler)
    try:
        asyncio.run(run())
    finally:
        logging.getLogger("uvicorn").removeHandler(handler)
    return found


def test_a_stop_ends_the_stream_of_alarms_as_it_should_end(stopped: dict[str, Any]) -> None:
    assert stopped["log"] == []
    assert stopped["stream"] == b": alarms of this gateway\n\n"  # to its end, without an error
    assert stopped["took"] < 3  # the server waits so long for what does not end by itself


def test_a_refusal_says_what_is_taken(stopped: dict[str, Any]) -> None:
    assert (stopped["open"].status_code, stopped["release"].status_code) == (422, 422)
    assert "no reading is of such a series: its name has letters" in stopped["open"].json()["detail"]
    assert "stands on the ledger, which takes printable ASCII only" in stopped["release"].json()["detail"]
    assert "pattern" not in stopped["release"].json()["detail"]
