"""Files that appear whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crypto.envelope import files
from crypto.envelope.files import appearing
from crypto.errors import FileError


@pytest.fixture(params=["without a name", "with a temporary name"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "with a temporary name":
        monkeypatch.delattr(files.os, "O_TMPFILE")  # as on systems that have none
    return tmp_path


def test_a_file_appears_when_all_of_it_is_there(folder: Path) -> None:
    path = folder / "result"
    path.write_bytes(b"before")
    with appearing(path) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(folder) == ["result"]


def test_a_failure_leaves_nothing(folder: Path) -> None:
    def fail() -> None:
        with appearing(folder / "result") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert os.listdir(folder) == []


def test_a_folder_that_is_not_there_is_named(folder: Path) -> None:
    with (
        pytest.raises(FileError, match=r"cannot write .*no-folder/result: No such file"),
        appearing(folder / "no-folder" / "result"),
    ):
        pass


def test_a_folder_of_that_name_is_not_replaced(folder: Path) -> None:
    (folder / "result").mkdir()
    with pytest.raises(FileError, match="not a regular file"), appearing(folder / "result"):
        pass
    assert os.listdir(folder) == ["result"]


def test_a_kill_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\nfrom crypto.envelope.files import appearing\n"
        "with appearing(pathlib.Path(sys.argv[1])) as file:\n"
        "    file.write(bytes(2**20)); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "result")], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []
