"""Logs of 10,000 to 10 million leaves: how long a proof takes, and how long a gateway takes to be ready.

Synthetic records go through the real log in large batches; each is a well-formed leaf, and their numbers stand in the
index of ranges. They have no payloads: neither a proof nor a start reads any.
"""

import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

from bench.program import Gateway
from bench.rounds import Settings, percentiles
from chain.log.proofs import inclusion_proof
from chain.record import Authentication, Record, RecordFlag
from chain.site import Folder, SiteReader, SiteWriter
from chain.store.ranges import Range
from crypto.merkle import leaf_hash, verify_inclusion

SIZES = (10**4, 10**5, 10**6, 10**7)
TINY, MOST_TINY = 0.05, 10**4  # below this scale only the smallest log is made
CHUNK = 65_536
FIRST = 65_536  # numbers from here to 2^32 take five bytes
WARM, COLD, STARTS = 2000, 200, 5


def sizes(settings: Settings) -> dict[str, Any]:
    """For each size proofs, cold and warm, and starts."""
    folder, found, row = settings.folder / "sizes", dict[str, Any](), dict[str, Any]()
    empty = _starts(folder, settings)
    most = MOST_TINY if settings.scale < TINY else SIZES[-2] if settings.quick else SIZES[-1]
    for size in (size for size in SIZES if size <= most):
        settings.say(f"a log of {size:,} leaves")
        data = Folder.existing(folder / "data")
        appended_s = grow(data, size)
        starts = _starts(folder, settings)
        found[f"{size}"] = row = {
            "leaves": size, "append_s": round(appended_s, 2), "proof_us": _proofs(data, settings),
            "open_ms": _open_ms(data), "start_s": starts, "start_beyond_empty_s": round(starts - empty, 3),
        }  # fmt: skip
    return found | {"largest": row, "empty": {"start_s": empty}}


def grow(folder: Folder, size: int) -> float:
    """Append records until the log has `size` leaves; returns the seconds that took."""
    site, began = SiteWriter.open(folder), time.perf_counter()
    while (at := site.log.size) < size:
        count = min(CHUNK, size - at)
        with site.db.transaction() as tx:
            leaf = site.log.append(tx, _records(at, count))
            site.ranges.add(tx, "bulk", Range(at, FIRST, count, leaf))
            site.ranges.flush(tx)
    site.db.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    site.db.close()
    return time.perf_counter() - began


def _records(boot: int, count: int) -> list[bytes]:
    """Leaves that differ in their number; the rest is made once, for speed."""
    mark, now = 0xA1B2C3D4, time.time_ns() // 1000
    session, none = Authentication.SESSION, RecordFlag.NONE
    form = Record(1, "bulk", boot, mark, now, now, now, session, none, os.urandom(32), os.urandom(32)).encode()
    before, after = form.split(mark.to_bytes(4, "big"))
    return [before + number.to_bytes(4, "big") + after for number in range(FIRST, FIRST + count)]


def _proofs(folder: Folder, settings: Settings) -> dict[str, dict[str, float]]:
    """µs of building an inclusion proof: warm over one open reader, cold with a new one and no page cached."""
    dice, reader = random.Random(1), SiteReader.open(folder)  # noqa: S311 - which proofs, no secret
    size, warm, cold = reader.entries.size(), [], []
    for _ in range(settings.scaled(WARM, 100)):
        warm.append(_one(reader, dice.randrange(size), size))
    _require_true(reader, size)
    reader.close()
    for _ in range(settings.scaled(COLD, 20)):
        _forget(folder.database)
        reader = SiteReader.open(folder)
        cold.append(_one(reader, dice.randrange(size), size))
        reader.close()
    return {"warm": _rounded(warm), "cold": _rounded(cold)}


def _one(reader: SiteReader, index: int, size: int) -> float:
    began = time.perf_counter()
    inclusion_proof(reader.entries, index, size)
    return 1e6 * (time.perf_counter() - began)


def _require_true(reader: SiteReader, size: int) -> None:
    from chain.log.proofs import root_at

    index = size // 3
    proof = inclusion_proof(reader.entries, index, size)
    verify_inclusion(leaf_hash(reader.entries.entry(index)), index, size, proof, root_at(reader.entries, size))


def _open_ms(folder: Folder) -> float:
    """What a start does with the store: open it, load the log's edge, compute its root; nothing cached."""
    taken = []
    for _ in range(STARTS):
        _forget(folder.database)
        began = time.perf_counter()
        site = SiteWriter.open(folder)
        site.log.root()
        taken.append(1000 * (time.perf_counter() - began))
        site.db.close()
    return round(statistics.median(taken), 2)


def _starts(folder: Path, settings: Settings) -> float:
    """Median seconds from exec to the line that says where the gateway serves."""
    taken = []
    for _ in range(1 if settings.quick else STARTS):
        gateway = Gateway(folder)
        gateway.end()
        taken.append(gateway.start_s)
    return round(statistics.median(taken), 3)


def _forget(file: Path) -> None:
    """Have the kernel drop the file's pages."""
    for name in (file, file.with_name(file.name + "-wal")):
        if name.exists():
            descriptor = os.open(name, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _rounded(values: list[float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in percentiles(values).items()}
