"""The partners of the demo: three companies' Fabric network on this machine, by the program's own command.

`sealtrail network` runs as a process of its own, as an operator runs it: the gateway meets the network through the
connection profile only. What was started is ended again; a network in a folder that is kept comes back next time.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.demo.errors import DemoError

GATEWAYS_MSP = "PlantMSP"
TIMEOUT_S = 300
TOPOLOGY = """# Three companies that do not trust each other; four orderers, one of which may lie.
data = "network"

[[organisations]]
msp_id = "PlantMSP"

[[organisations]]
msp_id = "CarrierMSP"

[[organisations]]
msp_id = "PharmacyMSP"
"""


@contextmanager
def partners(data: Path, *, keep: bool) -> Iterator[Path]:
    """The network in `data`/network, and the connection profile of the demo's own company."""
    data.mkdir(parents=True, exist_ok=True)
    topology = data / "partners.toml"
    topology.write_text(TOPOLOGY)
    try:
        _network(topology, "up")
        yield data / "network" / "organisations" / GATEWAYS_MSP / "profile.json"
    finally:
        _network(topology, *(["down"] if keep else ["clean", "--yes"]))


def _network(topology: Path, *command: str) -> None:
    program = [sys.executable, "-m", "sealtrail", "network", *command, "--topology", str(topology)]
    done = subprocess.run(program, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise DemoError(f"the network of the demo: {done.stderr.decode(errors='replace').strip()[-1500:]}")
