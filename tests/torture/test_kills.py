"""kill −9 at random points of gateway, broker and device under load: nothing acknowledged is lost, nothing doubled.

A short run kills some a dozen times, `make torture` some two thousand. Each failure prints the seed of its draws.
"""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.support.mosquitto import MOSQUITTO, Broker, lasting
from tests.torture.moments import MOMENTS, wait, when_made
from tests.torture.publisher import sending
from tests.torture.rig import Site
from tests.torture.scale import LONG, long_only, scaled
from tests.torture.verdict import require_whole

pytestmark = pytest.mark.timeout(0 if LONG else 900)  # a machine that does much else starts a gateway in seconds
needs_mosquitto = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed (Debian package mosquitto)")


def draws() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def at_once(*series: Callable[[], None]) -> None:
    """Run all of them, each in a thread; they mostly wait."""
    with ThreadPoolExecutor(len(series)) as threads:
        for one in [threads.submit(one) for one in series]:
            one.result()


def test_the_first_start_killed_at_random_points(tmp_path: Path) -> None:
    """However far it came with keys, tables, ledger and first token, the next start makes it whole."""
    rng, died = draws(), Counter[int]()
    for number in range(scaled(2, 300)):
        with Site(tmp_path / str(number)) as site:
            site.begin()
            files = rng.randint(1, 25)  # about so many there are when it is up
            when_made(site.gateway, files, rng)
            site.kill()
            died[files] += 1
            site.start()
            publisher = site.publisher("alpha")
            with sending([publisher]):
                wait(lambda publisher=publisher: bool(publisher.acknowledged))
            assert _may_read(site)
            site.stop()
            require_whole(site.folder, [publisher], [])
    print(f"killed when there were so many files: {sorted(died)}")


KILLED_AT_FIRST_TOKEN = """
import os, signal, sys
import sealtrail

rename = os.replace
def replace(source, target):
    if str(target).endswith("first-token"):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

os.replace = replace
sealtrail.main()
"""


def test_the_first_start_killed_while_it_writes_its_token(tmp_path: Path) -> None:
    """The one moment in which a token could exist that nobody knows."""
    with Site(tmp_path) as site:
        command = [sys.executable, "-c", KILLED_AT_FIRST_TOKEN, "up", "--config", str(site.config)]
        assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
        site.start()
        assert _may_read(site)
        site.stop()


def _may_read(site: Site) -> bool:
    headers = {"Authorization": f"Bearer {site.gateway.token}"}
    return httpx.get(f"{site.gateway.url}/v1/records", headers=headers).status_code == 200


def test_the_gateway_killed_at_random_points(tmp_path: Path) -> None:
    """Three gateways at once, in a short run one."""
    names = ("one", "two", "three") if LONG else ("one",)
    at_once(*(partial(_gateway_series, tmp_path / name, scaled(5, 334)) for name in names))


def _gateway_series(root: Path, kills: int) -> None:
    rng, died = draws(), Counter[str]()
    with Site(root) as site:
        site.start()
        publishers = [site.publisher(name) for name in ("alpha", "beta")]
        with sending(publishers):
            for _ in range(kills):
                moment = rng.choice(MOMENTS)
                moment(site.gateway, publishers, rng)
                code = site.kill()
                assert code in (-signal.SIGKILL, 0), site.gateway.log.read_text()[-4000:]
                died[moment.__name__ if code else "stopped before the kill"] += 1
                site.begin()  # refuses to start where log and anchor contradict each other
            site.gateway.ready()
        site.stop()
        assert sum(p.resent for p in publishers) > 0  # it was in the middle of something
        print(f"{kills} kills: {dict(died)}\n{require_whole(site.folder, publishers, [])}")
        if LONG:
            with Site(root / "new") as new:
                _show_starts(site, new)


def _show_starts(grown: Site, fresh: Site) -> None:
    """In turns, for the reader: a test of time would be a test of the machine, and test_start.py counts instead."""
    seconds: dict[Site, list[float]] = {fresh: [], grown: []}
    for _ in range(7):
        for site, found in seconds.items():
            site.start()
            found.append(site.gateway.start_s)
            site.kill()
    new, old = map(median, seconds.values())
    print(f"seconds to start, median of 7: {new:.2f} with a new log, {old:.2f} with this one")


@needs_mosquitto
def test_broker_and_device_killed_at_random_points(tmp_path: Path) -> None:
    """Each at a gateway of its own."""
    at_once(partial(_broker_series, tmp_path / "broker"), partial(_device_series, tmp_path / "device"))


def _broker_series(root: Path) -> None:
    """A broker's PUBACK promises nothing: what it loses is sent again until the gateway's own receipt comes."""
    rng = draws()
    with Broker(root, lasting(root)) as broker, Site(root, broker) as site:
        site.start()
        device = site.device("behind-broker", broker.port)
        device.run()
        for _ in range(scaled(2, 200)):
            time.sleep(rng.uniform(0.0, 2.5))
            broker.kill()
            time.sleep(rng.uniform(0.0, 0.3))
            broker.start()
        device.finish()
        site.stop()
        assert "disconnected from the broker" in site.gateway.log.read_text()
        print(require_whole(site.folder, [], [device]))


def _device_series(root: Path) -> None:
    """What its process wrote before it died comes into the log, with its numbers, once."""
    rng = draws()
    with Site(root) as site:
        site.start()
        device = site.device("logger")
        for _ in range(scaled(6, 400)):
            rng.choice((device.run, device.send))()
            time.sleep(rng.uniform(0.0, 1.2))
            device.kill()
        device.run()
        wait(lambda: bool(device.buffered()))
        device.kill()
        assert device.kept  # it was in the middle of something
        device.finish()
        site.stop()
        print(require_whole(site.folder, [], [device]))


@long_only
@needs_mosquitto
def test_all_killed_at_once_at_random_points(tmp_path: Path) -> None:
    """Gateway, broker and two devices die in one moment and come back in any order."""
    rng = draws()
    with Broker(tmp_path, lasting(tmp_path)) as broker, Site(tmp_path, broker) as site:
        site.start()
        devices = [site.device("at-the-front"), site.device("behind-broker", broker.port)]
        for device in devices:
            device.run()
        for _ in range(scaled(2, 200)):
            time.sleep(rng.uniform(0.0, 3.5))
            for victim in (site.gateway, broker, *devices):
                victim.process.kill()
            for reap in (site.kill, broker.kill, *(device.kill for device in devices)):
                reap()
            for start in rng.sample((site.begin, broker.start, *(device.run for device in devices)), 4):
                start()
        for device in devices:
            device.finish()
        site.stop()
        print(require_whole(site.folder, [], devices))
