"""A site and a device whose keys are locked by a passphrase from their first start on."""

import json
from pathlib import Path

import pytest

from crypto.keystore.vault import LOCK_FILE, MAGIC
from tests.e2e.programs import Up, run, up, write_config

READING = '[{"n":"fridge","u":"Cel","v":4.5}]'


@pytest.fixture(autouse=True)
def with_a_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "sesame")


def _send(gateway: Up, folder: Path) -> None:
    reading = folder.parent / "one.json"
    reading.write_text(READING)
    run("device", "send", "--folder", folder, "--kind", "reading", reading)


def _enrol(gateway: Up, folder: Path) -> None:
    code = json.loads(run("source", "invite", "fridge-7", "--data", gateway.data, "--json").stdout)["code"]
    run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", folder)


def _all_locked(folder: Path) -> list[str]:
    """The private files of a folder, each of them locked."""
    found = [path for path in sorted(folder.iterdir()) if path.suffix in (".pem", ".key") or path.name == "password"]
    assert all(path.read_bytes().startswith(MAGIC) for path in found)
    assert (folder / LOCK_FILE).is_file()
    return [path.name for path in found]


SITE_FILES = ["gateway.pem", "ledger-ed25519.pem", "ledger-ml-dsa-44.pem", "log-ed25519.pem", "log-ml-dsa-44.pem",
              "session.key", "site.key"]  # fmt: skip


def test_a_site_and_a_device_under_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, data, device = write_config(tmp_path), tmp_path / "data", tmp_path / "device"
    with up(config) as gateway:
        _enrol(gateway, device)
        _send(gateway, device)
    assert _all_locked(data / "keys") == SITE_FILES
    assert _all_locked(device) == ["key.pem", "password"]
    with up(config):  # again, with the same passphrase
        pass
    receipt, policy = tmp_path / "receipt.json", tmp_path / "policy.txt"
    run("receipt", "0", "-o", receipt, "--data", data)
    run("policy", "export", "-o", policy, "--data", data)
    assert "is whole" in run("fsck", "--data", data).stdout
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", "open")
    for command in (("up", "--config", config), ("receipt", "0", "-o", "x", "--data", data)):
        assert "the passphrase of" in run(*command, check=1).stderr
    monkeypatch.delenv("SEALTRAIL_PASSPHRASE")
    assert "no passphrase: set SEALTRAIL_PASSPHRASE" in run("up", "--config", config, check=1).stderr
    assert "no passphrase" in run("device", "send", "--folder", device, "--kind", "reading", receipt, check=1).stderr
    assert "result: valid" in run("verify", receipt, "--policy", policy).stdout  # an auditor needs none
