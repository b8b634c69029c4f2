"""Up, down, status and clean of a whole network on this machine. Every step may be repeated: `up` takes what is there.

One command at a time works on a data folder (a lock file); other files of the folder are trusted.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from network.channel.genesis import make_genesis
from network.channel.guest import Entry, approve_as_committed, become_member, take_entry
from network.channel.orderer_admin import OrdererAdmin
from network.channel.peer_command import PeerCommand
from network.data_folder import FIXED, check_unchanged, locked
from network.errors import NetworkError
from network.identities.msp_folders import make_identities, request_identities
from network.identities.places import Place
from network.layout import Kind, Layout, lay_out
from network.nodes.health import NodeStatus, node_status, wait_acquainted, wait_healthy
from network.nodes.package import package_file, package_id
from network.nodes.processes import Process, stop
from network.nodes.profiles import write_profiles
from network.nodes.settings import write_settings
from network.nodes.starting import check_ports, start_node
from network.programs import Programs, clean_environment, find_programs
from network.releases import check_release, read_releases
from network.topology import Topology

LOG_KEEPER = "log-keeper"
AT_ONCE = 4
Progress = Callable[[str], None]
T = TypeVar("T")
R = TypeVar("R")


def up(
    topology: Topology, progress: Progress = lambda _: None, *, entry: Entry | None = None, containers: bool = False
) -> dict[str, Path]:
    """Bring a network up and the contract onto its channel; returns {msp id: connection profile}. Organisations
    without orderers join the channel of others by `entry`, once; afterwards they come up without it.

    With `containers` no process is started: somebody else runs the nodes, and they are waited for.

    Raises:
        NetworkError: what is missing, taken or failed, with its mend. What was started stays up, to be looked at.
    """
    programs = find_programs(for_containers=containers)
    with locked(topology):
        layout = unchanged(topology)
        prepare(layout, programs, progress, entry)
        bring_up(layout, programs, progress, snapshot=entry.snapshot if entry else None, containers=containers)
        return write_profiles(layout)


def unchanged(topology: Topology) -> Layout:
    """The layout, where neither the topology nor the contract's version changed since the last time."""
    check_unchanged(topology)
    check_release(topology)
    return lay_out(topology)


def prepare(layout: Layout, programs: Programs, progress: Progress, entry: Entry | None = None) -> None:
    """Write everything that nodes need before they start; what is there stays."""
    progress("identities, genesis block and settings")
    make_identities(layout)
    if layout.is_guest:
        take_entry(layout, entry)
    else:
        make_genesis(layout, programs)
    write_settings(layout, programs)


def bring_up(
    layout: Layout, programs: Programs, progress: Progress, *, snapshot: Path | None = None, containers: bool = False
) -> None:
    """Start what does not run, join the channel, bring the contract onto it; each step leaves alone what is there."""
    if containers:
        progress("waiting for the containers")
        wait_healthy(layout, layout.nodes, ours=False)
    else:
        _start_nodes(layout, programs, progress)
    _join(layout, programs, progress, snapshot.absolute() if snapshot else None)
    bring_contract(layout, programs, progress, containers=containers)
    progress("waiting until all peers know each other")
    wait_acquainted(layout, layout.of_kind(Kind.PEER), ours=not containers)


def make_joiners(topology: Topology) -> None:
    """Only the identities of organisations that are to join a channel."""
    with locked(topology):
        check_unchanged(topology)
        make_identities(lay_out(topology))


def request(topology: Topology) -> list[Place]:
    """Make keys and requests; returns the certificates that external authorities have yet to give."""
    with locked(topology):
        check_unchanged(topology)
        return request_identities(lay_out(topology))


def down(topology: Topology) -> list[str]:
    """End the processes that `up` started; returns their names. The ledger stays."""
    if not topology.folder.exists():
        return []
    with locked(topology):
        return _stop_all(topology)


def clean(topology: Topology) -> None:
    """End the processes and remove the data folder with its ledgers and keys.

    Raises:
        NetworkError: the folder was not made by `up`.
    """
    if not topology.folder.exists():
        return
    if not (topology.folder / FIXED).exists():
        raise NetworkError(f"{topology.folder} was not made by `sealtrail network up`; remove it yourself")
    down(topology)
    shutil.rmtree(topology.folder)


def status(topology: Topology) -> list[NodeStatus]:
    """How every node is; empty for a network that was never up."""
    if not (topology.folder / FIXED).exists():
        return []
    check_unchanged(topology)
    layout, nodes = lay_out(topology), list(lay_out(topology).nodes)
    if (releases := read_releases(topology)) and releases.pending:
        nodes += lay_out(topology, releases.pending).of_kind(Kind.CHAINCODE)
    return parallel(lambda node: node_status(layout, node), nodes)


def log_keeper(topology: Topology) -> Process:
    """The process that keeps the logs bounded."""
    return Process(topology.folder / "run", LOG_KEEPER)


def _stop_all(topology: Topology) -> list[str]:
    """Chaincode and peers, then the orderers they talk to, then the keeper of their logs."""
    run = topology.folder / "run"
    processes = [Process(run, file.stem) for file in sorted(run.glob("*.pid"))]
    turns = {process: (process.name.startswith("orderer")) + 2 * (process.name == LOG_KEEPER) for process in processes}
    stopped = []
    for turn in range(3):
        stopped += stop([process for process in processes if turns[process] == turn])
    for process in processes:
        process.pid_file.unlink(missing_ok=True)
    return stopped


def _start_nodes(layout: Layout, programs: Programs, progress: Progress) -> None:
    nodes = layout.of_kind(Kind.ORDERER) + layout.of_kind(Kind.PEER)
    idle = [node for node in layout.nodes if Process(layout.run, node.name).pid() is None]
    check_ports(idle)
    progress(f"starting {len([node for node in nodes if node in idle])} of {len(nodes)} orderers and peers")
    for node in nodes:
        if node in idle:
            start_node(layout, node, programs)
    keeper = log_keeper(layout.topology)
    if keeper.pid() is None:
        bound = str(layout.topology.log_bytes)
        keeper.start([sys.executable, "-m", "network.nodes.log_keeper", str(layout.run), bound], clean_environment())
    wait_healthy(layout, nodes)


def _join(layout: Layout, programs: Programs, progress: Progress, snapshot: Path | None) -> None:
    progress(f"joining the channel {layout.topology.channel}")
    commands = [PeerCommand(layout, programs, node) for node in layout.of_kind(Kind.PEER)]
    if not layout.is_guest:
        genesis = layout.genesis.read_bytes()
        parallel(lambda node: OrdererAdmin(layout, node).join(genesis), layout.of_kind(Kind.ORDERER))
    parallel(lambda command: command.join(snapshot), commands)
    if layout.is_guest:
        become_member(layout, commands, progress)


def bring_contract(layout: Layout, programs: Programs, progress: Progress, *, containers: bool = False) -> None:
    """Start the chaincode servers; package, install, approve and commit, unless the contract is there."""
    servers = layout.of_kind(Kind.CHAINCODE)
    packages = {node.msp_id: package_file(layout, node) for node in servers}
    ids = {msp_id: package_id(layout, file) for msp_id, file in packages.items()}
    if not containers:
        _start_servers(layout, programs, progress)
    progress("installing the contract")
    peers = layout.of_kind(Kind.PEER)
    parallel(lambda node: PeerCommand(layout, programs, node).install(packages[node.msp_id], ids[node.msp_id]), peers)
    wait_healthy(layout, servers, ours=not containers)
    firsts = [PeerCommand(layout, programs, layout.peers_of(msp_id)[0]) for msp_id in layout.topology.msp_ids]
    if layout.is_guest:
        for command, msp_id in zip(firsts, layout.topology.msp_ids, strict=True):
            progress(f"{msp_id}: {approve_as_committed(command, msp_id, ids[msp_id])}")
    elif firsts[0].committed() < layout.sequence:
        progress(f"approving the contract in {len(firsts)} organisations")
        parallel(lambda pair: pair[0].approve(ids[pair[1]]), zip(firsts, layout.topology.msp_ids, strict=True))
        progress("committing the contract")
        firsts[0].commit()


def _start_servers(layout: Layout, programs: Programs, progress: Progress) -> None:
    servers = layout.of_kind(Kind.CHAINCODE)
    progress(f"starting {len(servers)} chaincode servers")
    for node in servers:
        if Process(layout.run, node.name).pid() is None:
            start_node(layout, node, programs)


def parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do this for all, a few at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(min(AT_ONCE, 2 * (os.cpu_count() or 1))) as pool:
        return list(pool.map(work, items))
