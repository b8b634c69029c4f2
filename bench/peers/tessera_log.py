"""Tessera, somebody else's transparency log, by our own small driver: bench/peers/tessera/main.go, built by Go."""

import json
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("tessera")
BUILD_S, RUN_S = 600.0, 120.0


def build(folder: Path) -> Path | None:
    """The driver, None where there is no Go or it cannot fetch Tessera."""
    if shutil.which("go") is None:
        return None
    shutil.copytree(SOURCE, folder / "tessera-source")
    program = folder / "tessera"
    command = ["go", "build", "-o", str(program), "."]
    done = subprocess.run(command, cwd=folder / "tessera-source", capture_output=True, timeout=BUILD_S, check=False)
    return program if done.returncode == 0 else None


def rate(program: Path, folder: Path, count: int, size: int, batch: int, dedup: bool) -> float:
    """Entries a second that are sequenced and integrated; the folder is gone afterwards."""
    folder.mkdir()
    command = [str(program), str(folder), str(count), str(size), str(batch), "badger" if dedup else "none"]
    said = subprocess.run(command, capture_output=True, timeout=RUN_S, check=True).stdout
    shutil.rmtree(folder)
    return count / float(json.loads(said)["seconds"])
