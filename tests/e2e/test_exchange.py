"""The exchange of sealed objects by the real program: two partners with key stores of their own, one gateway."""

import io
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest

from crypto.envelope import objects
from crypto.kem import KemPublicKey, KemSuite
from crypto.keys import Algorithm
from crypto.keystore.locked import Cost
from crypto.keystore.passphrase import Passphrase
from crypto.keystore.store import KeyStore
from tests.e2e.programs import Up, run, until, up, write_config

CONTENT = b"batch record, lot L2611A\n" * 40_000  # a megabyte: too large for MQTT
PASSPHRASE = "correct horse battery staple"
CHEAP = Cost(1024, 1, 1)  # the programs open these stores a dozen times
SMALL = b"release certificate, lot L2611A\n"


class Party:
    """A partner with its key store, token and files; the sender is one of them."""

    def __init__(self, gateway: Up, folder: Path, name: str) -> None:
        self.gateway, self.folder, self.name, self.keys = gateway, folder / name, name, folder / name / "keys"
        self.folder.mkdir()
        store = KeyStore(self.keys, Passphrase(PASSPHRASE), cost=CHEAP)
        store.new("sign", Algorithm.ED25519, 1)
        store.new("kem", KemSuite.X_WING, 1)
        self.token = run("token", "new", name, "--data", gateway.data, "--scope", "partner").stdout.strip()

    @property
    def at(self) -> tuple[str, ...]:
        return "--url", self.gateway.url, "--token", self.token

    @property
    def own(self) -> tuple[str | Path, ...]:
        return "--sign", "sign", "--keys", self.keys

    def enrol(self, owner: str) -> None:
        request = self.folder / "request.json"
        run(
            "partner",
            "request",
            self.name,
            "--origin",
            "plant.example/line-1",
            "--kem",
            "kem",
            "-o",
            request,
            *self.own,
        )
        run("partner", "add", request, "--url", self.gateway.url, "--token", owner)

    def fetch(self, name: str, *more: str | Path) -> bytes:
        """Fetch, open and sign for an object."""
        file, opened = self.folder / f"{name[:8]}.sealed", self.folder / f"{name[:8]}.txt"
        run("objects", "get", name, "-o", file, *self.at)
        run("open", file, "--keys", self.keys, "-o", opened, *more)
        run("objects", "receipt", name, "--as", self.name, "--file", file, *more, *self.own, *self.at)
        return opened.read_bytes()


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", PASSPHRASE)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Up]:
    with up(write_config(tmp_path)) as running:
        yield running


def _sealed(owner: tuple[str, ...], folder: Path, content: bytes, *to: str) -> str:
    """Seal to partners by their names on the ledger, put and grant; the object's id."""
    plain, file = folder / "plain", folder / "object.sealed"
    plain.write_bytes(content)
    run("seal", plain, *(part for name in to for part in ("--to", name)), "-o", file, *owner)
    kept: dict[str, Any] = json.loads(run("objects", "put", file, "--json", *owner).stdout)
    assert kept["digest"] == sha256(file.read_bytes()).hexdigest()
    run("objects", "grant", kept["id"], *(part for name in to for part in ("--to", name)), *owner)
    return str(kept["id"])


def _granted(gateway: Up, content: bytes, to: Party) -> str:
    """The same without programs, which take half a second each."""
    target, key = io.BytesIO(), KeyStore(to.keys, Passphrase(PASSPHRASE)).public("kem").key
    assert isinstance(key, KemPublicKey)
    objects.seal(io.BytesIO(content), target, [key])
    headers = {"Authorization": f"Bearer {gateway.token}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as client:
        name = str(client.post("/v1/objects", content=target.getvalue()).json()["id"])
        answer = client.post(f"/v1/objects/{name}/grants", json={"recipients": [to.name]})
        assert answer.status_code == 204, answer.text
    return name


def test_a_round_between_two_partners(gateway: Up, tmp_path: Path) -> None:
    """Seal, put, grant, get, open, receipt, seen on the ledger; passed on, revoked, refused; proved by the log."""
    owner = ("--url", gateway.url, "--token", gateway.token)
    a, b = Party(gateway, tmp_path, "partner-a"), Party(gateway, tmp_path, "partner-b")
    a.enrol(gateway.token)
    b.enrol(gateway.token)
    name = _sealed(owner, tmp_path, CONTENT, "partner-a")
    assert a.fetch(name) == CONTENT
    assert "404" in run("objects", "get", name, "-o", tmp_path / "none", *b.at, check=1).stderr
    assert not (tmp_path / "none").exists()
    # A passes it on to B without sealing it again.
    file = tmp_path / "to-b.grant"
    run("grant", a.folder / f"{name[:8]}.sealed", "--to", "partner-b", "-o", file, "--keys", a.keys, *a.at)
    run("objects", "grant", name, "--to", "partner-b", "--grant", file, "--as", "partner-a", *a.own, *a.at)
    assert b.fetch(name, "--grant", file) == CONTENT
    # The ledger shows all of it; A loses it, and hears honestly what that means.
    revoked = run("objects", "revoke", name, "partner-a", "--reason", "contract ended", *owner)
    assert "no revocation can take that back" in revoked.stdout
    assert "revoked: contract ended" in run("objects", "get", name, "-o", tmp_path / "none", *a.at, check=1).stderr
    seen = json.loads(run("objects", "grants", name, "--json", *owner).stdout)["grants"]
    assert [(g["recipient"], g["by"], [d["verdict"] for d in g["deliveries"]], bool(g["revoked"])) for g in seen] == [
        ("partner-a", "plant.example/line-1", ["opened"], True),
        ("partner-b", "partner-a", ["opened"], False),
    ]
    # The log's own proof of the ciphertext's digest.
    (kept,) = json.loads(run("objects", "list", "--json", *owner).stdout)["objects"]
    receipt, policy = tmp_path / "receipt.json", tmp_path / "policy.txt"
    run("receipt", kept["record"], "-o", receipt, "--data", gateway.data)
    run("policy", "export", "-o", policy, "--data", gateway.data)
    shown = run("verify", receipt, "--policy", policy, check=5).stdout
    assert "gateway's word only" in shown
    assert "object, digest, size, recipients" in shown
    run("fsck", "--data", gateway.data)
    assert "all 1 stored objects" in run("objects", "check", "--config", tmp_path / "gateway.toml").stdout
    # A byte of it altered on the disk: the check names it, and nobody gets it whole.
    (path,) = [path for path in (gateway.data / "objects").rglob("*") if path.is_file()]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert name[:16] in run("objects", "check", "--config", tmp_path / "gateway.toml", check=1).stderr
    run("objects", "get", name, "-o", tmp_path / "none", *b.at, check=1)
    assert not (tmp_path / "none").exists()


def test_what_was_kept_and_granted_survives_kill_9(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    first = Up(config)
    a = Party(first, tmp_path, "partner-a")
    a.enrol(first.token)
    name = _granted(first, SMALL, a)
    first.process.kill()
    first.end()
    (first.data / "objects" / "incoming" / "left").write_bytes(b"of an upload that was cut")
    with up(config) as second:
        a.gateway = second
        assert a.fetch(name) == SMALL
        assert os.listdir(second.data / "objects" / "incoming") == []


def test_a_partner_that_listens_over_mqtt_hears_of_a_grant_and_gets_small_objects(gateway: Up, tmp_path: Path) -> None:
    a = Party(gateway, tmp_path, "partner-a")
    a.enrol(gateway.token)
    early = _granted(gateway, b"granted before it listened", a)
    password = run("partner", "login", "partner-a", "--data", gateway.data).stdout.splitlines()[0].split()[-1]
    heard: dict[str, bytes] = {}
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set("partner-a", password)
    client.on_message = lambda c, u, message: heard.__setitem__(message.topic, message.payload)
    client.on_connect = lambda c, *rest: c.subscribe("st/1/partner-a/objects/#")
    client.connect("127.0.0.1", int(gateway.where["mqtt_port"]))
    client.loop_start()
    try:
        topic = "st/1/partner-a/objects"
        until(lambda: f"{topic}/{early}" in heard)  # what is pending comes with the subscription
        small, large = (_granted(gateway, content, a) for content in (SMALL, CONTENT))
        until(lambda: json.loads(heard[topic])["object"] == large)
        until(lambda: f"{topic}/{small}" in heard)
    finally:
        client.disconnect()
        client.loop_stop()
    assert f"{topic}/{large}" not in heard
    notice = json.loads(heard[topic])
    assert notice["url"] == f"/v1/objects/{large}"
    (tmp_path / "came").write_bytes(heard[f"{topic}/{small}"])
    run("open", tmp_path / "came", "--keys", a.keys, "-o", tmp_path / "opened")
    assert (tmp_path / "opened").read_bytes() == SMALL
