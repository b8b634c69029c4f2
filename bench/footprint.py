"""What events cost: bytes on the disk, memory of the gateway under load and after it, and how far its index lags."""

import os
from collections.abc import Callable
from typing import Any

from bench.device import PAYLOAD, payload_of, random_payload
from bench.front import DEEP, send
from bench.program import Gateway, running
from bench.rounds import Settings

EVENTS, SINGLE, RANDOM = 300_000, 100_000, 50_000


def footprint(settings: Settings) -> dict[str, Any]:
    """Bytes an event over all files of the data directory after a clean stop, and resident MB. Events of a device are
    much alike, and segments are compressed; so also what events take whose text is random."""
    settings.say("memory and disk under load")
    found, events = _measured(settings, "footprint", payload_of, EVENTS, SINGLE)
    settings.say("disk, events with nothing in common")
    other, _ = _measured(settings, "random", random_payload, RANDOM, 0)
    return {"events": events, "payload_bytes": PAYLOAD} | found | {"random_bytes_an_event": other["bytes_an_event"]}


def _measured(
    settings: Settings, name: str, payload: Callable[[int], bytes], many: int, single: int
) -> tuple[dict[str, Any], int]:
    """Figures, and the number of events: `many` in messages of 64, and `single` ones."""
    events = 0
    with running(lambda: Gateway(settings.folder / name)) as gateway:
        devices, started = gateway.enrol(2), gateway.memory()
        before = _files(gateway)
        for device, count, each, window in ((devices[0], many, 64, 1024), (devices[1], single, 1, DEEP.window)):
            if count:
                share = settings.scaled(count, 640)
                send(settings, gateway, [device], share, each, window, payload=payload)
                events += share
        loaded, lag = gateway.memory(), gateway.quiet()
        after = gateway.memory()
    files = {name: size - before.get(name, 0) for name, size in _files(gateway).items()}
    return {
        "bytes_an_event": round(sum(files.values()) / events, 1),
        "files": {name: round(size / events, 1) for name, size in sorted(files.items()) if size > events},
        "index_lag_s": round(lag, 1), "memory_mb": {
            "started": _mb(started["now"]), "under load": _mb(loaded["now"]), "steady": _mb(after["now"]),
            "peak": _mb(after["peak"]),
        },
    }, events  # fmt: skip


def _files(gateway: Gateway) -> dict[str, int]:
    """Bytes on the disk (whole blocks) of each file of the data directory."""
    found = (file for file in gateway.data.rglob("*") if file.is_file())
    return {str(file.relative_to(gateway.data)): os.stat(file).st_blocks * 512 for file in found}


def _mb(size: int) -> float:
    return round(size / 1e6, 1)
