"""What all subcommands of `sealtrail network` share: the topology's option, and progress with seconds."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from network.topology import Topology

TopologyOption = Annotated[
    Path, typer.Option("--topology", "-t", help="Topology file (TOML).", envvar="SEALTRAIL_TOPOLOGY")
]


def load(file: Path) -> "Topology":
    """The topology in a file."""
    from network.topology import load_topology

    return load_topology(file)


def show_progress() -> Callable[[str], None]:
    """Prints lines with the seconds since now before them."""
    start = time.monotonic()
    return lambda line: print(f"{time.monotonic() - start:5.1f} s  {line}", flush=True)
