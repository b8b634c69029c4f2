"""Up, down, status and clean of a whole network on this machine. Every step may be repeated: `up` takes what is there.

One command at a time works on a data folder (a lock file); other files of the folder are trusted.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from crypto.files import write_durably
from network.errors import NetworkError, NodeError
from network.genesis import make_genesis
from network.guest import Entry, approve_as_committed, become_member, take_entry
from network.health import NodeStatus, node_status, wait_acquainted, wait_healthy
from network.identities import CERTIFICATE, KEY, make_identities
from network.layout import Kind, Layout, Node, lay_out
from network.orderer_admin import OrdererAdmin
from network.package import package_file, package_id
from network.peer_command import PeerCommand
from network.ports import is_free
from network.processes import Process, stop
from network.profiles import write_profiles
from network.programs import Programs, clean_environment, find_programs
from network.releases import check_release, read_releases
from network.settings import write_settings
from network.topology import Topology

LOG_KEEPER = "log-keeper"
FIXED = "topology.json"
LOCK = "lock"
AT_ONCE = 4
Progress = Callable[[str], None]
T = TypeVar("T")
R = TypeVar("R")


def up(topology: Topology, progress: Progress = lambda _: None, *, entry: Entry | None = None) -> dict[str, Path]:
    """Bring a network up and the contract onto its channel; returns {msp id: connection profile}. Organisations
    without orderers join the channel of others by `entry`, once; afterwards they come up without it.

    Raises:
        NetworkError: what is missing, taken or failed, with its mend. What was started stays up, to be looked at.
    """
    programs = find_programs()
    with locked(topology):
        check_unchanged(topology)
        check_release(topology)
        layout = lay_out(topology)
        bring_up(layout, programs, progress, entry)
        return write_profiles(layout)


def bring_up(layout: Layout, programs: Programs, progress: Progress, entry: Entry | None = None) -> None:
    """Every step of `up`; each leaves alone what is there."""
    progress("identities, genesis block and settings")
    make_identities(layout)
    if layout.is_guest:
        take_entry(layout, entry)
    else:
        make_genesis(layout, programs)
    write_settings(layout, programs)
    _start_nodes(layout, programs, progress)
    _join(layout, programs, progress, entry.snapshot.absolute() if entry and entry.snapshot else None)
    bring_contract(layout, programs, progress)
    progress("waiting until all peers know each other")
    wait_acquainted(layout, layout.of_kind(Kind.PEER))


def prepare(topology: Topology) -> None:
    """Only make what is missing of the identities; for organisations that are to join a channel."""
    with locked(topology):
        check_unchanged(topology)
        make_identities(lay_out(topology))


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


@contextlib.contextmanager
def locked(topology: Topology) -> Iterator[None]:
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
            _start(layout, node, [programs.orderer] if node.kind is Kind.ORDERER else [programs.peer, "node", "start"])
    keeper = log_keeper(layout.topology)
    if keeper.pid() is None:
        bound = str(layout.topology.log_bytes)
        keeper.start([sys.executable, "-m", "network.log_keeper", str(layout.run), bound], clean_environment())
    wait_healthy(layout, nodes)


def check_ports(nodes: Sequence[Node]) -> None:
    for node in nodes:
        for use, port in node.ports.items():
            if not is_free(port, node.host):
                raise NodeError(
                    f"{node.name}: port {port} ({use}) is taken by another program; end that one (ss -ltnp shows it), "
                    "or begin anew with `sealtrail network clean` and another first_port"
                )


def _start(layout: Layout, node: Node, command: Sequence[str]) -> None:
    environment = clean_environment() | {"FABRIC_LOGGING_SPEC": "info"}
    if node.kind is not Kind.CHAINCODE:
        environment["FABRIC_CFG_PATH"] = str(node.folder / "config")
    Process(layout.run, node.name).start(command, environment)


def _join(layout: Layout, programs: Programs, progress: Progress, snapshot: Path | None) -> None:
    progress(f"joining the channel {layout.topology.channel}")
    commands = [PeerCommand(layout, programs, node) for node in layout.of_kind(Kind.PEER)]
    if not layout.is_guest:
        genesis = layout.genesis.read_bytes()
        parallel(lambda node: OrdererAdmin(layout, node).join(genesis), layout.of_kind(Kind.ORDERER))
    parallel(lambda command: command.join(snapshot), commands)
    if layout.is_guest:
        become_member(layout, commands, progress)


def bring_contract(layout: Layout, programs: Programs, progress: Progress) -> None:
    """Start the chaincode servers; package, install, approve and commit, unless the contract is there."""
    servers = layout.of_kind(Kind.CHAINCODE)
    packages = {node.msp_id: package_file(layout, node) for node in servers}
    ids = {msp_id: package_id(layout, file) for msp_id, file in packages.items()}
    progress(f"starting {len(servers)} chaincode servers")
    for node in servers:
        if Process(layout.run, node.name).pid() is None:
            _start(layout, node, chaincode_command(layout, node, ids[node.msp_id]))
    progress("installing the contract")
    peers = layout.of_kind(Kind.PEER)
    parallel(lambda node: PeerCommand(layout, programs, node).install(packages[node.msp_id], ids[node.msp_id]), peers)
    wait_healthy(layout, servers)
    firsts = [PeerCommand(layout, programs, layout.peers_of(msp_id)[0]) for msp_id in layout.topology.msp_ids]
    if layout.is_guest:
        for command, msp_id in zip(firsts, layout.topology.msp_ids, strict=True):
            progress(f"{msp_id}: {approve_as_committed(command, msp_id, ids[msp_id])}")
    elif firsts[0].committed() < layout.sequence:
        progress(f"approving the contract in {len(firsts)} organisations")
        parallel(lambda pair: pair[0].approve(ids[pair[1]]), zip(firsts, layout.topology.msp_ids, strict=True))
        progress("committing the contract")
        firsts[0].commit()


def chaincode_command(layout: Layout, node: Node, identifier: str) -> list[str]:
    """The command that serves the contract to an organisation's peers, with mutual TLS."""
    program = layout.topology.chaincode.command or [sys.executable, "-m", "sealtrail", "chaincode", "serve"]
    tls, roots = node.folder / "tls", layout.organisation(node.msp_id) / "tlsca" / CERTIFICATE
    where = ["--address", node.address, "--package-id", identifier]
    keys = ["--tls-cert", str(tls / CERTIFICATE), "--tls-key", str(tls / KEY), "--tls-client-ca", str(roots)]
    return [*program, *where, *keys]


def parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do this for all, a few at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(min(AT_ONCE, 2 * (os.cpu_count() or 1))) as pool:
        return list(pool.map(work, items))
