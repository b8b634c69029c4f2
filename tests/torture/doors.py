"""A running `sealtrail up` seen from outside: sources that log in at its front door, and what its log may not say."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from chaincode.identities import enrolment
from crypto import labels
from tests.e2e.programs import Up, run, up, write_config
from tests.gateway.ingest.mqtt_support import Raw, connect, publish
from tests.support.source import Source, message


class Device:
    """An enrolled source and its password, with a connection of its own."""

    def __init__(self, gateway: Up, source: Source, password: str) -> None:
        self.source, self.password = source, password
        self._port = int(gateway.where["mqtt_port"])
        self._number = 0

    def connect(self, *, v5: bool = True, client_id: str | None = None, **options: Any) -> bytes:
        """The bytes of its CONNECT."""
        return connect(self.source.name, v5=v5, client_id=client_id, password=self.password.encode(), **options)

    def login(self, *, v5: bool = True, client_id: str | None = None) -> Raw:
        client = Raw(self._port).send(self.connect(v5=v5, client_id=client_id))
        first, body = client.read()
        assert (first, body[1]) == (0x20, 0), body
        return client

    def event(self) -> bytes:
        """A PUBLISH (QoS 1, MQTT 5, packet identifier 1) of its next event."""
        return publish(f"st/1/{self.source.name}/events", message([self.source.event()]), 1, v5=True)

    def send_one(self, client: Raw) -> None:
        """One good event, waited for: it is logged and acknowledged."""
        assert client.send(self.event()).read() == (0x40, b"\0\1")


def enrolled(gateway: Up, source: Source) -> Device:
    """Invite and enrol a source as a device does it."""
    invited = _post(gateway, "sources", {"source": source.name})
    offer = _post(gateway, "enrol/offer", {"code": invited["code"]})
    public = source.key.public
    proof = source.key.sign(enrolment(source.name, offer["origin"], public), labels.ENROL)
    body = {
        "code": invited["code"], "algorithm": str(public.algorithm),
        "public_key": base64.b64encode(public.raw).decode(), "proof": base64.b64encode(proof).decode(),
    }  # fmt: skip
    return Device(gateway, source, _post(gateway, "enrol", body)["password"])


def plain(gateway: Up, name: str) -> Device:
    """A source without a key."""
    made = json.loads(run("source", "plain", name, "--data", gateway.data, "--json").stdout)
    return Device(gateway, Source(name), made["password"])


def revoke(gateway: Up, name: str) -> None:
    run("source", "revoke", name, "--reason", "stolen", "--url", gateway.url, "--token", gateway.token)


def _post(gateway: Up, path: str, body: dict[str, str]) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {gateway.token}"}
    answer = httpx.post(f"{gateway.url}/v1/{path}", json=body, headers=headers, timeout=30)
    assert answer.is_success, answer.text
    said: dict[str, str] = answer.json()
    return said


def metrics(gateway: Up) -> dict[str, float]:
    """The gateway's own counts by their Prometheus names."""
    text = httpx.get(f"{gateway.url}/metrics", headers={"Authorization": f"Bearer {gateway.token}"}, timeout=30).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def resident_bytes(gateway: Up) -> int:
    """Memory of the gateway's process."""
    pages = int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def unshaken(folder: Path, extra: str = "") -> Iterator[Up]:
    """A gateway that must be ready at the end of the block, stop as it should, and have logged no fault."""
    config = write_config(folder, extra)
    config.write_text(config.read_text().replace("[api]", "[api]\nrequests_per_second = 1000000"))  # no 429 of ours
    with up(config) as gateway:
        yield gateway
        answer = httpx.get(f"{gateway.url}/readyz", timeout=30)
        assert answer.status_code == 200, answer.text
        assert gateway.end() == 0
    said = (folder / "up.log").read_text()
    assert "Traceback" not in said, said[-4000:]
    assert " ERROR " not in said, said[-4000:]
