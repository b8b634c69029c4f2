"""Tessera's fsck, somebody else's auditor of tlog-tiles: found on PATH, or built once by Go into a temporary folder."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.2"
BUILD_S = 300.0


def tessera_fsck(folder: Path) -> str:
    """Path of the program; skips with the reason where it cannot be had."""
    if found := shutil.which("tessera-fsck"):
        return found
    if shutil.which("go") is None:
        pytest.skip("neither tessera-fsck nor Go is on PATH: install one to have Tessera check our tiles")
    command, environment = ["go", "install", SOURCE], os.environ | {"GOBIN": str(folder)}
    try:
        subprocess.run(command, env=environment, capture_output=True, timeout=BUILD_S, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
        pytest.skip(f"Go could not build Tessera's fsck: {e}")
    return str(folder / "fsck")
