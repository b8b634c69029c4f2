"""Subcommands of `sealtrail network`: a whole network of partners on this machine, from one topology file.

Exit codes: 0, or 1 for an error and for a `status` that is not healthy throughout; 2 for wrong usage.
"""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from network.commands.certificates import renew, request
from network.commands.compose import compose
from network.commands.options import TopologyOption, load, show_progress
from network.commands.org import app as org_app

if TYPE_CHECKING:
    from network.channel.configuration import Configuration
    from network.nodes.health import NodeStatus
    from network.topology import Topology

app = typer.Typer(help="The partners' Hyperledger Fabric network, on this machine.", no_args_is_help=True)
app.add_typer(org_app, name="org")
app.command()(renew)
app.command()(request)
app.command()(compose)
COLUMNS = "{:<26} {:<10} {:<16} {:<22} {:>8} {:<10} {}"


@app.command()
def up(
    topology: TopologyOption,
    containers: Annotated[bool, typer.Option("--containers", help="Start no node: they run in containers.")] = False,
) -> None:
    """Make what is missing, start every node, and bring the contract onto the channel."""
    from network.lifecycle import up as bring_up

    progress = show_progress()
    profiles = bring_up(load(topology), progress, containers=containers)
    progress("healthy; connection profiles:")
    for msp_id, file in profiles.items():
        print(f"         {msp_id}: {file}")


@app.command()
def upgrade(topology: TopologyOption) -> None:
    """Bring the topology's version of the contract onto the running channel; clients go on meanwhile."""
    from network.upgrade import upgrade as bring

    tell = show_progress()
    bring(load(topology), tell)
    tell("upgraded")


@app.command()
def down(topology: TopologyOption) -> None:
    """End the processes that `up` started. Ledgers and keys stay."""
    from network.lifecycle import down as take_down

    stopped = take_down(load(topology))
    print(f"ended {len(stopped)} processes" if stopped else "nothing was running")


@app.command()
def status(
    topology: TopologyOption,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show each node's health, the channel's height, and when certificates end."""
    from network.layout import lay_out
    from network.lifecycle import log_keeper
    from network.lifecycle import status as ask
    from network.nodes.health import user_warnings

    loaded = load(topology)
    nodes = ask(loaded)
    found, warnings = _configuration(loaded, nodes), user_warnings(lay_out(loaded)) if nodes else []
    if as_json:
        print(json.dumps(_as_json(nodes, found), indent=1))
    else:
        _print_status(nodes, warnings)
        if nodes:
            print(_configuration_line(found))
        if any(node.pid for node in nodes) and log_keeper(loaded).pid() is None:
            print("warning: the log keeper is not running, so logs grow; `sealtrail network up` starts it")
    if not nodes or any(node.health != "healthy" for node in nodes):
        raise typer.Exit(1)


def _print_status(nodes: "list[NodeStatus]", user_warnings: list[str]) -> None:
    if not nodes:
        print("there is no network here yet; `sealtrail network up` makes it")
        return
    print(COLUMNS.format("NODE", "KIND", "ORGANISATION", "ADDRESS", "PID", "HEALTH", "CERTIFICATES UNTIL"))
    for node in nodes:
        until = f"{node.certificate_until:%Y-%m-%d}" if node.certificate_until else "-"
        detail = f"  {node.detail}" if node.detail else ""
        where = (node.name, node.kind, node.msp_id, node.address, node.pid or "-", node.health)
        print(COLUMNS.format(*where, until + detail).rstrip())
    for warning in filter(None, [*(node.warning for node in nodes), *user_warnings]):
        print(f"warning: {warning}")


def _configuration(topology: "Topology", nodes: "list[NodeStatus]") -> "Configuration | str":
    """The channel's configuration in force, or why it is not known."""
    from network.errors import NetworkError

    healthy = next((node.msp_id for node in nodes if node.kind == "peer" and node.health == "healthy"), None)
    if healthy is None:
        return "no peer is up"
    try:
        from network.channel.member import Member

        return Member(topology, healthy).configuration()
    except NetworkError as e:
        return str(e)


def _configuration_line(found: "Configuration | str") -> str:
    """Number and hash of the latest config block; auditors pin the hash (docs/formats/fabric-evidence.md)."""
    if isinstance(found, str):
        return f"latest config block: not known: {found}"
    return f"latest config block of {found.channel}: {found.number}, hash {found.block_hash}"


def _as_json(nodes: "list[NodeStatus]", found: "Configuration | str") -> dict[str, object]:
    configuration = None
    if not isinstance(found, str):
        configuration = {"channel": found.channel, "number": found.number, "hash": found.block_hash}
    return {"nodes": [_node_as_json(node) for node in nodes], "configuration": configuration}


def _node_as_json(node: "NodeStatus") -> dict[str, object]:
    until = node.certificate_until
    return {
        "name": node.name, "kind": node.kind, "msp_id": node.msp_id, "address": node.address, "pid": node.pid,
        "health": node.health, "detail": node.detail, "warning": node.warning,
        "certificate_until": until.isoformat() if until else None,
    }  # fmt: skip


@app.command()
def logs(
    topology: TopologyOption,
    node: Annotated[str, typer.Argument(help="A node as `status` names it; none: list the files.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many, from the end.")] = 50,
) -> None:
    """Show the end of a node's log, or where the logs are."""
    from network.errors import NetworkError
    from network.nodes.processes import Process

    run = load(topology).folder / "run"
    known = sorted(file.stem for file in run.glob("*.log"))
    if not node:
        print("\n".join(str(run / f"{name}.log") for name in known) or "there are no logs yet")
        return
    if node not in known:
        raise NetworkError(f"no log of {node[:60]!r}; there are: {', '.join(known) or 'none'}")
    print("\n".join(Process(run, node).last_lines(lines)))


@app.command()
def clean(
    topology: TopologyOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End the processes and remove the data folder: ledgers, keys, profiles."""
    from network.lifecycle import clean as remove

    loaded = load(topology)
    if not yes:
        typer.confirm(f"Remove {loaded.folder} with its ledgers and keys?", abort=True)
    remove(loaded)
    print(f"removed {loaded.folder}")
