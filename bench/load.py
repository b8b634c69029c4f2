"""The load generator: prepared packets go to bench/load.c, which is compiled where there is a C compiler.

A generator must not be the limit of what it measures: with many messages a write the C program takes well under
1 µs a message. Without a C compiler bench/load_in_python.py does the same, slower.
"""

import array
import json
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("load.c")
LIMIT_S = 120.0  # of any one run


class LoadError(Exception):
    """The generator ended with an error, or did not end."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A connection: what it says first, how many packets answer that, and the PUBLISH packets that it sends."""

    hello: bytes
    answers: int
    packets: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A payload that the server published to a lane, and when it came (s of time.monotonic)."""

    lane: int
    at: float
    payload: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """What a run was: s of time.monotonic at the first byte and at the last PUBACK, the generator's own processor
    time, for each lane the times at which its messages were sent and acknowledged, and the receipts."""

    started: float
    acked: float
    cpu_s: float
    sent: list[list[float]]
    answered: list[list[float]]
    receipts: list[Receipt]

    @property
    def seconds(self) -> float:
        return self.acked - self.started

    def puback_ms(self) -> list[float]:
        """Sorted ms from message to PUBACK over all lanes."""
        pairs = [zip(s, a, strict=True) for s, a in zip(self.sent, self.answered, strict=True)]
        return sorted(1000 * (acked - sent) for lane in pairs for sent, acked in lane)


def command(folder: Path) -> list[str]:
    """The generator's command line; compiles it into `folder` on first use."""
    program = folder / "load"
    compiler = shutil.which("cc")
    if compiler is None:
        return [sys.executable, "-m", "bench.load_in_python"]
    if not program.exists():
        subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True, timeout=60)
    return [str(program)]


def generator() -> str:
    """Which one is used, for the results."""
    return "C" if shutil.which("cc") else "Python: there is no cc, so the generator may be the limit"


class Load:
    """One run of the generator; use `with`. `acked` waits for the last PUBACK, `end` collects everything."""

    def __init__(self, folder: Path, port: int, lanes: Sequence[Lane], window: int, rate: float = 0.0) -> None:
        """`folder` for its files; `window` messages unacknowledged a lane; `rate` in messages a second, 0: no pace."""
        self._counts = [len(lane.packets) for lane in lanes]
        self._files = [folder / name for name in ("packets", "times", "receipts")]
        _write(self._files[0], lanes)
        call = [*command(folder), "127.0.0.1", str(port), *map(str, self._files), str(window), str(rate)]
        self._process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._said: dict[str, Any] = {}
        self._watchdog = threading.Timer(LIMIT_S, self._process.kill)
        self._watchdog.start()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.cancel()
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        for file in self._files:
            file.unlink(missing_ok=True)

    def acked(self) -> None:
        """Wait until everything is acknowledged."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadError(self._process.communicate()[1].decode() or "the load generator ended without a word")
        self._said = json.loads(line)

    def end(self) -> Told:
        """Stop collecting receipts and tell."""
        if not self._said:
            self.acked()
        errors = self._process.communicate()[1]
        if self._process.returncode:
            raise LoadError(errors.decode())
        numbers = array.array("q")
        numbers.frombytes(self._files[1].read_bytes())
        sent, answered, at = [], [], 0
        for count in self._counts:
            own = numbers[2 * at : 2 * (at + count)]
            sent.append([t / 1e9 for t in own[::2]])
            answered.append([t / 1e9 for t in own[1::2]])
            at += count
        said = self._said
        return Told(said["started"], said["acked"], said["cpu_s"], sent, answered, _receipts(self._files[2]))


def run(folder: Path, port: int, lanes: Sequence[Lane], window: int, rate: float = 0.0) -> Told:
    """From the first byte to the last PUBACK."""
    with Load(folder, port, lanes, window, rate) as load:
        return load.end()


def _write(file: Path, lanes: Sequence[Lane]) -> None:
    with file.open("wb") as out:
        out.write(struct.pack("<I", len(lanes)))
        for lane in lanes:
            out.write(struct.pack("<I", len(lane.hello)) + lane.hello)
            out.write(struct.pack("<II", lane.answers, len(lane.packets)))
            out.write(array.array("I", map(len, lane.packets)).tobytes())
            out.writelines(lane.packets)


def _receipts(file: Path) -> list[Receipt]:
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):
        lane, time_ns, size = struct.unpack_from("<IqI", data, at)
        at += 16
        found.append(Receipt(lane, time_ns / 1e9, data[at : at + size]))
        at += size
    return found
