"""Processes of a benchmark: the gateway as `sealtrail up`, and peers. Loopback, free ports, ended by their number."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench.device import Device, enrol
from chain.site import Folder, SiteReader
from crypto.checkpoint import Checkpoint
from crypto.note import parse_note
from gateway.access import Access, SourceSettings

ORIGIN = "bench.example/site"
END_S, QUIET_S, LINE_S = 60.0, 90.0, 120.0
TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    """A process that prints one line of JSON when it is ready."""

    def __init__(self, module: str, *args: str | Path, log: Path) -> None:
        self._log, began = log.open("ab"), time.monotonic()
        call = [sys.executable, "-m", module, *map(str, args)]
        self.process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=self._log, text=True)
        line = self.line()
        self.start_s = time.monotonic() - began
        if not line:
            raise RuntimeError(f"{module} did not start: {log.read_text()[-2000:]}")
        self.said: dict[str, Any] = json.loads(line)

    def line(self) -> str:
        """The next line that it prints; empty at its end, which comes after two minutes of silence."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(LINE_S, self.process.kill)
        watchdog.start()
        try:
            return self.process.stdout.readline()
        finally:
            watchdog.cancel()

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_s(self) -> float:
        """Processor time so far, children included."""
        total = 0.0
        for pid in [self.pid, *_children(self.pid)]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            total += (int(fields[11]) + int(fields[12])) / TICKS
        return total

    def memory(self) -> dict[str, int]:
        """Resident bytes now and at most so far, children included."""
        found = {"VmRSS": 0, "VmHWM": 0}
        for pid in [self.pid, *_children(self.pid)]:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                name = line.partition(":")[0]
                if name in found:
                    found[name] += int(line.split()[1]) * 1024
        return {"now": found["VmRSS"], "peak": found["VmHWM"]}

    def quiet(self) -> float:
        """Wait until it takes less than a tenth of a core, at most 90 s; returns how long that took."""
        began, before = time.monotonic(), self.cpu_s()
        while time.monotonic() - began < QUIET_S:
            time.sleep(0.3)
            now = self.cpu_s()
            if now - before < 0.03:
                break
            before = now
        return time.monotonic() - began

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


class Gateway(Program):
    """`sealtrail up` on a data directory of its own."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.data, config = folder / "data", folder / "gateway.toml"
        config.write_text(
            f'origin = "{ORIGIN}"\ndata = "{self.data}"\n[front_door]\nport = 0\n[api]\nport = 0\n'
            f"[storage]\nreserve_bytes = 0\n{extra}"
        )
        super().__init__("sealtrail", "up", "--config", config, "--json", log=folder / "gateway.log")
        self.port = int(self.said["mqtt_port"])
        self._enrolled = 0

    def enrol(self, count: int) -> list[Device]:
        """New devices of this gateway."""
        first, self._enrolled = self._enrolled, self._enrolled + count
        access = Access(Folder.existing(self.data))
        codes = [access.invite(f"logger-{first + n}", SourceSettings()) for n in range(count)]
        access.close()
        return enrol(self.said["url"], codes, ORIGIN)

    def log_size(self) -> int:
        """Leaves that are durable."""
        with closing(SiteReader.open(Folder.existing(self.data))) as reader:
            return reader.entries.size()

    def anchored_size(self) -> int:
        """Leaves under the newest checkpoint that the ledger holds."""
        with closing(SiteReader.open(Folder.existing(self.data))) as reader:
            found = reader.checkpoints.latest_anchored()
        return Checkpoint.parse(parse_note(found[0]).text).size if found else 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, file.read_text().split())
        except OSError:
            continue
    return found + [deeper for child in found for deeper in _children(child)]


@contextmanager
def running(start: Callable[[], Any]) -> Iterator[Any]:
    """What `start` started, ended with the block."""
    program = start()
    try:
        yield program
    finally:
        program.end()
