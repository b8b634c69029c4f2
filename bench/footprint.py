"""What events cost: bytes on the disk, memory of the gateway under load and after it, and how far its index lags."""

import os
from typing import Any

from bench.device import PAYLOAD
from bench.front import DEEP, send
from bench.program import Gateway, running
from bench.rounds import Settings

EVENTS, SINGLE = 300_000, 100_000


def footprint(settings: Settings) -> dict[str, Any]:
    """Bytes an event over all files of the data directory after a clean stop, and resident MB."""
    many, single = settings.scaled(EVENTS, 640), settings.scaled(SINGLE, 100)
    with running(lambda: Gateway(settings.folder / "footprint")) as gateway:
        devices, started = gateway.enrol(2), gateway.memory()
        settings.say("memory and disk under load")
        before = _files(gateway)
        send(settings, gateway, devices[:1], many, 64, 1024)
        send(settings, gateway, devices[1:], single, 1, DEEP.window)
        loaded, lag = gateway.memory(), gateway.quiet()
        after = gateway.memory()
    files = {name: size - before.get(name, 0) for name, size in _files(gateway).items()}
    events = many + single
    return {
        "events": events, "payload_bytes": PAYLOAD, "bytes_an_event": round(sum(files.values()) / events, 1),
        "files": {name: round(size / events, 1) for name, size in sorted(files.items()) if size > events},
        "index_lag_s": round(lag, 1), "memory_mb": {
            "started": _mb(started["now"]), "under load": _mb(loaded["now"]), "steady": _mb(after["now"]),
            "peak": _mb(after["peak"]),
        },
    }  # fmt: skip


def _files(gateway: Gateway) -> dict[str, int]:
    """Bytes on the disk (whole blocks) of each file of the data directory."""
    found = (file for file in gateway.data.rglob("*") if file.is_file())
    return {str(file.relative_to(gateway.data)): os.stat(file).st_blocks * 512 for file in found}


def _mb(size: int) -> float:
    return round(size / 1e6, 1)
