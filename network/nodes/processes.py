"""Processes of the network: started in the background, known by a pid file, ended only when they are ours.

A pid file holds the pid and the moment its process started, as the system tells it; a process that merely has the
same pid is never touched. Output goes to <run>/<name>.log, which the log keeper keeps bounded.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto.files import write_durably
from network.errors import NodeError

STOP_S = 25.0
POLL_S = 0.05
LOG_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Process:
    """A process by name; `run` is the folder of its pid file and log."""

    run: Path
    name: str

    @property
    def pid_file(self) -> Path:
        """Where its pid and start are written."""
        return self.run / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        """Its output."""
        return self.run / f"{self.name}.log"

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it in a session of its own, so that no terminal ends it."""
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            pid = os.posix_spawnp(command[0], list(command), dict(environment), file_actions=actions, setsid=True)
        except OSError as e:
            raise NodeError(f"{self.name}: cannot start {command[0]}: {e.strerror}") from e
        content = {"pid": pid, "started": _started(pid), "command": list(command)}
        write_durably(self.pid_file, json.dumps(content).encode(), mode=0o600)

    def pid(self) -> int | None:
        """Its pid while it runs, else None."""
        try:
            noted = json.loads(self.pid_file.read_bytes())
            pid, started = int(noted["pid"]), noted["started"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        now = _started(pid)
        if now is None:
            _reap(pid)
        return pid if now is not None and now == started else None

    def was_started(self) -> bool:
        """Whether there is a pid file: it was started and not taken down."""
        return self.pid_file.exists()

    def last_lines(self, count: int) -> list[str]:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOG_TAIL_BYTES))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            return []


def stop(processes: Iterable[Process]) -> list[str]:
    """End these processes together: SIGTERM, then SIGKILL after STOP_S. Returns the names of those that ran."""
    running = {process: pid for process in processes if (pid := process.pid()) is not None}
    names = [process.name for process in running]
    for pid in running.values():
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while running := {process: pid for process, pid in running.items() if process.pid() is not None}:
        if time.monotonic() > deadline:
            for pid in running.values():
                _signal(pid, signal.SIGKILL)
        time.sleep(POLL_S)
    return names


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> None:
    """Collect it if it was this process' child and has ended; otherwise it would stay as a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _started(pid: int) -> str | None:
    """When a living process started, in the system's own words: proc(5) field 22, else ps."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _started_by_ps(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or None
