"""Moments in a gateway's life, drawn at random, at which it is killed −9: each returns when it is time."""

import os
import random
import select
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.e2e.programs import Up
from tests.torture.publisher import Publisher

DEADLINE_S = 60.0


def during_start(gateway: Up, load: Sequence[Publisher], rng: random.Random) -> None:
    """Anywhere from the interpreter's first instruction to a little behind readiness."""
    time.sleep(rng.uniform(0.0, 1.2))


def at_first_commits(gateway: Up, load: Sequence[Publisher], rng: random.Random) -> None:
    """Around the first PUBACK, which may come before the gateway says that it is up."""
    _progress(load)
    time.sleep(rng.uniform(0.0, 0.01))


def under_load(gateway: Up, load: Sequence[Publisher], rng: random.Random) -> None:
    gateway.ready()
    _progress(load)
    time.sleep(rng.uniform(0.0, 0.35))


def while_anchoring(gateway: Up, load: Sequence[Publisher], rng: random.Random) -> None:
    """Around a commit of the ledger: before, in or behind the commit in which the site notes the anchor."""
    gateway.ready()
    _progress(load)
    file = gateway.data / "ledger" / "ledger.db-wal"
    before = _changed(file)
    wait(lambda: _changed(file) != before)
    time.sleep(rng.uniform(0.0, 0.008))


def while_stopping(gateway: Up, load: Sequence[Publisher], rng: random.Random) -> None:
    gateway.ready()
    _progress(load)
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(rng.uniform(0.0, 0.3))


def when_made(gateway: Up, files: int, rng: random.Random) -> None:
    """A moment behind the first one at which the gateway has made so many files, or is up with fewer."""
    said = [gateway.process.stdout]
    wait(lambda: _files(gateway.data) >= files or bool(select.select(said, [], [], 0)[0]))
    time.sleep(rng.uniform(0.0, 0.005))


def _files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


Moment = Callable[[Up, Sequence[Publisher], random.Random], None]
MOMENTS: tuple[Moment, ...] = (during_start, at_first_commits, under_load, while_anchoring, while_stopping)


def _progress(load: Sequence[Publisher]) -> None:
    """Wait for one more PUBACK."""
    before = _acknowledged(load)
    wait(lambda: _acknowledged(load) > before)


def _acknowledged(load: Sequence[Publisher]) -> int:
    return sum(len(publisher.acknowledged) for publisher in load)


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.0005)
