"""The partners of a demo: their companies' Fabric network on this machine, by the program's own command.

`sealtrail network` runs as a process of its own, as an operator runs it: the gateway meets the network through the
connection profile only. What was started is ended again; a network in a folder that is kept comes back next time.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from gateway.demo.errors import DemoError

COMPANIES = ("PlantMSP", "CarrierMSP", "PharmacyMSP")  # the first one's gateway is the demo's
TIMEOUT_S = 300
TOPOLOGY = """# Companies that do not trust each other; four orderers, one of which may lie.
data = "network"
"""


@contextmanager
def partners(data: Path, msp_ids: Sequence[str] = COMPANIES, *, keep: bool) -> Iterator[dict[str, Path]]:
    """The network in `data`/network, and each company's connection profile by its MSP id."""
    data.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _end)  # else the nodes would outlive a demo that is told to end while they start
    topology = data / "partners.toml"
    topology.write_text(TOPOLOGY + "".join(f'\n[[organisations]]\nmsp_id = "{msp_id}"\n' for msp_id in msp_ids))
    try:
        _network(topology, "up")
        yield {msp_id: data / "network" / "organisations" / msp_id / "profile.json" for msp_id in msp_ids}
    finally:
        _network(topology, *(["down"] if keep else ["clean", "--yes"]))


def _end(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _network(topology: Path, *command: str) -> None:
    program = [sys.executable, "-m", "sealtrail", "network", *command, "--topology", str(topology)]
    done = subprocess.run(program, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise DemoError(f"the network of the demo: {done.stderr.decode(errors='replace').strip()[-1500:]}")
