"""What a figure was measured on: cores, processor, Python, and what it costs to make a write durable here."""

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

SYNCS = 200


def describe(folder: Path) -> dict[str, Any]:
    """The machine, and the median of fdatasync after an append of 4 KiB in `folder`."""
    return {
        "cores": len(os.sched_getaffinity(0)), "cpu": _cpu(), "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}", "fdatasync_us": round(_fdatasync_us(folder), 1),
    }  # fmt: skip


def sentence(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cores']} cores ({machine['cpu']}), Python {machine['python']}, {machine['system']},"
        f" fdatasync after an append of 4 KiB: {machine['fdatasync_us']:,.0f} µs"
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _fdatasync_us(folder: Path) -> float:
    name, taken = folder / "fdatasync", []
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in range(SYNCS):
        os.write(file, bytes(4096))
        began = time.perf_counter()
        os.fdatasync(file)
        taken.append(time.perf_counter() - began)
    os.close(file)
    name.unlink()
    return 1e6 * statistics.median(taken)
