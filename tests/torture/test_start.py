"""A start takes as long after a year as on the first day: what is read grows with the logarithm of the log, and who
waits with a backlog waits until the gateway is up, never the other way round."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chain.site import Folder, SiteReader
from gateway.config import load_config
from gateway.server import running
from tests.e2e.programs import until, write_config
from tests.support.mosquitto import MOSQUITTO, Broker, lasting
from tests.support.site import Site as InProcess
from tests.support.source import Source, message
from tests.torture.publisher import sending
from tests.torture.rig import Site
from tests.torture.scale import long_only, scaled
from tests.torture.verdict import require_whole

EVENTS = 4  # of a message
# Batches with an anchor behind each, and messages of a batch. The open bundle of a log has a row an append, 255 at
# most: both ledgers have as many in theirs, and the large one a full bundle besides.
SMALL, LARGE = (5, 20), (5 + 256, 8)


class Steps:
    """Counts the steps of SQLite's machine on every connection that is opened from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect

        def counted(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*args, **options)
            connection.set_progress_handler(self._step, 1)
            return connection

        monkeypatch.setattr(sqlite3, "connect", counted)

    def _step(self) -> int:
        self.count += 1
        return 0


def _grow(root: Path, batches: int, messages: int) -> Path:
    """A site that was used and stopped; its configuration."""
    config = write_config(root)
    with InProcess(root / "data", origin="plant.example/line-1") as site:
        source: Source = site.enrol("logger")
        for _ in range(batches):
            made = [message(source.batch(EVENTS), source.seal()) for _ in range(messages)]
            site.send_all([site.inbound(source, one) for one in made])
            site.drain()
    return config


async def _start(config: Path, steps: Steps) -> int:
    """Steps until the gateway is up."""
    before = steps.count
    async with running(load_config(config)):
        return steps.count - before


def test_what_a_start_reads_grows_with_the_logarithm_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    for root, (batches, messages) in ((small, SMALL), (large, LARGE)):
        root.mkdir()
        _grow(root, batches, messages)
    steps = Steps(monkeypatch)
    few, many = (asyncio.run(_start(root / "gateway.toml", steps)) for root in (small, large))
    print(f"steps of SQLite at a start: {few:,}, and {many:,} with 20 times the events and 50 times the anchors")
    assert few > 100
    assert many < few + few // 2  # one step a message, seal or anchor would more than double it


@long_only
@pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed (Debian package mosquitto)")
def test_a_backlog_waits_for_the_gateway_and_not_the_gateway_for_it(tmp_path: Path) -> None:
    """On a full disk nothing of a backlog can be stored: the gateway is up all the same. With room it takes all."""
    with Broker(tmp_path, lasting(tmp_path)) as broker, Site(tmp_path, broker) as site:
        site.start()
        front, behind = site.publisher("at-the-front"), site.publisher("behind-broker", broker.port)
        until(lambda: httpx.get(f"{site.gateway.url}/readyz").status_code == 200)  # the broker knows our topics
        site.stop()
        with sending([behind]):
            until(lambda: len(behind.acknowledged) >= scaled(500, 50_000), 300)
        with sending([front]):
            with full_disk(site.config):
                site.start()
                assert _events(site.folder) == 0
                print(f"up after {site.gateway.start_s:.2f} s with {behind.source.seq:,} events at the broker")
                site.stop()
            site.start()
            until(lambda: _events(site.folder) > behind.source.seq, 300)
        until(lambda: _events(site.folder) == front.source.seq + behind.source.seq, 300)
        site.stop()
        print(require_whole(site.folder, [front, behind], []))


@contextmanager
def full_disk(config: Path) -> Iterator[None]:
    """A gateway that is started within the block must leave more room than any disk has."""
    text = config.read_text()
    config.write_text(text.replace("reserve_bytes = 0", f"reserve_bytes = {2**60}"))
    yield
    config.write_text(text)


def _events(folder: Folder) -> int:
    with closing(SiteReader.open(folder)) as reader:
        return reader.ranges.total()
