"""A world that misbehaves around one real gateway: disks that are full, read-only or slow, clocks that jump, and
somebody who asks the gateway all along whether it is well. What cannot be done on a machine skips with one line."""

import contextlib
import mmap
import os
import re
import shutil
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import pytest

from tests.e2e.programs import Up

SHIM = Path(__file__).with_name("shim.c")
STATE = struct.Struct("<qii")  # struct world of shim.c
EVERY_S = 0.04


class Shim:
    """The switches of a process that runs under shim.c. Needs a C compiler, not root."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("making a disk or a clock misbehave needs a C compiler (Debian package gcc)")
        library, state = folder / "shim.so", folder / "world"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True, timeout=60)
        state.write_bytes(bytes(STATE.size))
        with state.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), STATE.size)
        self.before = (
            "env", f"LD_PRELOAD={library}", f"SEALTRAIL_WORLD={state}", f"SEALTRAIL_WORLD_DATA={folder / 'data'}/",
        )  # fmt: skip

    def set(self, *, clock_s: int = 0, sync_ms: int = 0, write_errno: int = 0) -> None:
        """From now on. `clock_s`: how far the clock of the day is off; `sync_ms`: how much longer each sync takes;
        `write_errno`: what each write to the data directory meets."""
        self._map[:] = STATE.pack(clock_s, sync_ms, write_errno)


@contextlib.contextmanager
def mounted(source: str, at: Path, *options: str) -> Iterator[None]:
    """A mount for the length of a block; skips where this machine does not allow it."""
    at.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("a disk of the test's own needs root, to mount it")
    done = subprocess.run(["mount", *options, source, str(at)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk of the test's own needs the right to mount it: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the gateway: between `asked` and `told` (monotonic seconds) it said this; None for no answer."""

    asked: float
    told: float
    alive: int | None
    ready: int | None
    problems: tuple[str, ...]

    @property
    def well(self) -> bool:
        return self.ready == 200


class Health:
    """Asks /healthz and /readyz again and again, in a thread of its own and over one connection kept open."""

    def __init__(self, gateway: Up) -> None:
        self._url = gateway.url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health")
        self.seen: list[Seen] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait(lambda seen: seen.well)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20.0) as client:
            while not self._stop.wait(EVERY_S):
                self.seen.append(_look(client))

    def wait(self, true: Callable[[Seen], bool], seconds: float = 30.0) -> Seen:
        """The first look from now on that is so; fails at the deadline."""
        start, deadline = len(self.seen), time.monotonic() + seconds
        while time.monotonic() < deadline:
            for seen in self.seen[start:]:
                if true(seen):
                    return seen
            time.sleep(EVERY_S)
        raise AssertionError(f"not within {seconds} s; last: {self.seen[-3:]}")

    def wait_for(self, reason: str, seconds: float = 30.0) -> Seen:
        """Wait until it says that it is not well, for this reason (a regular expression)."""
        return self.wait(lambda seen: any(re.search(reason, problem) for problem in seen.problems), seconds)

    def wait_well(self, seconds: float = 30.0) -> Seen:
        return self.wait(lambda seen: seen.well, seconds)

    def require_always_well(self) -> None:
        assert self.seen
        assert [seen for seen in self.seen if seen.alive != 200 or not seen.well] == []

    def require_one_trouble(self, *reasons: str, refused: list[float]) -> None:
        """Alive all along; ready, then not ready for nothing but these reasons (the first of them for sure), then ready
        for good; and nothing was refused while it said that it is ready."""
        assert {seen.alive for seen in self.seen} == {200}
        assert {seen.ready for seen in self.seen} == {200, 503}
        first = next(n for n, seen in enumerate(self.seen) if not seen.well)
        last = next(n for n in range(len(self.seen) - 1, -1, -1) if not self.seen[n].well)
        assert 0 < first <= last < len(self.seen) - 1, "it began and ended well"
        trouble = self.seen[first : last + 1]
        assert [seen for seen in trouble if seen.well] == [], "it did not waver"
        told = {problem for seen in trouble for problem in seen.problems}
        others = [p for p in told if not any(re.search(reason, p) for reason in reasons)]
        assert not others, others
        assert any(re.search(reasons[0], problem) for problem in told)
        early = [at for at in refused if at < self.seen[first - 1].asked]
        late = [at for at in refused if at > self.seen[last + 1].told]
        assert not early, "refused while it said that it is ready"
        assert not late, "refused while it said that it is ready again"


def _look(client: httpx.Client) -> Seen:
    asked = time.monotonic()
    try:
        alive = client.get("/healthz").status_code
        answer = client.get("/readyz")
    except httpx.TransportError:
        return Seen(asked, time.monotonic(), None, None, ())
    return Seen(asked, time.monotonic(), alive, answer.status_code, tuple(answer.json()["problems"]))


def log_of(gateway: Up) -> list[str]:
    """The gateway's own log so far; no stack trace may stand in it."""
    text = (gateway.data.parent / "up.log").read_text()
    assert "Traceback" not in text, text
    return text.splitlines()


def require_each_told_once(gateway: Up, troubles: int) -> None:
    """Warnings and errors come with a change of state, not with each try: none more often than there were troubles.
    What a person asked for and did not get is told each time."""
    lines = [line.split(" ", 2)[2] for line in log_of(gateway) if re.search(r" (WARNING|ERROR|CRITICAL) ", line)]
    often = {line: n for line, n in Counter(lines).items() if n > troubles and " POST " not in line}
    assert not often
    assert len(lines) < 8 * troubles, lines
