"""age, somebody else's file encryption, with its post-quantum recipients (X-Wing): found on PATH, or built by Go."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE, VERSION = "filippo.io/age/cmd", "v1.3.2"
BUILD_S, RUN_S = 300.0, 300.0


@dataclass(frozen=True, slots=True)
class Age:
    """The program, its keys and who they are to."""

    program: Path
    identity: Path
    recipients: Path

    def seal(self, source: Path, target: Path) -> None:
        self._run("-e", "-R", str(self.recipients), "-o", str(target), str(source))
        _sync(target)

    def open(self, source: Path, target: Path) -> None:
        self._run("-d", "-i", str(self.identity), "-o", str(target), str(source))
        _sync(target)

    def _run(self, *args: str) -> None:
        subprocess.run([str(self.program), *args], check=True, capture_output=True, timeout=RUN_S)


def build(folder: Path, recipients: int) -> Age | None:
    """With fresh keys; None where age is not there, has no post-quantum keys, and cannot be fetched."""
    found = _programs(folder)
    if found is None:
        return None
    age, keygen = found
    keys, to = [folder / f"age-{n}.key" for n in range(recipients)], folder / "age-recipients"
    lines = []
    for key in keys:
        done = subprocess.run([str(keygen), "-pq", "-o", str(key)], capture_output=True, timeout=RUN_S, check=False)
        if done.returncode:
            return None
        lines += [line.split(": ")[1] for line in key.read_text().splitlines() if line.startswith("# public key: ")]
    to.write_text("\n".join(lines) + "\n")
    return Age(age, keys[0], to)


def _programs(folder: Path) -> tuple[Path, Path] | None:
    age, keygen = shutil.which("age"), shutil.which("age-keygen")
    if age and keygen:
        return Path(age), Path(keygen)
    if shutil.which("go") is None:
        return None
    command = ["go", "install", f"{SOURCE}/age@{VERSION}", f"{SOURCE}/age-keygen@{VERSION}"]
    environment = os.environ | {"GOBIN": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=BUILD_S, check=False)
    return (folder / "age", folder / "age-keygen") if done.returncode == 0 else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
