"""Up, down, status and clean of a whole network on this machine. Every step may be repeated: `up` takes what is there.

One command at a time works on a data folder (a lock file); other files of the folder are trusted.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from crypto.files import write_durably
from network.errors import NetworkError
from network.genesis import make_genesis
from network.health import NodeStatus, node_status, wait_acquainted, wait_healthy
from network.identities import make_identities, request_identities
from network.layout import Kind, Layout, lay_out
from network.orderer_admin import OrdererAdmin
from network.package import package_file, package_id
from network.peer_command import PeerCommand
from network.places import Place
from network.processes import Process, stop
from network.profiles import write_profiles
from network.programs import Programs, clean_environment, find_programs
from network.settings import write_settings
from network.starting import check_ports, start_node
from network.topology import Topology

LOG_KEEPER = "log-keeper"
FIXED = "topology.json"
LOCK = "lock"
AT_ONCE = 4
Progress = Callable[[str], None]
T = TypeVar("T")
R = TypeVar("R")


def up(
    topology: Topology, progress: Progress = lambda _: None, *, containers: bool = False
) -> dict[str, Path]:  # fmt: skip
    """Bring a network up and the contract onto its channel; returns {msp id: connection profile}.

    With `containers` no process is started: somebody else runs the nodes, and they are waited for.

    Raises:
        NetworkError: what is missing, taken or failed, with its mend. What was started stays up, to be looked at.
    """
    programs = find_programs(for_containers=containers)
    with locked(topology):
        layout = prepare(topology, programs, progress)
        if containers:
            progress("waiting for the containers")
            wait_healthy(layout, layout.nodes, ours=False)
        else:
            _start_nodes(layout, programs, progress)
        _join(layout, programs, progress)
        if not containers:
            _start_servers(layout, programs, progress)
        _bring_contract(layout, programs, progress)
        wait_healthy(layout, layout.of_kind(Kind.CHAINCODE), ours=not containers)
        progress("waiting until all peers know each other")
        wait_acquainted(layout, layout.of_kind(Kind.PEER), ours=not containers)
        return write_profiles(layout)


def prepare(topology: Topology, programs: Programs, progress: Progress) -> Layout:
    """Write everything that nodes need before they start; what is there stays."""
    check_unchanged(topology)
    layout = lay_out(topology)
    progress("identities, genesis block and settings")
    make_identities(layout)
    make_genesis(layout, programs)
    write_settings(layout, programs)
    return layout


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
    layout = lay_out(topology)
    return _parallel(lambda node: node_status(layout, node), layout.nodes)


def log_keeper(topology: Topology) -> Process:
    """The process that keeps the logs bounded."""
    return Process(topology.folder / "run", LOG_KEEPER)


@contextlib.contextmanager
def locked(topology: Topology) -> Iterator[None]:
    """One command at a time; NetworkError while another one works on the data folder."""
    topology.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (topology.folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise NetworkError(f"another command works on {topology.folder}; wait until it is done") from e
        yield


def check_unchanged(topology: Topology) -> None:
    """The channel was made from one topology; another one needs another data folder."""
    file, now = topology.folder / FIXED, json.dumps(topology.what_is_fixed(), indent=1).encode()
    if not file.exists():
        if {path.name for path in topology.folder.iterdir()} - {LOCK}:
            raise NetworkError(f"{topology.folder} holds other files; give the network a data folder of its own")
        write_durably(file, now)
    if file.read_bytes() != now:
        raise NetworkError(
            f"the topology changed since {topology.folder} was made (compare {FIXED} there); put the file back, "
            "take another data folder, or begin anew with `sealtrail network clean`"
        )


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
        keeper.start([sys.executable, "-m", "network.log_keeper", str(layout.run), bound], clean_environment())
    wait_healthy(layout, nodes)


def _join(layout: Layout, programs: Programs, progress: Progress) -> None:
    progress(f"joining the channel {layout.topology.channel}")
    genesis = layout.genesis.read_bytes()
    _parallel(lambda node: OrdererAdmin(layout, node).join(genesis), layout.of_kind(Kind.ORDERER))
    _parallel(lambda node: PeerCommand(layout, programs, node).join(), layout.of_kind(Kind.PEER))


def _start_servers(layout: Layout, programs: Programs, progress: Progress) -> None:
    servers = layout.of_kind(Kind.CHAINCODE)
    progress(f"starting {len(servers)} chaincode servers")
    for node in servers:
        if Process(layout.run, node.name).pid() is None:
            start_node(layout, node, programs)


def _bring_contract(layout: Layout, programs: Programs, progress: Progress) -> None:
    """Package, install, approve and commit, unless the contract is there."""
    servers = layout.of_kind(Kind.CHAINCODE)
    packages = {node.msp_id: package_file(layout, node) for node in servers}
    ids = {msp_id: package_id(layout, file) for msp_id, file in packages.items()}
    progress("installing the contract")
    peers = layout.of_kind(Kind.PEER)
    _parallel(lambda node: PeerCommand(layout, programs, node).install(packages[node.msp_id], ids[node.msp_id]), peers)
    firsts = [PeerCommand(layout, programs, layout.peers_of(msp_id)[0]) for msp_id in layout.topology.msp_ids]
    if not firsts[0].committed():
        progress(f"approving the contract in {len(firsts)} organisations")
        _parallel(lambda pair: pair[0].approve(ids[pair[1]]), zip(firsts, layout.topology.msp_ids, strict=True))
        progress("committing the contract")
        firsts[0].commit()


def _parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do this for all, a few at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(min(AT_ONCE, 2 * (os.cpu_count() or 1))) as pool:
        return list(pool.map(work, items))
