"""`sealtrail epcis capture` against a real gateway, and the tokens for it."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
from click import Context
from typer.main import get_command

from gateway.access import Scope
from gateway.commands import application
from gateway.epcis.document import epcis_document
from tests.gateway.api.epcis.asking import bodies, events_in
from tests.support.served import Served
from tests.support.trade import objects, pack


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "import sealtrail; sealtrail.main()", "epcis", "capture", *arguments], check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_file_is_captured_piece_by_piece(gateway: Served, auditor: httpx.Client, tmp_path: Path) -> None:
    file, where = tmp_path / "events.json", ("--url", gateway.url, "--token", gateway.token(Scope.CAPTURE, label="cli"))
    events = [objects(i, "shipping", pack(60, i)) for i in range(70)]  # one request takes 50
    file.write_bytes(epcis_document(events, "2026-11-23T06:00:00Z"))
    told = run(str(file), *where, "--batch", "40", "--json")
    assert told.returncode == 0, told.stderr
    said = json.loads(told.stdout)
    assert (said["stored"], said["duplicates"], said["refused"], len(said["jobs"])) == (70, 0, 0, 2)
    assert [one["event"] for one in said["events"]] == list(range(70))
    found = events_in(auditor.get("/epcis/events", params={"MATCH_epc": pack(60, 69)}))
    assert found == bodies(events[69])
    again = run(str(file), *where, "--batch", "40")
    assert (again.returncode, again.stdout) == (0, "0 stored, 70 known already, 0 refused\n")


def test_what_does_not_hold_shows_in_the_exit_code(gateway: Served, tmp_path: Path) -> None:
    file, where = tmp_path / "events.json", ("--url", gateway.url, "--token", gateway.token(Scope.CAPTURE, label="cli"))
    events = [objects(1, "shipping", pack(61, 1)), objects(1, "flying", pack(61, 2))]
    file.write_bytes(epcis_document(events, "2026-11-23T06:00:00Z"))
    whole = run(str(file), *where)
    assert whole.returncode == 1
    assert "/epcisBody/eventList/1/bizStep" in whole.stderr
    parts = run(str(file), *where, "--proceed")
    assert parts.returncode == 3
    assert parts.stdout.splitlines()[-1] == "1 stored, 0 known already, 1 refused"
    assert run(str(tmp_path / "none.json"), *where).returncode == 1
    assert run(str(file), "--url", gateway.url, "--token", "wrong", "--proceed").returncode == 1


def test_help_of_a_new_token_names_every_scope() -> None:
    command = get_command(application())
    for name in ("token", "new"):
        command = command.get_command(Context(command), name)  # type: ignore[attr-defined]
    told = next(parameter.help for parameter in command.params if parameter.name == "scope")
    assert [scope for scope in Scope if scope not in told] == []
