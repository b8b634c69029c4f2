"""The side door for real: Mosquitto between device and gateway, and the gateway's receipts closing the gap."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.e2e.programs import Up, run, until, up, write_config
from tests.support.mosquitto import MOSQUITTO, Broker

pytestmark = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed (Debian package mosquitto)")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with Broker(tmp_path) as running:
        yield running.port


def _through(folder: Path, port: int) -> None:
    """Point an enrolled device at the broker in place of the gateway."""
    path = folder / "device.json"
    profile = json.loads(path.read_text())
    profile["mqtt"] |= {"port": port}
    path.write_bytes(msgspec.json.encode(profile))


def _events(data: Path) -> int:
    count: int = json.loads(run("fsck", "--data", data, "--json").stdout)["events"]
    return count


@pytest.mark.parametrize(
    ("how", "known_as"), [("--session", {"session", "signed"}), ("--no-session", {"gateway-only", "signed"})]
)
def test_events_of_a_device_behind_a_broker_are_received_and_receipted(
    tmp_path: Path, broker: int, how: str, known_as: set[str]
) -> None:
    config = write_config(tmp_path, f'[side_door]\nhost = "127.0.0.1"\nport = {broker}\n')
    with up(config) as gateway:
        _enrol(gateway, tmp_path / "device")
        _through(tmp_path / "device", broker)
        lines = tmp_path / "lines.json"
        lines.write_text("".join(f'[{{"n":"t","u":"Cel","v":{n % 9}}}]\n' for n in range(500)))
        run("device", "send", "--folder", tmp_path / "device", "--kind", "reading", how, lines)
        status = json.loads(run("device", "status", "--folder", tmp_path / "device", "--json").stdout)
        assert status["acknowledged"] == status["recorded"] == 500
        headers = {"Authorization": f"Bearer {gateway.token}"}
        until(lambda: _authentications(gateway, headers) == known_as)
        state = httpx.get(f"{gateway.url}/v1/status", headers=headers).json()
        assert (state["sessions"], state["handshakes"]) == ((1, 1) if how == "--session" else (0, 0))
        metrics = httpx.get(f"{gateway.url}/metrics", headers=headers).text
        assert f'sealtrail_handshakes_total{{end="session"}} {state["handshakes"]}.0' in metrics
    assert _events(tmp_path / "data") == 500


def test_what_the_broker_took_while_the_gateway_was_dead_arrives_after(tmp_path: Path, broker: int) -> None:
    config = write_config(tmp_path, f'[side_door]\nhost = "127.0.0.1"\nport = {broker}\n')
    with up(config) as gateway:
        password = json.loads(run("source", "plain", "old-1", "--data", gateway.data, "--json").stdout)["password"]
        assert password
        until(lambda: httpx.get(f"{gateway.url}/readyz").status_code == 200)
    first = Up(config)  # knows the source from its start; its session at the broker stays when it is killed
    _publish(broker, 1)
    until(lambda: _listed(first.data) == 1)
    first.end(signal.SIGKILL)
    for _ in range(5):
        _publish(broker, 1)
    with up(config) as again:
        until(lambda: _listed(again.data) == 6)


def _authentications(gateway: Up, headers: dict[str, str]) -> set[str]:
    rows = httpx.get(f"{gateway.url}/v1/records?limit=500&kind=reading", headers=headers).json()["records"]
    return {row["authentication"] for row in rows}


def _publish(port: int, qos: int) -> None:
    import paho.mqtt.publish as publish

    topic, payload = "st/1/old-1/plain/reading", b'[{"n":"t","u":"Cel","v":3}]'
    publish.single(topic, payload, qos=qos, hostname="127.0.0.1", port=port)


def _listed(data: Path) -> int:
    return len(json.loads(run("records", "--data", data, "--limit", "50", "--json").stdout)["records"])


def _enrol(gateway: Up, folder: Path) -> None:
    code = json.loads(run("source", "invite", "line-2", "--data", gateway.data, "--json").stdout)["code"]
    run("device", "enroll", "--url", gateway.url, "--code", code, "--folder", folder)
