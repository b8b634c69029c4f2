"""kill −9 at random moments under load: every event whose PUBACK came is in the log, exactly once, and all is whole."""

import base64
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from chain.event import content_hash
from chain.fsck import fsck
from chain.record import SEAL_KIND, Record
from chain.site import Folder, SiteReader
from chaincode.identities import enrolment
from crypto import labels
from gateway.ingest.inbound import Verdict
from tests.e2e.programs import Up, run, until, write_config
from tests.support.site import Site
from tests.support.source import Source, message

KILLS = 10
EVENTS = 4  # in a message
IN_FLIGHT = 24


class Publisher:
    """A device's sending half over real MQTT: what is not PUBACKed when the connection dies is sent again first."""

    def __init__(self, source: Source, password: str) -> None:
        self.source, self._password = source, password
        self._waiting: dict[int, tuple[bytes, list[int]]] = {}  # by our own number: message, its seqs
        self._mids: dict[int, int] = {}
        self._made = 0
        self.acknowledged: list[int] = []
        self.resent = 0

    def send_until(self, port: int, stop: threading.Event, *, more: bool = True) -> None:
        """Connect, send again what waits, then go on with new events, until told to stop, all is acknowledged, or
        the other end is gone."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.source.name, protocol=mqtt.MQTTv5)
        client.username_pw_set(self.source.name, self._password)
        client.on_publish = self._published
        client.max_inflight_messages_set(IN_FLIGHT)
        try:
            client.connect("127.0.0.1", port)
        except OSError:
            return  # it was killed before we got there
        self._mids.clear()
        again = sorted(self._waiting.items())
        while not client.is_connected():
            if client.loop(0.01) != mqtt.MQTT_ERR_SUCCESS:
                return
        self.resent += len(again)
        for number, (payload, _) in again:
            self._publish(client, number, payload)
        while not stop.is_set() and (more or self._waiting):
            if more and len(self._waiting) < IN_FLIGHT:
                self._publish(client, *self._new())
            if client.loop(0.002) != mqtt.MQTT_ERR_SUCCESS:
                return
        client.disconnect()

    def _new(self) -> tuple[int, bytes]:
        seqs = list(range(self.source.seq, self.source.seq + EVENTS))
        payload, self._made = message(self.source.batch(EVENTS), self.source.seal()), self._made + 1
        self._waiting[self._made] = payload, seqs
        return self._made, payload

    def _publish(self, client: mqtt.Client, number: int, payload: bytes) -> None:
        info = client.publish(f"st/1/{self.source.name}/events", payload, qos=1)
        self._mids[info.mid] = number

    def _published(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        assert not reason.is_failure, reason
        self.acknowledged += self._waiting.pop(self._mids.pop(mid))[1]


def _enrolled(gateway: Up, name: str) -> Publisher:
    code = json.loads(run("source", "invite", name, "--data", gateway.data, "--json").stdout)["code"]
    offer = httpx.post(f"{gateway.url}/v1/enrol/offer", json={"code": code}).json()
    source = Source(name)
    proof = source.key.sign(enrolment(name, offer["origin"], source.key.public), labels.ENROL)
    body = {
        "code": code, "algorithm": "ed25519", "public_key": base64.b64encode(source.key.public.raw).decode(),
        "proof": base64.b64encode(proof).decode(),
    }  # fmt: skip
    return Publisher(source, httpx.post(f"{gateway.url}/v1/enrol", json=body).json()["password"])


def _under_load(gateway: Up, publishers: list[Publisher], seconds: float, how: signal.Signals) -> int:
    stop = threading.Event()
    port = int(gateway.where["mqtt_port"])
    threads = [threading.Thread(target=p.send_until, args=(port, stop)) for p in publishers]
    before = sum(len(p.acknowledged) for p in publishers)
    for thread in threads:
        thread.start()
    until(lambda: sum(len(p.acknowledged) for p in publishers) > before)
    time.sleep(seconds)
    code = gateway.end(how)
    stop.set()
    for thread in threads:
        thread.join()
    return code


def _finish(gateway: Up, publishers: list[Publisher]) -> None:
    """Everything that still waits is sent once more and acknowledged."""
    for publisher in publishers:
        publisher.send_until(int(gateway.where["mqtt_port"]), threading.Event(), more=False)


def _exactly_once(data: Path, publishers: list[Publisher]) -> None:
    with closing(SiteReader.open(Folder.existing(data))) as reader:
        records = [Record.decode(entry) for entry in reader.entries.entries(0, reader.entries.size())]
    events = [r for r in records if r.kind != SEAL_KIND]
    stored = Counter((r.source, r.boot, r.seq) for r in events)
    assert max(stored.values()) == 1
    hashes = {(r.source, r.seq): r.content_hash for r in events}
    for publisher in publishers:
        source = publisher.source
        assert sorted(publisher.acknowledged) == list(range(source.seq))
        for seq, raw in source.events.items():
            assert hashes[source.name, seq] == content_hash(raw)
    assert len(events) == sum(p.source.seq for p in publishers)


def test_killed_ten_times_under_load(tmp_path: Path) -> None:
    config, rng = write_config(tmp_path), random.Random()
    gateway = Up(config)
    try:
        publishers = [_enrolled(gateway, name) for name in ("alpha", "beta")]
        for _ in range(KILLS):
            assert _under_load(gateway, publishers, rng.uniform(0.0, 0.35), signal.SIGKILL) == -signal.SIGKILL
            gateway = Up(config)  # refuses to start where log and anchor contradict each other
        assert _under_load(gateway, publishers, 0.2, signal.SIGTERM) == 0
        gateway = Up(config)
        _finish(gateway, publishers)
    finally:
        code = gateway.end()
    assert code == 0
    assert sum(p.resent for p in publishers) > 0  # it was in the middle of something
    _exactly_once(gateway.data, publishers)
    report = fsck(Folder.existing(gateway.data))
    assert report.events == sum(p.source.seq for p in publishers)
    assert report.seals == report.events // EVENTS
    assert b"Traceback" not in (tmp_path / "up.log").read_bytes()


KILLED_AT = """
import os, shutil, signal, sys
from pathlib import Path
from tests.support.site import Site

def send(root, payload, last):
    with Site(root) as site:
        seen = 0
        def count(statement):
            nonlocal seen
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
        with site.gateway.committer._writing:  # between two of its looks at the clock
            site.gateway.committer._site.db.connection.set_trace_callback(count)
        inbound = site.inbound("logger", payload)
        site.send_all([inbound])
        os.write(answered, b"%d\\n" % last)

original, payload = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
answered = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT)
for last in range(1, 200):
    root = original.with_name(f"at-{last}")
    shutil.copytree(original, root)
    child = os.fork()
    if child == 0:
        send(root, payload, last)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(last)
"""


def test_killed_at_each_statement_of_one_commit(tmp_path: Path) -> None:
    """Payloads, records, tiles, ranges and seal are one commit: all or nothing, and sent again it is there once."""
    with Site(tmp_path / "original") as site:
        source = site.enrol("logger")
        assert site.send(source, message(source.batch(254), source.seal())) is Verdict.STORED  # a bundle fills next
        site.drain()
    payload = message(source.batch(5), source.seal())
    (tmp_path / "payload").write_bytes(payload)
    command = [sys.executable, "-c", KILLED_AT, *(str(tmp_path / n) for n in ("original", "payload", "answered"))]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=root, timeout=120)
    statements = int(done.stdout)  # in the last copy nobody was killed
    assert statements > 15
    sizes = []
    for last in range(1, statements + 1):
        with Site(tmp_path / f"at-{last}") as site:
            sizes.append(len(site.records()))
            assert site.send("logger", payload) is Verdict.STORED
            site.drain()
            report = fsck(site.folder)
            assert (report.events, report.seals) == (259, 2)
    assert set(sizes) == {255, 261}
    assert sizes == sorted(sizes)
    answered = [int(line) for line in (tmp_path / "answered").read_text().split()]
    assert all(sizes[last - 1] == 261 for last in answered)
