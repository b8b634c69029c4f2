"""Sealing and opening on a disk that fills up half-way, killed half-way, and of content larger than any memory."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chain.sealed.conftest import PASSPHRASE
from tests.chain.sealed.conftest import stores as stores
from tests.e2e.programs import PROGRAM
from tests.torture.scale import scaled
from tests.torture.world import Shim, mounted

MIB = 1 << 20
SIZE = scaled(192, 5 * 1024) * MIB
ENVIRONMENT = os.environ | {"SEALTRAIL_PASSPHRASE": PASSPHRASE}


def _run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *map(str, args)]
    return subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=scaled(150, 1500), check=False
    )


def _sealed(folder: Path, stores: Path, size: int) -> Path:
    content, out = folder / "content", folder / "sealed"
    content.write_bytes(os.urandom(size))
    done = _run("seal", content, "--to", stores / "plant.pub", "-o", out)
    assert done.returncode == 0, done.stderr
    return out


def _refused(done: subprocess.CompletedProcess[str], folder: Path, why: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"sealtrail: cannot write {folder / 'out'}: {why}; nothing of it is left"), (
        done.stderr
    )
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(folder) == []


def test_a_disk_too_small_for_the_result(tmp_path: Path, stores: Path) -> None:
    shut = _sealed(tmp_path, stores, 8 * MIB)
    with mounted("tmpfs", tmp_path / "small", "-t", "tmpfs", "-o", "size=4m"):
        folder, full = tmp_path / "small", "No space left on device"
        done = _run("seal", tmp_path / "content", "--to", stores / "plant.pub", "-o", folder / "out")
        _refused(done, folder, full)
        _refused(_run("open", shut, "--keys", stores / "plant", "-o", folder / "out"), folder, full)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("command", ["seal", "open"])
def test_a_disk_that_refuses_in_the_middle(tmp_path: Path, stores: Path, command: str, number: int) -> None:
    """What is worked on comes by a pipe: its first half while all is well, the second when nothing can be written."""
    shim, folder = Shim(tmp_path), tmp_path / "data"
    folder.mkdir()
    with _started(shim, folder, stores, command) as program:
        assert program.stdin is not None
        given = _sealed(tmp_path, stores, 8 * MIB).read_bytes()
        program.stdin.write(given[: len(given) // 2])
        program.stdin.flush()
        _wait_until_written(program, 2 * MIB)
        shim.set(write_errno=number)
        out, err = program.communicate(given[len(given) // 2 :], timeout=60)
    _refused(
        subprocess.CompletedProcess([], program.returncode, out.decode(), err.decode()), folder, os.strerror(number)
    )  # fmt: skip


def test_a_kill_in_the_middle_leaves_nothing(tmp_path: Path, stores: Path) -> None:
    shim, folder = Shim(tmp_path), tmp_path / "data"
    folder.mkdir()
    given = _sealed(tmp_path, stores, 8 * MIB).read_bytes()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with _started(shim, folder, stores, "open") as program:
            assert program.stdin is not None
            program.stdin.write(given[: len(given) // 2])
            program.stdin.flush()
            _wait_until_written(program, 2 * MIB)
            program.send_signal(number)
            assert program.wait(30) in (-number, 130)
        assert os.listdir(folder) == []


def _started(shim: Shim, folder: Path, stores: Path, command: str) -> "subprocess.Popen[bytes]":
    to = ("--to", stores / "plant.pub") if command == "seal" else ("--keys", stores / "plant")
    args = [*shim.before, *PROGRAM, command, "-", *to, "-o", folder / "out"]
    pipe = subprocess.PIPE
    return subprocess.Popen(list(map(str, args)), env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe)


def _wait_until_written(program: "subprocess.Popen[bytes]", size: int) -> None:
    """Until the program wrote so many bytes, by the kernel's count."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        text = Path(f"/proc/{program.pid}/io").read_text()
        if int(text.split("wchar: ")[1].split()[0]) >= size:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was written within 30 s")


MEASURED = """import atexit, resource, sealtrail
atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
sealtrail.main()"""


def _peak_mib(*args: str | Path) -> float:
    """Peak of memory of one command."""
    command = [sys.executable, "-c", MEASURED, *map(str, args)]
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=scaled(150, 1500), check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1]) / 1024


def test_content_of_any_size_in_flat_memory(tmp_path: Path, stores: Path) -> None:
    peaks = []
    for size in (MIB, SIZE):
        content, shut, again = tmp_path / "content", tmp_path / "shut", tmp_path / "again"
        with content.open("wb") as file:
            file.truncate(size)  # without blocks on the disk
        sealing = _peak_mib("seal", content, "--to", stores / "plant.pub", "-o", shut, "--sign", "signer",
                            "--keys", stores / "plant")  # fmt: skip
        opening = _peak_mib("open", shut, "--keys", stores / "plant", "-o", again, "--from", stores / "signer.pub")
        assert again.stat().st_size == size
        peaks.append((sealing, opening))
        again.unlink()
        shut.unlink()
    for small, large in zip(*peaks, strict=True):
        assert large - small < 24, peaks
