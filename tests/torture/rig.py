"""What is killed: a gateway on ports that stay the same, a broker that keeps its state on disk, a device process.

Everything listens on loopback, on ports that no outgoing connection takes while nobody listens there.
"""

import json
import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Self

import httpx
import msgspec

from chain.site import Folder
from chain.store.database import Database
from crypto.keys import Algorithm
from gateway.access import Access, SourceSettings
from gateway.device.device import DeviceStatus, status_of
from gateway.device.enrolment import enrol, enrolment_request
from gateway.device.identity import BUFFER_FILE
from tests.e2e.programs import PROGRAM, Up, run, write_config
from tests.support.mosquitto import Broker, quiet_port
from tests.support.source import Source
from tests.torture.publisher import Publisher

DEADLINE_S = 120.0
LINES = 20_000
LINE_BYTES = 64  # a line of a device's input; what it reads at once ends with a whole line


class Site:
    """A gateway's configuration and data, with a front door where devices find it again, and perhaps a side door.
    At its end nothing that was started here runs any more."""

    def __init__(self, root: Path, broker: Broker | None = None, extra: str = "") -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.data, self.port = root, root / "data", quiet_port()
        extra += f"[front_door]\nport = {self.port}\n"
        if broker is not None:
            extra += f'[side_door]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        self.config = write_config(root, extra)
        self._devices: list[DeviceProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for device in self._devices:
            device.close()
        self.gateway.end(signal.SIGKILL)

    def begin(self) -> None:
        """Start the gateway and do not wait until it is up."""
        self.gateway = Up(self.config, wait=False)

    def start(self) -> None:
        self.begin()
        self.gateway.ready()

    def kill(self) -> int:
        return self.gateway.end(signal.SIGKILL)

    def stop(self) -> None:
        code = self.gateway.end()
        log = self.gateway.log.read_text()
        assert code == 0, log[-4000:]
        assert "Traceback" not in log

    def publisher(self, name: str, port: int = 0) -> Publisher:
        """A publisher whose source is enrolled; it sends to the front door, or to a broker's port."""
        source = Source(name)
        body = enrolment_request(self.code(name), name, self.folder.origin, source.key)
        answer = httpx.post(f"{self.gateway.url}/v1/enrol", json=body).raise_for_status()
        return Publisher(source, answer.json()["password"], port or self.port)

    def device(self, name: str, port: int = 0) -> "DeviceProcess":
        """A device that is enrolled; it sends to the front door, or to a broker's port."""
        folder = self.root / name
        enrol(self.gateway.url, self.code(name), folder, Algorithm.ED25519)
        if port:
            path = folder / "device.json"
            profile = json.loads(path.read_text())
            profile["mqtt"] |= {"port": port}
            path.write_bytes(msgspec.json.encode(profile))
        self._devices.append(DeviceProcess(folder))
        return self._devices[-1]

    @property
    def folder(self) -> Folder:
        return Folder.existing(self.data)

    def code(self, name: str) -> str:
        with closing(Access(self.folder)) as access:
            return access.invite(name, SourceSettings())


class DeviceProcess:
    """`sealtrail device run` or `device send` in one folder, again and again. What a killed one left in its buffer
    is remembered in `kept`: number and content hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[tuple[int, int], bytes] = {}
        self._lines = folder.with_suffix(".lines")
        self._few = folder.with_suffix(".few")
        self._lines.write_bytes(b"".join(map(_line, range(LINES))))
        self._few.write_bytes(b"".join(map(_line, range(200))))
        self._input = self._lines.open("rb")  # each process goes on reading where the one before stopped
        self._errors = folder.with_suffix(".log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, rate: int = 400) -> None:
        """Read lines as from a pipe, and stay when there are no more."""
        if os.lseek(self._input.fileno(), 0, os.SEEK_CUR) >= LINES * LINE_BYTES:
            self._input.seek(0)
        self._start("run", "--rate", str(rate), "--forever")

    def send(self) -> None:
        """Record a file of 200 lines at once and send it."""
        self._start("send", str(self._few))

    def _start(self, command: str, *options: str) -> None:
        line = [*PROGRAM, "device", command, "--folder", str(self.folder), "--kind", "reading", *options]
        line += ["--seal-events", "16"]
        self.process = subprocess.Popen(line, stdin=self._input, stdout=subprocess.DEVNULL, stderr=self._errors)

    def kill(self) -> None:
        """End what runs, and look at what it leaves."""
        if self.process is not None:
            self.process.kill()
            assert self.process.wait(10) in (0, -signal.SIGKILL), "a device ended by itself; see its log"
        self.kept |= self.buffered()

    def buffered(self) -> dict[tuple[int, int], bytes]:
        """What waits in its buffer at this moment."""
        with closing(Database(self.folder / BUFFER_FILE, readonly=True)) as db:
            rows = db.connection.execute("SELECT boot, seq, hash FROM event").fetchall()
        return {(boot, seq): found for boot, seq, found in rows}

    def status(self) -> DeviceStatus:
        return status_of(self.folder)

    def finish(self) -> None:
        """End what runs; one more start sends everything, and its exit code says that all of it is acknowledged."""
        self.kill()
        one = self.folder.with_suffix(".one")
        one.write_bytes(_line(0))
        drain = ("--drain", str(DEADLINE_S))
        run("device", "send", "--folder", self.folder, "--kind", "reading", *drain, one, timeout=2 * DEADLINE_S)

    def close(self) -> None:
        self.kill()
        self._input.close()
        self._errors.close()


def _line(number: int) -> bytes:
    payload = json.dumps([{"n": "urn:dev:ops:cold-1:t", "u": "Cel", "v": number % 20 / 4}]).encode()
    return payload.ljust(LINE_BYTES - 1) + b"\n"
