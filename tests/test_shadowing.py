"""A foreign package that has the name of one of our rooms: the program says so and does not start.

Python would import whichever stands first on its path; then a stranger's code would verify signatures.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[1]
ROOMS = ("crypto", "chaincode", "chain", "gateway", "network", "bench")


def _run(path: list[Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, with these folders first on Python's path. `-I` keeps all others out."""
    program = (
        f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r};"
        f"sys.argv = ['sealtrail', *{list(arguments)!r}]; import sealtrail; sealtrail.main()"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", program], env={"PATH": os.defpath, "NO_COLOR": "1"}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["package", "module", "namespace"])
@pytest.mark.parametrize("room", ROOMS)
def test_a_foreign_package_is_refused_and_never_runs(tmp_path: Path, room: str, form: str) -> None:
    ran = tmp_path / "ran"
    content = f"open({str(ran)!r}, 'w')\n"
    if form == "module":
        (tmp_path / f"{room}.py").write_text(content)
    else:
        (tmp_path / room).mkdir()
        file = "__init__.py" if form == "package" else "verify.py"
        (tmp_path / room / file).write_text(content)
    done = _run([tmp_path, HOME], "--help")
    if form == "namespace":  # a folder without __init__.py loses against a package, wherever it stands
        assert done.returncode == 0
    else:
        assert done.returncode == 1
        assert done.stderr.startswith(f"sealtrail: another package shadows ours: {room} (from {tmp_path}")
        assert done.stderr.endswith(
            "install Sealtrail into an environment of its own (pipx, uv tool, python -m venv)\n"
        )
        assert done.stdout == ""
    assert not ran.exists()


def test_a_foreign_package_behind_ours_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "chain").mkdir()
    (tmp_path / "chain" / "__init__.py").write_text("raise SystemExit('foreign')\n")
    done = _run([HOME, tmp_path], "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "sealtrail" in done.stdout


def test_all_foreign_packages_are_named(tmp_path: Path) -> None:
    for room in ("chain", "crypto"):
        (tmp_path / f"{room}.py").write_text("raise SystemExit('foreign')\n")
    done = _run([tmp_path, HOME], "--help")
    assert done.returncode == 1
    assert f"crypto (from {tmp_path / 'crypto.py'}), chain (from {tmp_path / 'chain.py'})" in done.stderr
