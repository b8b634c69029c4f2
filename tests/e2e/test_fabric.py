"""On Fabric as a new user runs it: the demo, its receipt without any Fabric program, and kill −9 of a gateway."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from chaincode.log_records import AnchoredCheckpoint
from crypto import cbor
from tests.e2e.programs import Up, run, until, up, write_config
from tests.network.networks import PARTNERS, need_fabric, running, topology
from tests.torture.scale import long_only

pytestmark = pytest.mark.fabric


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_fabric()
    folder = tmp_path_factory.mktemp("demo")
    run("demo", "--fabric", "--once", "--json", folder / "summary.json", "--data", folder / "demo", timeout=170)
    return folder


def test_everything_sent_is_anchored_on_the_channel(played: Path) -> None:
    summary = json.loads((played / "summary.json").read_text())
    assert summary["ledger"] == "fabric"
    assert summary["sent"] == summary["acknowledged"] == summary["logged"] == summary["anchored"] > 9000
    assert (summary["rejected"], summary["gaps"], summary["excursions"]) == (0, 0, 12)
    assert summary["receipts_checked"] == summary["receipts_valid"] == 50


def test_the_demo_leaves_no_process(played: Path) -> None:
    status = run("network", "status", "--topology", played / "demo" / "partners.toml", "--json", check=1)
    assert {node["pid"] for node in json.loads(status.stdout)["nodes"]} == {None}


def test_a_receipt_is_verified_without_fabric(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program of Fabric on PATH, the network down; the site is whole by what it keeps."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    receipt, policy = played / "receipt.json", played / "policy.txt"
    run(
        "receipt", json.loads((played / "summary.json").read_text())["sample"], "-o", receipt, "--data", played / "demo"
    )
    run("policy", "export", "-o", policy, "--data", played / "demo")
    assert "\nledger fabric sealtrail " in policy.read_text()
    report = json.loads(run("verify", receipt, "--policy", policy, "--json").stdout)
    assert (report["result"], [step["state"] for step in report["steps"]]) == ("valid", ["holds"] * 8)
    assert json.loads(run("fsck", "--data", played / "demo", "--json").stdout)["whole"] is True


async def _anchored_sizes(profile: Path, origin: str) -> list[int]:
    """The sizes that the channel has for a log, in the order of its blocks, up to the head of now."""
    sizes: list[int] = []
    async with FabricLedger(read_profile(profile)) as ledger:
        head = AnchoredCheckpoint.decode(await ledger.evaluate("logs.head", origin.encode())).size
        async for event in ledger.events(-1, lambda name, _: name == "logs.anchored"):
            name, size, _ = cbor.decode(event.payload, 4096)
            sizes += [size] * (name == origin)
            if size == head:
                return sizes
    return sizes


@long_only
def test_kill_9_of_a_gateway_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with running(topology(tmp_path)) as network:
        profile = network.profiles[PARTNERS[0]]
        fabric = f'ledger = "fabric"\n[fabric]\nprofile = "{profile}"\n[front_door]\nport = {_free_port()}'
        config, device = write_config(tmp_path, fabric), tmp_path / "device"
        gateway = Up(config)
        code = json.loads(run("source", "invite", "logger-1", "--data", gateway.data, "--json").stdout)["code"]
        run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", device)
        command = [sys.executable, "-m", "sealtrail", "device", "run", "--folder", str(device), "--kind", "reading",
                   "--rate", "400"]  # fmt: skip
        sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert sender.stdin is not None
        sender.stdin.write("".join(f'[{{"n":"t","u":"Cel","v":{n % 20}}}]\n' for n in range(3000)))
        sender.stdin.close()
        sender.stdin = None
        for _ in range(3):
            time.sleep(1.5)
            gateway.end(signal.SIGKILL)
            gateway = Up(config)
        sender.communicate(timeout=60)
        assert sender.returncode == 0
        gateway.end()
        with up(config) as again:
            until(lambda: _all_anchored(again))
        report = json.loads(run("fsck", "--data", gateway.data, "--json").stdout)
        sizes = asyncio.run(_anchored_sizes(profile, "plant.example/line-1"))
    assert report["events"] == 3000
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == report["entries"]


def _all_anchored(gateway: Up) -> bool:
    headers = {"Authorization": f"Bearer {gateway.token}"}
    status = httpx.get(f"{gateway.url}/v1/status", headers=headers).json()
    return bool(status["anchored_size"] == status["log_size"])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
