"""New certificates for the keys of nodes and users, and a restart of the nodes that have to take them up.

Names and keys stay, so nothing on the channel changes: Fabric's orderers compare the keys of consenters' certificates
and not their bytes (Fabric, orderer/common/cluster/util.go CompareCertPublicKeys), and block signatures are verified
under the certificate that the channel's configuration names, whose end is not looked at.

Nodes are restarted one after another, and only when the one before is back. A node has to be restarted when a
certificate of it is newer than its process, so an interrupted renewal is completed by the next one.
"""

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from crypto.files import write_durably
from crypto.x509_authority import expiry
from network.authorities import authority, is_made_here
from network.errors import NetworkError, NodeError
from network.health import HEALTHY_WITHIN_S, POLL_S, is_healthy, metric, wait_acquainted, wait_healthy
from network.layout import Kind, Layout, Node, lay_out
from network.lifecycle import FIXED, check_unchanged, locked
from network.orderer_admin import OrdererAdmin
from network.places import Place, places, places_of
from network.processes import Process, stop
from network.programs import Programs, find_programs
from network.requests import accept, ask
from network.starting import start_node
from network.topology import Topology

Progress = Callable[[str], None]


@dataclass(slots=True)
class Renewal:
    """What was done: certificates by name, requests that wait for an external authority, nodes."""

    renewed: list[str] = field(default_factory=list)
    as_long_as_can_be: list[str] = field(default_factory=list)
    requested: list[Place] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    to_be_restarted: list[str] = field(default_factory=list)


def renew(topology: Topology, within: datetime.timedelta | None, progress: Progress = lambda _: None) -> Renewal:
    """Renew every certificate that ends within this time, or all with None.

    Raises:
        NetworkError: there is no network here, an answer of an external authority is wrong, or a node that was
            restarted did not come back; the ones after it were left alone.
    """
    programs = find_programs()
    if not (topology.folder / FIXED).exists():
        raise NetworkError(f"there is no network in {topology.folder}; `sealtrail network up` makes it")
    with locked(topology):
        check_unchanged(topology)
        layout, done = lay_out(topology), Renewal()
        for place in places(layout):
            _renew(layout, place, within, done)
        _restart(layout, programs, done, progress)
        return done


def _renew(layout: Layout, place: Place, within: datetime.timedelta | None, done: Renewal) -> None:
    """One certificate; an external authority's answer is taken whenever it is there."""
    end = place.end()
    if accept(layout, place):
        done.renewed.append(place.name)
    elif end is None or not (within is None or end - datetime.datetime.now(datetime.UTC) < within):
        return
    elif is_made_here(layout, place.wanted.organisation, place.by):
        _sign(layout, place, end, done)
    else:
        ask(place)
        done.requested.append(place)


def _sign(layout: Layout, place: Place, end: datetime.datetime, done: Renewal) -> None:
    giver = authority(layout, place.wanted.organisation, place.by)
    new = giver.renew(place.certificate.read_bytes(), layout.topology.certificate_days)
    if expiry(new) <= end:
        done.as_long_as_can_be.append(place.name)
        return
    write_durably(place.certificate, new)
    done.renewed.append(place.name)


def _restart(layout: Layout, programs: Programs, done: Renewal, progress: Progress) -> None:
    """Chaincode servers and peers first: they are asked by fewer than the orderers are."""
    peers = layout.of_kind(Kind.PEER)
    for node in (*layout.of_kind(Kind.CHAINCODE), *peers, *layout.of_kind(Kind.ORDERER)):
        process = Process(layout.run, node.name)
        if process.pid() is None:
            if _has(node, done.renewed) and is_healthy(node):
                done.to_be_restarted.append(node.name)
        elif _is_older_than_its_certificates(process, node):
            progress(f"restarting {node.name}")
            stop([process])
            start_node(layout, node, programs)
            wait_healthy(layout, [node])
            if node.kind is Kind.ORDERER:
                wait_in_step(layout, node)
            done.restarted.append(node.name)
    if done.restarted and all(Process(layout.run, peer.name).pid() for peer in peers):
        wait_acquainted(layout, peers)


def _has(node: Node, renewed: list[str]) -> bool:
    return any(place.name in renewed for place in places_of(node))


def _is_older_than_its_certificates(process: Process, node: Node) -> bool:
    started = process.pid_file.stat().st_mtime_ns
    return any(place.certificate.stat().st_mtime_ns > started for place in places_of(node))


def wait_in_step(layout: Layout, orderer: Node) -> None:
    """Wait until an orderer is active, no block behind the others, and the others send to it again.

    Raises:
        NodeError: that takes too long; the orderers that come after it must not be stopped now.
    """
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while not _is_in_step(layout, orderer):
        if time.monotonic() > deadline:
            raise NodeError(
                f"{orderer.name} runs with its new certificates, but is not in step with the other orderers after "
                f"{HEALTHY_WITHIN_S:.0f} s; see its log, and renew again to restart the rest"
            )
        time.sleep(POLL_S)


def _is_in_step(layout: Layout, orderer: Node) -> bool:
    others = [node for node in layout.of_kind(Kind.ORDERER) if node != orderer and is_healthy(node)]
    own = _height(layout, orderer)
    if own == 0 or own < max((_height(layout, node) for node in others), default=0):
        return False
    return not others or bool(metric(orderer, "cluster_comm_ingress_stream_count"))


def _height(layout: Layout, orderer: Node) -> int:
    """Blocks of an active orderer; 0 for one that cannot be asked, such as one whose own certificate ended."""
    try:
        status = OrdererAdmin(layout, orderer).status()
    except NodeError:
        return 0
    return status.height if status and status.status == "active" else 0
