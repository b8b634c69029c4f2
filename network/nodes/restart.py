"""A restart of nodes one after another, each only when the one before has its place on the channel again.

A node has to be restarted when a certificate of it is newer than its process, so an interrupted round is completed by
the next one. Healthy is not enough: an orderer that the others have not yet reached again counts for no quorum, and
the next one must not be stopped before that.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from network.channel.orderer_admin import OrdererAdmin
from network.channel.peer_command import PeerCommand
from network.errors import NodeError, ProgramError
from network.identities.places import places_of
from network.layout import Kind, Layout, Node
from network.nodes.health import POLL_S, is_healthy, metric, peers_known, wait_acquainted, wait_healthy
from network.nodes.processes import Process, stop
from network.nodes.starting import start_node
from network.programs import Programs

LEADER = "consensus_smartbft_view_leader_id"  # numbers are those of network.channel.genesis: from 1, in order
RAFT_LEADS = "consensus_etcdraft_is_leader"
ROUND_S = 1.5
IN_STEP_WITHIN_S = 120.0  # a change of leader takes 5 s and more, of channels that are older 20 s


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
    """Chaincode servers and peers before orderers: whoever is asked by the fewest comes first, a leader last."""
    orderers = layout.of_kind(Kind.ORDERER)
    leader = _bft_leader(layout, orderers)
    raft_leads = f'{RAFT_LEADS}{{channel="{layout.topology.channel}"}}'
    orderers.sort(key=lambda node: node == leader or metric(node, raft_leads) == 1)
    for node in (*layout.of_kind(Kind.CHAINCODE), *layout.of_kind(Kind.PEER), *orderers):
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
    process = Process(layout.run, orderer.name)
    if others and _bft_leader(layout, [orderer]) == orderer:
        # The others know that a leader is gone by its silence only. One that comes back before that leads on, but
        # misses what they send on their broken streams, and the channel halts until they complain.
        stop([process])
        _until(lambda: _bft_leader(layout, others) != orderer, f"another leader than {orderer.name}")
    _restart(layout, programs, orderer)
    deadline = time.monotonic() + IN_STEP_WITHIN_S
    while not _takes_part(layout, programs, [orderer, *others]):
        if time.monotonic() > deadline:
            raise NodeError(
                f"{orderer.name} was restarted, but the orderers are not in step after {IN_STEP_WITHIN_S:.0f} s; see "
                "its log, and renew again to restart the rest"
            )


def _takes_part(layout: Layout, programs: Programs, orderers: list[Node]) -> bool:
    """Let a transaction that changes nothing be ordered: whether all orderers have its block within ROUND_S.

    An idle orderer looks well even when what the others send does not reach it, so only a block tells.
    """
    peers = [node for node in layout.of_kind(Kind.PEER) if is_healthy(node)]
    wanted = max(_height(layout, node) for node in orderers) + bool(peers)
    for peer in peers[:1]:
        with contextlib.suppress(ProgramError):
            PeerCommand(layout, programs, peer).order_a_query(_bft_leader(layout, orderers), peers)
    end = time.monotonic() + ROUND_S
    while time.monotonic() < end:
        if all(_height(layout, node) >= wanted for node in orderers):
            return True
        time.sleep(POLL_S)
    return False


def _bft_leader(layout: Layout, asked: list[Node]) -> Node | None:
    """The BFT leader as most of these orderers see it; None where they know none, as with Raft."""
    seen = [metric(node, f'{LEADER}{{channel="{layout.topology.channel}"}}') for node in asked]
    number = max(seen, key=lambda one: (seen.count(one), one is not None), default=None)
    return layout.of_kind(Kind.ORDERER)[number - 1] if number else None


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + IN_STEP_WITHIN_S
    while not done():
        if time.monotonic() > deadline:
            raise NodeError(f"waited {IN_STEP_WITHIN_S:.0f} s for {what}; see the orderers' logs and run `up`")
        time.sleep(POLL_S)


def _height(layout: Layout, orderer: Node) -> int:
    """Blocks of an active orderer; 0 for one that cannot be asked."""
    try:
        status = OrdererAdmin(layout, orderer).status()
    except NodeError:
        return 0
    return status.height if status and status.status == "active" else 0
