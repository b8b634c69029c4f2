"""The demo as a new user runs it, and every command that it tells them to type next."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.programs import run


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    run("demo", "--once", "--json", folder / "summary.json", "--data", folder / "demo", timeout=170)
    return folder


def test_everything_sent_is_anchored_and_proved(played: Path) -> None:
    summary = json.loads((played / "summary.json").read_text())
    assert summary["sent"] > 9000
    assert summary["sent"] == summary["acknowledged"] == summary["logged"] == summary["anchored"]
    assert (summary["rejected"], summary["gaps"], summary["excursions"]) == (0, 0, 12)
    assert summary["receipts_checked"] == summary["receipts_valid"] == 50
    assert summary["seconds"] > 0


def test_a_receipt_is_verified_offline_with_the_exported_policy(played: Path) -> None:
    data, receipt, policy = played / "demo", played / "receipt.json", played / "policy.txt"
    listed = json.loads(run("records", "--data", data, "--limit", "3", "--json").stdout)["records"]
    assert len(listed) == 3
    run("receipt", listed[0]["id"], "-o", receipt, "--data", data)
    run("policy", "export", "-o", policy, "--data", data)
    report = json.loads(run("verify", receipt, "--policy", policy, "--json").stdout)
    assert report["result"] == "valid"
    assert [step["state"] for step in report["steps"]] == ["holds"] * 8


def test_the_readmes_first_lines_run_as_they_stand(played: Path) -> None:
    """All but the first of them, which is the fixture: the demo into a folder named demo."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    demo, *lines = readme.split("```sh\n")[1].split("```")[0].strip().split("\n")
    assert demo.startswith('make demo DEMO="--once --data demo"')
    for line in lines:
        command = line.replace(".venv/bin/sealtrail", f"{sys.executable} -m sealtrail")
        done = subprocess.run(command, shell=True, cwd=played, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("result: valid\n")
    assert [line.split()[:4] for line in done.stdout.split("\n")[:8]] == [
        line.split()[:4] for line in readme.split("```\n")[2].split("\n")[:8]
    ]


def test_an_altered_receipt_is_refused_with_the_place(played: Path) -> None:
    data, receipt, policy = played / "demo", played / "altered.json", played / "policy.txt"
    newest = json.loads(run("records", "--data", data, "--limit", "1", "--json").stdout)["records"][0]["id"]
    run("receipt", newest, "-o", receipt, "--data", data)
    run("policy", "export", "-o", policy, "--data", data)
    content = json.loads(receipt.read_text())
    event = bytearray(base64.b64decode(content["event"]))
    event[-1] ^= 1
    receipt.write_text(json.dumps(content | {"event": base64.b64encode(event).decode()}))
    report = json.loads(run("verify", receipt, "--policy", policy, "--json", check=3).stdout)
    assert [step["name"] for step in report["steps"] if step["state"] == "false"] == ["event"]


def test_another_sites_policy_trusts_nothing_here(played: Path, tmp_path: Path) -> None:
    receipt, policy = played / "receipt-for-stranger.json", tmp_path / "policy.txt"
    run("receipt", "0", "-o", receipt, "--data", played / "demo")
    policy.write_text("quorum none\n")
    assert "untrusted" in run("verify", receipt, "--policy", policy, check=4).stdout


def test_one_field_is_disclosed_alone(played: Path) -> None:
    data, receipt, policy = played / "demo", played / "lot.json", played / "policy.txt"
    listed = json.loads(run("records", "--data", data, "--limit", "9", "--json").stdout)["records"]
    pack = next(record for record in listed if record["kind"] == "production")
    run("receipt", pack["id"], "--disclose", "lot", "-o", receipt, "--data", data)
    run("policy", "export", "-o", policy, "--data", data)
    report = json.loads(run("verify", receipt, "--policy", policy, "--json").stdout)
    assert report["fields"] == {"lot": "L2611A"}
    assert "event" not in json.loads(receipt.read_text())


def test_the_site_is_whole_and_one_byte_is_found(played: Path, tmp_path: Path) -> None:
    import shutil
    import sqlite3

    report = json.loads(run("fsck", "--data", played / "demo", "--json").stdout)
    assert report["whole"] is True
    copy = tmp_path / "copy"
    shutil.copytree(played / "demo", copy)
    connection = sqlite3.connect(copy / "site.db")
    (leaf, body) = connection.execute("SELECT first_leaf, body FROM segment ORDER BY first_leaf LIMIT 1").fetchone()
    altered = body[:40] + bytes([body[40] ^ 1]) + body[41:]
    connection.execute("UPDATE segment SET body = ? WHERE first_leaf = ?", (altered, leaf))
    connection.commit()
    connection.close()
    assert f"entry {leaf}" in run("fsck", "--data", copy, check=1).stderr


def test_the_log_key_is_what_other_tools_read(played: Path) -> None:
    vkey = run("log", "vkey", "--data", played / "demo").stdout.strip()
    name, key_id, material = vkey.split("+", 2)
    assert name == "demo.sealtrail.example/cold-chain"
    assert len(key_id) == 8
    assert base64.b64decode(material)[0] == 1
