"""Runs the real program in processes of its own, on free loopback ports, and ends only what it started."""

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "sealtrail")
START_S = 30.0


def run(*args: str | Path, check: int | None = 0, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; `check` is the expected exit code."""
    done = subprocess.run([*PROGRAM, *map(str, args)], capture_output=True, text=True, timeout=timeout, check=False)
    assert check is None or done.returncode == check, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write_config(folder: Path, extra: str = "") -> Path:
    """A gateway on free loopback ports with its data beside the file."""
    path = folder / "gateway.toml"
    text = f'origin = "plant.example/line-1"\ndata = "{folder / "data"}"\n{extra}\n'
    if "[front_door]" not in extra:
        text += "[front_door]\nport = 0\n"
    text += "[api]\nport = 0\n[storage]\nreserve_bytes = 0\n"
    if "[log]" not in extra:
        text += "[log]\ncheckpoint_interval_s = 0.1\nanchor_interval_s = 0.1\n"
    path.write_text(text)
    return path


class Up:
    """A running `sealtrail up`; `before` is a command that becomes it, like `env` or `ip netns exec`. Without `wait` it
    is still starting; `ready` waits until it says where it serves."""

    def __init__(self, config: Path, before: Sequence[str] = (), *, wait: bool = True) -> None:
        self.data = config.parent / "data"
        self.log = config.parent / "up.log"
        self._errors = self.log.open("ab")
        self.start_s = 0.0  # seconds to readiness, once somebody waited for it
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            [*before, *PROGRAM, "up", "--config", str(config), "--json"],
            stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        self.where: dict[str, Any] = {}
        if wait:
            try:
                self.ready()
            except BaseException:
                self.process.kill()
                raise

    def ready(self) -> None:
        if self.where:
            return
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], START_S)[0], "it neither came up nor ended"
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.where, self.start_s = json.loads(line), time.monotonic() - self._started
        self.url = str(self.where["url"])

    @property
    def token(self) -> str:
        return (self.data / "first-token").read_text().strip()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(START_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()
        return code


@contextmanager
def up(config: Path) -> Iterator[Up]:
    """`sealtrail up` for the length of a block."""
    running = Up(config)
    try:
        yield running
    finally:
        running.end()


def until(condition: Any, seconds: float = 20.0) -> Any:
    """Poll until the condition gives something true; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")
