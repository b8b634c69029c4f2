"""Another version of the contract on a running channel: `sealtrail network upgrade`. Clients go on meanwhile.

The new release has chaincode servers, ports and packages of its own. Both run until every peer has the new
definition; only then are the old servers drained and ended. Every step may be repeated after a crash. The lock, the
topology's fixed part and what is trusted are as in network.lifecycle.
"""

import shutil
import time
from pathlib import Path

from network.channel.peer_command import PeerCommand
from network.data_folder import check_unchanged, locked
from network.errors import NetworkError, NodeError
from network.identities.msp_folders import make_identities
from network.layout import PORTS_FILE, Kind, Layout, Node, lay_out
from network.lifecycle import Progress, bring_contract, bring_up, parallel, prepare
from network.nodes.package import package_place
from network.nodes.processes import Process, stop
from network.nodes.profiles import write_profiles
from network.nodes.starting import check_ports
from network.ports import forget_ports
from network.programs import Programs, find_programs
from network.releases import Release, Releases, read_releases, write_releases
from network.topology import Topology

IN_FORCE_WITHIN_S = 60.0
POLL_S = 0.2


def upgrade(topology: Topology, progress: Progress = lambda _: None) -> dict[str, Path]:
    """Bring the topology's contract onto the channel in place of the one in force; returns {msp id: profile}.

    Raises:
        NetworkError: what failed, with its mend. Run it again then: it goes on where it stopped.
    """
    programs = find_programs()
    with locked(topology):
        releases = read_releases(topology)
        if releases is None:
            raise NetworkError("there is no network here yet; `sealtrail network up` makes it")
        check_unchanged(topology)
        layout = lay_out(topology, releases.in_force)
        prepare(layout, programs, progress)
        bring_up(layout, programs, progress)
        releases = _end_what_began(topology, releases, programs, progress)
        if releases.in_force.chaincode != topology.chaincode:
            wanted = Release(releases.in_force.sequence + 1, topology.chaincode)
            write_releases(topology, Releases(releases.in_force, wanted))
            releases = _bring(topology, wanted, programs, progress)
        _end_others(topology, releases.in_force, progress)
        return write_profiles(lay_out(topology, releases.in_force))


def _end_what_began(topology: Topology, releases: Releases, programs: Programs, progress: Progress) -> Releases:
    """A release that is on the channel already cannot be taken back; one that is not, and is no longer wanted, goes."""
    pending = releases.pending
    if pending is None:
        return releases
    layout = lay_out(topology, pending)
    first = PeerCommand(layout, programs, layout.of_kind(Kind.PEER)[0])
    if pending.chaincode == topology.chaincode or first.committed() >= pending.sequence:
        return _bring(topology, pending, programs, progress)
    progress(f"giving up the version {pending.chaincode.version}, which is not on the channel")
    stop(Process(layout.run, node.name) for node in layout.of_kind(Kind.CHAINCODE))
    _remove(layout)
    releases = Releases(releases.in_force)
    write_releases(topology, releases)
    return releases


def _bring(topology: Topology, wanted: Release, programs: Programs, progress: Progress) -> Releases:
    """Everything until this release is in force on every peer; the servers of the one before still run."""
    layout = lay_out(topology, wanted)
    make_identities(layout)
    servers = layout.of_kind(Kind.CHAINCODE)
    check_ports([node for node in servers if Process(layout.run, node.name).pid() is None])
    bring_contract(layout, programs, progress)
    progress(f"waiting until every peer serves version {wanted.chaincode.version}")
    parallel(lambda node: _wait_in_force(layout, programs, node), layout.of_kind(Kind.PEER))
    releases = Releases(wanted)
    write_releases(topology, releases)
    return releases


def _wait_in_force(layout: Layout, programs: Programs, peer: Node) -> None:
    command, deadline = PeerCommand(layout, programs, peer), time.monotonic() + IN_FORCE_WITHIN_S
    while command.committed() < layout.sequence or not command.answers():
        if time.monotonic() > deadline:
            raise NodeError(
                f"{peer.name} does not serve the new contract after {IN_FORCE_WITHIN_S:.0f} s; look at "
                f"`sealtrail network logs {peer.name}`, then run `sealtrail network upgrade` again"
            )
        time.sleep(POLL_S)


def _end_others(topology: Topology, in_force: Release, progress: Progress) -> None:
    """Drain and end the servers of other releases. The files of the release before stay, to be looked at."""
    layout = lay_out(topology, in_force)
    ours = {node.name for node in layout.nodes}
    others = [Process(layout.run, file.stem) for file in layout.run.glob("chaincode*.pid") if file.stem not in ours]
    progress(f"ending {len(others)} chaincode servers that are not needed any more")
    stop(others)
    for process in others:
        process.pid_file.unlink(missing_ok=True)
    if in_force.sequence > 2:
        _remove(lay_out(topology, Release(in_force.sequence - 2, in_force.chaincode)))


def _remove(layout: Layout) -> None:
    """The files and ports of a release whose servers have ended."""
    servers = layout.of_kind(Kind.CHAINCODE)
    for node in servers:
        process = Process(layout.run, node.name)
        shutil.rmtree(node.folder, ignore_errors=True)
        for file in (package_place(layout, node.msp_id), process.pid_file, process.log):
            file.unlink(missing_ok=True)
    forget_ports(layout.topology.folder / PORTS_FILE, [f"{node.name}/{use}" for node in servers for use in node.ports])
