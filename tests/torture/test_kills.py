"""kill −9 at random points of gateway, broker and device under load: nothing acknowledged is lost, nothing doubled.

A short run kills some seventy times, `make torture` some thousand. Each failure prints the seed of its draws.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.programs import Up
from tests.torture.moments import MOMENTS
from tests.torture.publisher import Publisher
from tests.torture.rig import MOSQUITTO, Broker, DeviceProcess, Site
from tests.torture.scale import scaled
from tests.torture.verdict import require_whole

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (Debian package mosquitto)")


@contextmanager
def sending(publishers: Sequence[Publisher]) -> Iterator[None]:
    """Publishers at work during the block; at its end everything that they made is acknowledged."""
    with ThreadPoolExecutor(len(publishers)) as threads:
        working = [threads.submit(publisher.run) for publisher in publishers]
        try:
            yield
        finally:
            for publisher in publishers:
                publisher.end()
        for work in working:
            work.result()


def draws() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_the_gateway_killed_at_random_points(tmp_path: Path) -> None:
    """Two gateways at once, each killed half as often."""
    kills = scaled(50, 1000)
    with ThreadPoolExecutor(2) as both:
        series = [both.submit(_gateway_series, tmp_path / name, kills // 2) for name in ("one", "two")]
        for one in series:
            one.result()


def _gateway_series(root: Path, kills: int) -> None:
    site, rng, died = Site(root), draws(), Counter[str]()
    gateway = site.up()
    publishers = [site.publisher(gateway, name) for name in ("alpha", "beta")]
    try:
        with sending(publishers):
            for _ in range(kills):
                moment = rng.choice(MOMENTS)
                moment(gateway, publishers, rng)
                code = gateway.end(signal.SIGKILL)
                assert code in (-signal.SIGKILL, 0), site.config.with_name("up.log").read_text()[-4000:]
                died[moment.__name__ if code else "stopped before the kill"] += 1
                gateway = site.up(wait=False)  # refuses to start where log and anchor contradict each other
    finally:
        code = gateway.end()
    assert code == 0
    assert sum(p.resent for p in publishers) > 0  # it was in the middle of something
    _report(root, require_whole(site.folder, publishers, []), died)


@needs_mosquitto
def test_the_broker_killed_at_random_points(tmp_path: Path) -> None:
    """Its PUBACK promises nothing: what it loses the device sends again until the gateway's own receipt comes."""
    broker = Broker(tmp_path)
    broker.start()
    site, rng = Site(tmp_path, broker), draws()
    gateway = site.up()
    device = site.device(gateway, "behind-broker", broker)
    device.run()
    try:
        for _ in range(scaled(4, 200)):
            time.sleep(rng.uniform(0.0, 2.5))
            broker.end(signal.SIGKILL)
            time.sleep(rng.uniform(0.0, 0.3))
            broker.start()
        device.kill()
        device.finish()
    finally:
        device.kill()
        assert gateway.end() == 0
        broker.end()
    _report(tmp_path, require_whole(site.folder, [], [device]), Counter(broker=scaled(4, 200)))


def test_the_device_killed_at_random_points(tmp_path: Path) -> None:
    site, rng = Site(tmp_path), draws()
    gateway = site.up()
    device = site.device(gateway, "logger")
    try:
        for _ in range(scaled(10, 500)):
            rng.choice((device.run, device.send))()
            time.sleep(rng.uniform(0.0, 1.5))
            device.kill()
        device.finish()
    finally:
        device.kill()
        assert gateway.end() == 0
    _report(tmp_path, require_whole(site.folder, [], [device]), Counter(device=scaled(10, 500)))


@needs_mosquitto
def test_all_killed_at_once_at_random_points(tmp_path: Path) -> None:
    """Gateway, broker and two devices die in one moment and come back in any order."""
    broker = Broker(tmp_path)
    broker.start()
    site, rng = Site(tmp_path, broker), draws()
    gateway = site.up()
    devices = [site.device(gateway, "at-the-front"), site.device(gateway, "behind-broker", broker)]
    running: list[Up] = [gateway]
    starts: list[Callable[[], object]] = [broker.start, lambda: running.append(site.up(wait=False))]
    starts += [device.run for device in devices]
    for device in devices:
        device.run()
    try:
        for _ in range(scaled(5, 200)):
            time.sleep(rng.uniform(0.0, 4.0))
            assert running.pop().end(signal.SIGKILL) in (-signal.SIGKILL,)
            broker.end(signal.SIGKILL)
            for device in devices:
                device.kill()
            for start in rng.sample(starts, len(starts)):
                start()
        for device in devices:
            device.kill()
            device.finish()
    finally:
        for device in devices:
            device.kill()
        assert running.pop().end() == 0
        broker.end()
    _report(tmp_path, require_whole(site.folder, [], devices), Counter(all=scaled(5, 200)))


def _report(root: Path, report: object, died: Counter[str]) -> None:
    assert b"Traceback" not in (root / "up.log").read_bytes()
    print(f"{sum(died.values())} kills: {dict(died)}\n{report}")
