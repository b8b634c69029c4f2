"""Processes: real ones, started, seen, ended; and a stranger's process is left alone."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from network.errors import NodeError
from network.nodes import processes
from network.nodes.log_keeper import trim
from network.nodes.processes import Process, stop

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]  # fmt: skip


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    one = Process(tmp_path / "run", "one")
    yield one
    stop([one])


def _wait_for_output(process: Process) -> None:
    deadline = time.monotonic() + 30
    while not process.last_lines(1):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_is_started_seen_and_ended(process: Process) -> None:
    assert process.pid() is None
    process.start(SLEEPER, os.environ)
    _wait_for_output(process)
    pid = process.pid()
    assert pid is not None
    assert process.last_lines(5) == ["up"]
    assert (process.log.stat().st_mode & 0o777, process.pid_file.stat().st_mode & 0o777) == (0o600, 0o600)
    assert os.getsid(pid) == pid
    assert stop([process]) == ["one"]
    assert process.pid() is None
    assert not _alive(pid)
    assert stop([process]) == []


def test_one_that_ignores_sigterm_is_killed(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.2)
    process.start(STUBBORN, os.environ)
    _wait_for_output(process)
    pid = process.pid()
    assert pid is not None
    stop([process])
    assert not _alive(pid)


def test_a_stranger_with_the_same_pid_is_left_alone(process: Process, tmp_path: Path) -> None:
    """What happens after a restart of the machine, when pids begin anew."""
    process.start(SLEEPER, os.environ)
    pid = process.pid()
    assert pid is not None
    earlier = Process(tmp_path / "run", "earlier")
    earlier.pid_file.write_text(json.dumps({"pid": pid, "started": "1"}))
    assert earlier.pid() is None
    assert earlier.was_started()
    assert stop([earlier]) == []
    assert process.pid() == pid


@pytest.mark.parametrize("content", ["", "x", "[]", "{}", '{"pid": 1}', '{"pid": "x", "started": 1}'])
def test_a_broken_pid_file_ends_nothing(process: Process, content: str) -> None:
    process.run.mkdir()
    process.pid_file.write_text(content)
    assert process.pid() is None


def test_one_that_fell_is_seen(process: Process) -> None:
    process.start([sys.executable, "-c", "raise SystemExit('no')"], os.environ)
    deadline = time.monotonic() + 30
    while process.pid() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.was_started()
    assert process.last_lines(1) == ["no"]


def test_a_program_that_is_not_there(process: Process) -> None:
    with pytest.raises(NodeError, match="one: cannot start /not/there: No such file"):
        process.start(["/not/there"], os.environ)


def test_logs_are_bounded_while_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    with log.open("ab", buffering=0) as file:
        file.write(b"x" * 100)
        trim(tmp_path, 100)
        assert log.stat().st_size == 100
        file.write(b"y")
        trim(tmp_path, 100)
        file.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "node.log.1").read_bytes() == b"x" * 100 + b"y"
