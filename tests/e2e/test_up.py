"""`sealtrail up` as a service: devices enrol and send, plain publishers too, and it survives how it is stopped."""

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.programs import Up, run, until, up, write_config

READING = '[{"n":"fridge","u":"Cel","v":4.5}]'


def _records(data: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("records", "--data", data, "--limit", "100", "--json").stdout)[
        "records"
    ]
    return found


def _enrol(gateway: Up, folder: Path, name: str, algorithm: str = "ed25519") -> None:
    code = json.loads(run("source", "invite", name, "--data", gateway.data, "--json").stdout)["code"]
    run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", folder, "--algorithm", algorithm)


def test_a_device_enrols_sends_and_gets_a_receipt_over_rest(tmp_path: Path) -> None:
    with up(write_config(tmp_path)) as gateway:
        _enrol(gateway, tmp_path / "device", "fridge-7", "ml-dsa-65")
        (tmp_path / "one.json").write_text(READING)
        run("device", "send", "--folder", tmp_path / "device", "--kind", "reading", tmp_path / "one.json")
        record = until(lambda: _records(gateway.data))[0]
        receipt, policy = tmp_path / "receipt.json", tmp_path / "policy.txt"
        until(lambda: _records(gateway.data)[0]["anchored"])
        run("receipt", str(record["id"]), "-o", receipt, "--url", gateway.url, "--token", gateway.token)
        run("policy", "export", "-o", policy, "--data", gateway.data)
        assert "result: valid" in run("verify", receipt, "--policy", policy).stdout
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        assert httpx.get(f"{gateway.url}/readyz").status_code == 200


def test_a_used_code_and_a_second_gateway_are_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with up(config) as gateway:
        code = json.loads(run("source", "invite", "a", "--data", gateway.data, "--json").stdout)["code"]
        run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", tmp_path / "one")
        again = run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", tmp_path / "two", check=1)
        assert "unknown, used or expired" in again.stderr
        assert "another gateway runs on" in run("up", "--config", config, check=1).stderr


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed (mosquitto-clients)")
def test_a_bare_json_reading_by_mosquitto_pub_says_gateway_only(tmp_path: Path) -> None:
    with up(write_config(tmp_path)) as gateway:
        made = run("source", "plain", "old-thermometer", "--data", gateway.data, "--json")
        password = json.loads(made.stdout)["password"]
        port = str(gateway.where["mqtt_port"])
        publish = ["mosquitto_pub", "-p", port, "-q", "1", "-u", "old-thermometer", "-P", password]
        topic = "st/1/old-thermometer/plain/reading"
        subprocess.run([*publish, "-t", topic, "-m", READING], check=True, timeout=20)
        record = until(lambda: _records(gateway.data))[0]
        headers = {"Authorization": f"Bearer {gateway.token}"}
        shown = httpx.get(f"{gateway.url}/v1/records/{record['id']}", headers=headers).json()
        assert shown["authentication"] == "gateway-only"
        until(lambda: _records(gateway.data)[0]["anchored"])
        receipt, policy = tmp_path / "receipt.json", tmp_path / "policy.txt"
        run("receipt", str(record["id"]), "-o", receipt, "--data", gateway.data)
        run("policy", "export", "-o", policy, "--data", gateway.data)
        assert "gateway's word only" in run("verify", receipt, "--policy", policy, check=5).stdout


def test_lines_from_a_pipe_survive_kill_9_of_the_gateway(tmp_path: Path) -> None:
    config = write_config(tmp_path, f"[front_door]\nport = {_free_port()}")
    gateway = Up(config)
    _enrol(gateway, tmp_path / "device", "logger-1")
    lines = "".join(f'[{{"n":"t","u":"Cel","v":{n % 20}}}]\n' for n in range(3000))
    command = [sys.executable, "-m", "sealtrail", "device", "run", "--folder", str(tmp_path / "device"), "--kind",
               "reading", "--rate", "1500"]  # fmt: skip
    device = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert device.stdin is not None
    device.stdin.write(lines)
    device.stdin.close()
    device.stdin = None
    until(lambda: httpx.get(f"{gateway.url}/log/checkpoint").text.split("\n")[1:2] > ["0"])
    gateway.end(signal.SIGKILL)
    with up(config) as again:
        device.communicate(timeout=60)
        assert device.returncode == 0
        report = json.loads(run("fsck", "--data", again.data, "--json").stdout)
        assert report["events"] == 3000


def test_a_revoked_source_is_refused_and_its_earlier_events_stay_proved(tmp_path: Path) -> None:
    device, receipt, policy = tmp_path / "device", tmp_path / "receipt.json", tmp_path / "policy.txt"
    (tmp_path / "one.json").write_text(READING)
    send = ("device", "send", "--folder", device, "--kind", "reading", "--drain", "3", tmp_path / "one.json")
    with up(write_config(tmp_path)) as gateway:
        _enrol(gateway, device, "stolen-1")
        run(*send)
        why = ("--reason", "stolen", "--url", gateway.url, "--token", gateway.token)
        run("source", "revoke", "stolen-1", *why)
        run(*send, check=1)
        assert len(_records(gateway.data)) == 1
        until(lambda: _records(gateway.data)[0]["anchored"])
        run("receipt", str(_records(gateway.data)[0]["id"]), "-o", receipt, "--data", gateway.data)
        run("policy", "export", "-o", policy, "--data", gateway.data)
        assert "result: valid" in run("verify", receipt, "--policy", policy).stdout


def test_a_source_that_the_ledger_does_not_know_stops_the_start(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with up(config) as gateway:
        _enrol(gateway, tmp_path / "device", "fridge-7")
        data = gateway.data
    with closing(sqlite3.connect(data / "access.db")) as db, db:
        db.execute("UPDATE source SET name = 'fridge-8'")
    assert "does not know the enrolled source fridge-8" in run("up", "--config", config, check=1).stderr


def test_wrong_values_in_the_file_are_named_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('origin = "Plant 7"\ndata = "d"\n[api]\nport = 99999\nprot = 1\n')
    said = run("up", "--config", path, check=1).stderr
    assert "origin" in said
    assert "api.port" in said
    assert "api.prot" in said


def test_a_taken_port_gets_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run("up", "--config", write_config(tmp_path, f"[front_door]\nport = {port}"), check=1).stderr
    assert f"127.0.0.1:{port}" in said
    assert said.strip().count("\n") <= 1


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
