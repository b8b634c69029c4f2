"""Hours at half of full speed: memory, descriptors, threads and disk for each event stay what they were.

The load comes from another process through the real front door; meanwhile pages of records are read as an auditor
does. A short run is too short to judge memory: there it is measured and shown only.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from chain.ledger.store import FILE
from chain.site import SiteReader
from chain.store.database import Database
from tests.torture.rig import Site
from tests.torture.scale import LONG, long_only, scaled
from tests.torture.soak_writer import EVENTS

MIB = 2**20
NAME = "soaker"
SECONDS = scaled(8, 3600)
SAMPLES = scaled(24, 120)
PREPARED = scaled(400, 4000)  # messages for measuring full speed
WARM_UP = 0.3  # of the samples; meanwhile SQLite's caches fill, 16 MiB a connection, the ledger's within 30 minutes


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds since the first one, entries of the log; then of the gateway's process and of its data, in bytes."""

    at: float
    entries: int
    resident: int
    anonymous: int
    descriptors: int
    threads: int
    log: int  # site.db and the ledger
    waiting: int  # write-ahead logs
    index: int


Part = Sequence[Sample]
Of = Callable[[Sample], int]


@long_only
def test_nothing_grows_but_the_log(tmp_path: Path) -> None:
    with Site(tmp_path, extra="[log]\n") as site:
        site.start()
        with _writer(site) as speed:
            samples = _samples(site)
        _show(speed, samples)
        warm = samples[int(len(samples) * WARM_UP) :]
        _require_flat(warm)
        site.stop()
    shutil.rmtree(site.data)  # gigabytes


@contextmanager
def _writer(site: Site) -> Iterator[int]:
    """The writer at half speed during the block; gives its full speed in events a second."""
    command = [sys.executable, "-m", "tests.torture.soak_writer", "--url", site.gateway.url, "--code", site.code(NAME)]
    command += ["--name", NAME, "--origin", site.folder.origin]
    command += ["--port", str(site.port), "--prepared", str(PREPARED)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield json.loads(process.stdout.readline())["events_per_second"]
            process.stdin.close()
            made = json.loads(process.stdout.readline())["events"]
            assert _stored(site) == made  # each was acknowledged
            assert process.wait(60) == 0
        finally:
            process.kill()


def _samples(site: Site) -> list[Sample]:
    started, found = time.monotonic(), list[Sample]()
    for number in range(SAMPLES + 1):
        time.sleep(max(0.0, started + number * SECONDS / SAMPLES - time.monotonic()))
        found.append(_sample(site, time.monotonic() - started))
        _read_as_an_auditor(site)
    return found


def _sample(site: Site, at: float) -> Sample:
    process = Path(f"/proc/{site.gateway.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    with closing(SiteReader.open(site.folder)) as reader, reader.db.snapshot():
        entries, log = reader.entries.size(), _bytes(reader.db)
    log += _bytes_of(site.folder.ledger / FILE)
    return Sample(
        at, entries, _kilobytes(status["VmRSS"]), _kilobytes(status["RssAnon"]),
        len(list((process / "fd").iterdir())), int(status["Threads"]), log,
        sum(file.stat().st_size for file in site.data.rglob("*.db-wal")), _bytes_of(site.folder.index),
    )  # fmt: skip


def _bytes_of(path: Path) -> int:
    with closing(Database(path, readonly=True)) as db:
        return _bytes(db)


def _bytes(db: Database) -> int:
    """The file's size once everything is in it that still stands in the write-ahead log."""
    pages, size = (db.connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    return int(pages * size)


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _read_as_an_auditor(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.gateway.token}"}
    for page in ("/readyz", "/log/checkpoint", "/v1/records?limit=50", "/metrics"):
        assert httpx.get(site.gateway.url + page, headers=headers, timeout=60).status_code == 200, page


def _stored(site: Site) -> int:
    with closing(SiteReader.open(site.folder)) as reader:
        return reader.ranges.total()


def _show(speed: int, samples: Part) -> None:
    print(f"full speed {speed:,} events a second; then half of it, in messages of {EVENTS}")
    print("      s      entries  RSS MiB  anon MiB   fds  threads  log B/entry  index B/entry  WAL MiB")
    for s in samples[:: max(1, len(samples) // 30)]:
        print(
            f"{s.at:7.1f} {s.entries:12,} {s.resident / MIB:8.1f} {s.anonymous / MIB:9.1f} {s.descriptors:5}"
            f" {s.threads:8}"
            f" {s.log / max(1, s.entries):12.1f} {s.index / max(1, s.entries):14.1f} {s.waiting / MIB:8.1f}"
        )


def _require_flat(samples: Part) -> None:
    """The last third is not above the first one but by what moves to and fro."""
    first, last = samples[: len(samples) // 3], samples[-len(samples) // 3 :]
    assert last[-1].entries > first[0].entries
    _require_no_rise("descriptors", first, last, lambda s: s.descriptors, factor=1.0, allowed=8)
    _require_no_rise("threads", first, last, lambda s: s.threads, factor=1.0, allowed=4)
    assert _for_each_entry(last) <= 1.1 * _for_each_entry(first)
    if LONG:
        _require_no_rise("memory", first, last, lambda s: s.resident, factor=1.05, allowed=16 * MIB)
        _require_no_rise("own memory", first, last, lambda s: s.anonymous, factor=1.05, allowed=16 * MIB)
        _require_no_rise("write-ahead logs", first, last, lambda s: s.waiting, factor=1.5, allowed=16 * MIB)


def _require_no_rise(what: str, first: Part, last: Part, of: Of, *, factor: float, allowed: int) -> None:
    before, after = median(map(of, first)), median(map(of, last))
    assert after <= factor * before + allowed, f"{what}: {before:,.0f} in the first third, {after:,.0f} in the last"


def _for_each_entry(samples: Part) -> float:
    """Bytes of disk that an entry took in this stretch."""
    first, last = samples[0], samples[-1]
    return (last.log - first.log) / (last.entries - first.entries)
