"""Runs the parts of the benchmark, each with a folder of its own, and puts their results together.

A part that fails says so in the results and costs no other part.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from bench import machine
from bench.alarms import alarms
from bench.append import append
from bench.epcis import epcis
from bench.footprint import footprint
from bench.front import front
from bench.latency import latency
from bench.load import generator
from bench.receipts import receipts
from bench.rounds import Settings
from bench.sealed import sealed
from bench.sessions import sessions
from bench.side import side
from bench.signed import signed
from bench.sizes import sizes
from bench.station import station
from bench.targets import judged
from bench.traces import traces

VERSION = 1
PARTS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "front": front, "side": side, "signed": signed, "append": append, "sizes": sizes, "receipts": receipts,
    "latency": latency, "alarms": alarms, "footprint": footprint, "sealed": sealed, "sessions": sessions,
    "station": station, "trace": traces, "epcis": epcis,
}  # fmt: skip
QUICK_SCALE, ROUNDS = 0.1, 3


def measure(
    names: Sequence[str], folder: Path, rounds: int, scale: float, *, quick: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """The results as one document: the machine, each part, how long each took, and the targets."""
    parts, seconds = dict[str, Any](), dict[str, float]()
    with tempfile.TemporaryDirectory(prefix="sealtrail-bench-", dir=folder) as home, _ended_in_order():
        about = machine.describe(Path(home))
        settings = Settings(Path(home), rounds, scale, quick, say)
        for name in names:
            began = time.monotonic()
            parts[name] = _part(name, settings)
            seconds[name] = round(time.monotonic() - began, 1)
    return {
        "version": VERSION, "machine": about, "generator": generator(), "quick": quick, "rounds": rounds,
        "scale": scale, "parts": parts, "seconds": seconds, "targets": judged(parts),
    }  # fmt: skip


def _part(name: str, settings: Settings) -> dict[str, Any]:
    own = settings.folder / name
    own.mkdir()
    try:
        return PARTS[name](replace(settings, folder=own))
    except Exception as e:  # the outermost boundary of a part
        settings.say(f"{name} failed: {e!r}")
        return {"failed": f"{e!r:.500}"}
    finally:
        shutil.rmtree(own, ignore_errors=True)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM ends the programs that were started, and takes their folders away."""

    def stop(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def real_disk() -> Path:
    """The usual place of temporary files, or this folder where that place is in memory."""
    usual = Path(tempfile.gettempdir()).resolve()
    return Path.cwd() if _in_memory(usual) else usual


def _in_memory(folder: Path) -> bool:
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False
    above = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    return bool(above) and max(above, key=lambda mount: len(mount[0]))[1] in ("tmpfs", "ramfs")
