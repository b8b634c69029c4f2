"""Whether nodes are well: their own health check, the channel's height, and when certificates end."""

import contextlib
import datetime
import http.client
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from network.channel.orderer_admin import OrdererAdmin
from network.errors import NodeError
from network.identities.places import places, places_of
from network.layout import Kind, Layout, Node
from network.nodes.processes import Process

TIMEOUT_S = 2.0
HEALTHY_WITHIN_S = 45.0
POLL_S = 0.1
WARN_BEFORE = datetime.timedelta(days=30)
SHOWN_LOG_LINES = 3
MAX_PAGE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One line of `sealtrail network status`. `health`: healthy, unhealthy, dead (it fell) or stopped."""

    name: str
    kind: str
    msp_id: str
    address: str
    pid: int | None
    health: str
    detail: str
    certificate_until: datetime.datetime | None
    warning: str


def is_healthy(node: Node) -> bool:
    """Fabric's /healthz; a chaincode server is healthy when it accepts connections."""
    if node.kind is Kind.CHAINCODE:
        return _accepts(node, "serve")
    return operations_page(node, "/healthz") is not None


def _is_ready(node: Node) -> bool:
    """Healthy, and listening on every port: a node's health page is there before its other listeners."""
    return is_healthy(node) and all(_accepts(node, use) for use in ("serve", "admin") if use in node.ports)


def _accepts(node: Node, use: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((node.host, node.ports[use]), TIMEOUT_S):
        return True
    return False


def operations_page(node: Node, path: str) -> str | None:
    """A page of a node's operations listener; None when it does not answer, or not with 200."""
    connection = http.client.HTTPConnection(node.host, node.ports["operations"], timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read(MAX_PAGE_BYTES).decode(errors="replace")
        return content if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def channel_metric(node: Node, name: str, channel: str) -> int | None:
    """A number that a peer's metrics give for this channel."""
    return metric(node, f'{name}{{channel="{channel}"}}')


def metric(node: Node, name: str) -> int | None:
    """A number of a node's metrics."""
    found = re.search(f"^{re.escape(name)} ([0-9.e+]+)$", operations_page(node, "/metrics") or "", re.MULTILINE)
    return int(float(found[1])) if found else None


def peers_known(node: Node, channel: str) -> int:
    """How many other peers of the channel a peer knows: its gateway asks these for endorsements."""
    return channel_metric(node, "gossip_membership_total_peers_known", channel) or 0


def wait_healthy(layout: Layout, nodes: Sequence[Node], *, ours: bool = True) -> None:
    """Wait until all are healthy and listen; `ours`: they are processes that we started.

    Raises:
        NodeError: one fell or is not healthy in time; shows the end of its log.
    """
    _wait(layout, nodes, _is_ready, "healthy", ours=ours)


def wait_acquainted(layout: Layout, peers: Sequence[Node], *, ours: bool = True) -> None:
    """Wait until every peer knows all the others on the channel.

    Raises:
        NodeError: as for wait_healthy.
    """
    channel, others = layout.topology.channel, len(peers) - 1
    what = f"in touch with {others} other peers"
    _wait(layout, peers, lambda node: peers_known(node, channel) >= others, what, ours=ours)


def _wait(layout: Layout, nodes: Sequence[Node], done: Callable[[Node], bool], what: str, *, ours: bool) -> None:
    waiting, deadline = list(nodes), time.monotonic() + HEALTHY_WITHIN_S
    while waiting := [node for node in waiting if not done(node)]:
        for process in [Process(layout.run, node.name) for node in waiting] if ours else []:
            if process.pid() is None:
                raise NodeError(f"{process.name} ended while starting; {_tail(process)}")
        if time.monotonic() > deadline:
            process = Process(layout.run, waiting[0].name)
            seen = _tail(process) if ours else "start the containers, and see what `docker compose logs` says of it"
            raise NodeError(f"{process.name} is not {what} after {HEALTHY_WITHIN_S:.0f} s; {seen}")
        time.sleep(POLL_S)


def _tail(process: Process) -> str:
    lines = "\n".join(f"  {line[:300]}" for line in process.last_lines(SHOWN_LOG_LINES))
    return f"the end of {process.log}:\n{lines}" if lines else f"{process.log} is empty"


def node_status(layout: Layout, node: Node) -> NodeStatus:
    """How one node is now."""
    process = Process(layout.run, node.name)
    pid = process.pid()
    if pid is None and process.was_started():
        health = "dead"
    elif is_healthy(node):  # without a pid of ours: in a container, or started by somebody else
        health = "healthy"
    else:
        health = "stopped" if pid is None else "unhealthy"
    until, warning = _certificate_end(node)
    detail = _channel_detail(layout, node) if health == "healthy" else ""
    return NodeStatus(node.name, node.kind.value, node.msp_id, node.address, pid, health, detail, until, warning)


def _channel_detail(layout: Layout, node: Node) -> str:
    """Where a node stands on the channel."""
    if node.kind is Kind.CHAINCODE:
        return ""
    if node.kind is Kind.PEER:
        channel = layout.topology.channel
        height = channel_metric(node, "ledger_blockchain_height", channel)
        return f"height {height}, knows {peers_known(node, channel)} other peers" if height else "not on the channel"
    try:
        status = OrdererAdmin(layout, node).status()
    except NodeError as e:
        return str(e)
    return f"{status.status}, height {status.height}" if status else "has not joined the channel"


def user_warnings(layout: Layout) -> list[str]:
    """Warnings about certificates of users, which no node shows."""
    users = [(place.wanted.name, end) for place in places(layout) if place.node is None and (end := place.end())]
    first = dict(sorted(users, key=lambda user: user[1], reverse=True))
    return [told for name, end in sorted(first.items()) if (told := _warning(name, end))]


def _certificate_end(node: Node) -> tuple[datetime.datetime | None, str]:
    """The first of a node's certificates to end, and a warning from a month ahead."""
    first = min((end for place in places_of(node) if (end := place.end())), default=None)
    return first, _warning(node.name, first)


def _warning(name: str, end: datetime.datetime | None) -> str:
    left = (end or datetime.datetime.max.replace(tzinfo=datetime.UTC)) - datetime.datetime.now(datetime.UTC)
    if left <= datetime.timedelta(0):
        return f"a certificate of {name} ended on {end:%Y-%m-%d}; it is refused until `sealtrail network renew` ran"
    if left < WARN_BEFORE:
        return f"a certificate of {name} ends on {end:%Y-%m-%d}, in {left.days} days; `sealtrail network renew` helps"
    return ""
