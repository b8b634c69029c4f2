"""Fabric's programs: where they are, and running those that do one thing and end.

They are looked for in the folder FABRIC_BIN, then on PATH. What they print is shown to the operator when they
fail, cut to a few lines.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from network.errors import ProgramError

TIMEOUT_S = 120
SHOWN_LINES = 6
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Where the image hyperledger/fabric-peer has it (Fabric, images/peer/Dockerfile).
IMAGE_BUILDER = "/opt/hyperledger/ccaas_builder"
WELL_KNOWN_BUILDERS = (IMAGE_BUILDER, "/usr/local/lib/fabric/builders/ccaas")


@dataclass(frozen=True, slots=True)
class Programs:
    """Absolute paths; `builder` is the folder that holds bin/detect, bin/build and bin/release."""

    peer: str
    orderer: str
    configtxgen: str
    builder: str


def find_programs(*, for_containers: bool = False) -> Programs:
    """All programs that a network needs; for containers, which bring their own, only those that we run.

    Raises:
        ProgramError: names every one that is missing and where it was looked for.
    """
    names = ("peer", "orderer", "configtxgen")
    found = {name: path for name in names if (path := shutil.which(name, path=_search_path()))}
    missing = [name for name in names if name not in found]
    builder = _find_builder(found["peer"]) if "peer" in found else None
    if for_containers:
        missing = [name for name in missing if name != "orderer"]
        found["orderer"], builder = "orderer", Path(IMAGE_BUILDER)
    if missing or builder is None:
        wanted = ", ".join(missing or ["the ccaas builder (builders/ccaas/bin/detect)"])
        raise ProgramError(
            f"Hyperledger Fabric's programs are not all here: missing {wanted}; install Fabric 3.1 and put its bin "
            "folder on PATH or into FABRIC_BIN (for the builder alone: FABRIC_CCAAS_BUILDER)"
        )
    return Programs(builder=str(builder), **found)


def _search_path() -> str:
    return os.pathsep.join(filter(None, (os.environ.get("FABRIC_BIN"), os.environ.get("PATH", os.defpath))))


def _find_builder(peer: str) -> Path | None:
    beside = Path(peer).parent
    places = [
        os.environ.get("FABRIC_CCAAS_BUILDER") or beside / "builders" / "ccaas",
        beside.parent / "builders" / "ccaas",
        beside.parent / "lib" / "fabric" / "builders" / "ccaas",
        *WELL_KNOWN_BUILDERS,
    ]
    return next((Path(place) for place in places if os.access(Path(place) / "bin" / "detect", os.X_OK)), None)


def run_program(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a program to its end and return what it printed on standard output.

    Raises:
        ProgramError: it cannot be started, failed, or took longer than TIMEOUT_S.
    """
    what = " ".join([Path(command[0]).name, *(word for word in command[1:4] if not word.startswith("-"))])
    try:
        done = subprocess.run(
            command, env=clean_environment() | dict(environment), capture_output=True, text=True, timeout=TIMEOUT_S,
            check=False, stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    except OSError as e:
        raise ProgramError(f"cannot run {command[0]}: {e.strerror}") from e
    except subprocess.TimeoutExpired as e:
        raise ProgramError(f"{what}: no end after {TIMEOUT_S} s; see `sealtrail network logs`") from e
    if done.returncode:
        lines = COLOUR.sub("", done.stderr or done.stdout).strip().splitlines()[-SHOWN_LINES:]
        raise ProgramError(f"{what} failed ({done.returncode}):\n" + "\n".join(f"  {line[:400]}" for line in lines))
    return done.stdout


def clean_environment() -> dict[str, str]:
    """This process' environment without settings for other Fabric nodes, which would override ours."""
    foreign = ("CORE_", "ORDERER_", "CONFIGTX_", "FABRIC_CFG_PATH", "FABRIC_LOGGING_SPEC")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
