"""Sealing and opening a file beside bare AES-256-GCM on the same chunks, and beside age with post-quantum recipients.

- file to file: each reads a file that the kernel has in memory, writes another and syncs it. Ours and the bare one run
  in this process, age is a program of its own.
- in memory: no file is touched.
- with a digest: ours, and SHA-256 of the object in a second thread, as for signed ones and for the ledger.
- recipients: what a tiny object costs for each number of them.
"""

import filecmp
import io
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers import age, bare_gcm
from bench.rounds import Settings, medians
from crypto.envelope.files import appearing
from crypto.envelope.header import finder
from crypto.envelope.objects import open_object, seal
from crypto.kem import KemPrivateKey, KemSuite

MEBIBYTES, MEGA = 256, 1e6  # with more, Linux holds writers back until the disk has caught up: that is the disk's speed
MANY = (1, 2, 4, 16, 64)
KEY = KemPrivateKey.generate(KemSuite.X_WING)
FIND = finder([KEY])
REPEATS = 30
DIGEST = "with a digest"


class _Zeros:
    """So many bytes to read."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readinto(self, buffer: memoryview, /) -> int:
        got = min(len(buffer), self._left)
        self._left -= got
        return got


class _Nowhere:
    def write(self, data: bytes | memoryview, /) -> None:
        pass


def sealed(settings: Settings) -> dict[str, Any]:
    """MB of content a second in both directions, and µs for each number of recipients."""
    size = settings.scaled(MEBIBYTES, 4) << 20
    peer = age.build(settings.folder, 1)
    found: dict[str, Any] = {} if peer else {"age": "skipped: there is no age with -pq on PATH, and Go cannot fetch it"}
    source = settings.folder / "content"
    _write(source, size)
    found["megabytes"] = round(size / MEGA)
    found |= {
        f"{way}, file to file": {"ours": [], DIGEST: [], "bare": []} | ({"age": []} if peer else {})
        for way in ("seal", "open")
    }
    for number in range(settings.rounds):
        settings.say(f"sealing and opening {size >> 20} MiB, round {number + 1} of {settings.rounds}")
        _files(settings.folder, source, size, peer, found)
    found |= {name: medians(rates) for name, rates in found.items() if isinstance(rates, dict)}
    settings.say("sealing and opening in memory")
    found |= _memory(settings, size)
    found["recipients_us"] = {str(n): round(_many_us(n)) for n in MANY}
    return found


def _write(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))


def _files(folder: Path, source: Path, size: int, peer: age.Age | None, found: dict[str, Any]) -> None:
    """One turn of each: seal, open what it sealed, and require that it is the same."""
    sides: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
        "ours": (partial(_seal, False), partial(_open, False)),
        DIGEST: (partial(_seal, True), partial(_open, True)),
        "bare": (partial(bare_gcm.file_to_file, False), partial(bare_gcm.file_to_file, True)),
    }
    if peer:
        sides["age"] = peer.seal, peer.open
    shut, again = folder / "shut", folder / "again"
    for name, (seals, opens) in sides.items():
        found["seal, file to file"][name].append(_rate(size, seals, source, shut))
        found["open, file to file"][name].append(_rate(size, opens, shut, again))
        if not filecmp.cmp(source, again, shallow=False):
            raise RuntimeError(f"{name} did not give back what it sealed")
        shut.unlink()
        again.unlink()


def _seal(digest: bool, source: Path, target: Path) -> None:
    with source.open("rb") as reader, appearing(target) as writer:
        seal(reader, writer, [KEY.public], digest=digest)


def _open(digest: bool, source: Path, target: Path) -> None:
    with source.open("rb") as reader, appearing(target) as writer:
        open_object(reader, writer, FIND, digest=digest)


def _memory(settings: Settings, size: int) -> dict[str, Any]:
    rates: dict[str, dict[str, list[float]]]
    rates = {way: {"ours": [], DIGEST: [], "bare": []} for way in ("seal", "open")}
    target = io.BytesIO()
    seal(_Zeros(size), target, [KEY.public])
    for _ in range(settings.rounds):
        for side, digest in (("ours", False), (DIGEST, True)):
            target.seek(0)
            work = partial(seal, _Zeros(size), _Nowhere(), [KEY.public], digest=digest)
            rates["seal"][side].append(_rate(size, work))
            rates["open"][side].append(_rate(size, partial(open_object, target, _Nowhere(), FIND, digest=digest)))
        rates["seal"]["bare"].append(_rate(size, bare_gcm.in_memory, size, False))
        rates["open"]["bare"].append(_rate(size, bare_gcm.in_memory, size, True))
    return {f"{way}, in memory": medians(found) for way, found in rates.items()}


def _rate(size: int, work: Callable[..., object], *args: object) -> float:
    """MB of content a second."""
    began = time.perf_counter()
    work(*args)
    return size / MEGA / (time.perf_counter() - began)


def _many_us(count: int) -> float:
    """Sealing one byte to so many recipients."""
    to = [KemPrivateKey.generate(KemSuite.X_WING).public for _ in range(count)]
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        seal(io.BytesIO(b"x"), _Nowhere(), to)
        took.append(1e6 * (time.perf_counter() - began))
    return statistics.median(took)
