"""`sealtrail network compose`: the topology for people who run containers."""

from pathlib import Path
from typing import Annotated

import typer

from network.commands.options import TopologyOption, load, show_progress


def compose(
    topology: TopologyOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("compose.yaml"),
) -> None:
    """Write a Compose file for the same network, with everything that its containers need."""
    from network.compose import write_compose

    write_compose(load(topology), output.absolute(), show_progress())
    print(f"wrote {output}; next:")
    print(f"  docker compose -f {output} up -d")
    print(f"  sealtrail network up --containers --topology {topology}")
