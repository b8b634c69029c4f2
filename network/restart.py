"""A restart of nodes one after another, each only when the one before has its place on the channel again.

A node has to be restarted when a certificate of it is newer than its process, so an interrupted round is completed by
the next one. Healthy is not enough: an orderer whose leader has not yet reached it again counts for no quorum, and the
next one must not be stopped before that.
"""

import time
from collections.abc import Callable, Iterator

from network.errors import NodeError
from network.health import HEALTHY_WITHIN_S, POLL_S, is_healthy, metric, peers_known, wait_acquainted, wait_healthy
from network.layout import Kind, Layout, Node
from network.orderer_admin import OrdererAdmin
from network.places import places_of
from network.processes import Process, stop
from network.programs import Programs
from network.starting import start_node

STREAMS_IN = "cluster_comm_ingress_stream_count"  # of other orderers that send to this one
IS_LEADER = 'consensus_BFT_is_leader{{channel="{channel}"}}'


def restart_outdated(
    layout: Layout, programs: Programs, progress: Callable[[str], None]
) -> tuple[list[str], list[str]]:  # fmt: skip
    """Restart every node that runs with old certificates; returns those that were restarted, and those that have to
    be by whoever started them.

    Raises:
        NodeError: one did not come back; the ones after it were left alone.
    """
    restarted = []
    for node in _outdated(layout):
        progress(f"restarting {node.name}")
        if node.kind is Kind.ORDERER:
            _restart_orderer(layout, programs, node)
        elif node.kind is Kind.PEER:
            _restart_peer(layout, programs, node)
        else:
            _restart(layout, programs, node)
        restarted.append(node.name)
    return restarted, [node.name for node in layout.nodes if _is_of_others(layout, node)]


def _outdated(layout: Layout) -> Iterator[Node]:
    """Chaincode servers and peers before orderers: whoever is asked by the fewest comes first."""
    for node in (*layout.of_kind(Kind.CHAINCODE), *layout.of_kind(Kind.PEER), *layout.of_kind(Kind.ORDERER)):
        process = Process(layout.run, node.name)
        if process.pid() is not None and _newest_certificate(node) > process.pid_file.stat().st_mtime_ns:
            yield node


def _newest_certificate(node: Node) -> int:
    return max(place.certificate.stat().st_mtime_ns for place in places_of(node))


def _is_of_others(layout: Layout, node: Node) -> bool:
    """Runs, and not as a process that we started: in a container, most likely."""
    return Process(layout.run, node.name).pid() is None and is_healthy(node)


def _restart(layout: Layout, programs: Programs, node: Node) -> None:
    stop([Process(layout.run, node.name)])
    start_node(layout, node, programs)
    wait_healthy(layout, [node])


def _restart_peer(layout: Layout, programs: Programs, peer: Node) -> None:
    """Wait for all to know each other again if they did before: gateways need peers that know enough others."""
    peers, channel = layout.of_kind(Kind.PEER), layout.topology.channel
    known = all(peers_known(one, channel) >= len(peers) - 1 for one in peers)
    _restart(layout, programs, peer)
    if known:
        wait_acquainted(layout, peers, ours=False)


def _restart_orderer(layout: Layout, programs: Programs, orderer: Node) -> None:
    others = [node for node in layout.of_kind(Kind.ORDERER) if node != orderer and is_healthy(node)]
    before = {node.name: metric(node, STREAMS_IN) or 0 for node in others}
    leads = metric(orderer, IS_LEADER.format(channel=layout.topology.channel)) == 1
    _restart(layout, programs, orderer)

    def is_back() -> bool:
        if _height(layout, orderer) < max(1, *(_height(layout, node) for node in others)):
            return False
        if not others or metric(orderer, STREAMS_IN):
            return True
        # Nobody sends to a BFT leader while nothing happens; it sends to all.
        return leads and all((metric(node, STREAMS_IN) or 0) >= before[node.name] for node in others)

    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while not is_back():
        if time.monotonic() > deadline:
            raise NodeError(
                f"{orderer.name} was restarted, but is not in step with the other orderers after "
                f"{HEALTHY_WITHIN_S:.0f} s; see its log, and renew again to restart the rest"
            )
        time.sleep(POLL_S)


def _height(layout: Layout, orderer: Node) -> int:
    """Blocks of an active orderer; 0 for one that cannot be asked."""
    try:
        status = OrdererAdmin(layout, orderer).status()
    except NodeError:
        return 0
    return status.height if status and status.status == "active" else 0
