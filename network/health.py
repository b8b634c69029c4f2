"""Whether nodes are well: their own health check, the channel's height, and when certificates end."""

import contextlib
import datetime
import http.client
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crypto.x509_authority import expiry
from network.errors import NodeError
from network.identities import CERTIFICATE
from network.layout import Kind, Layout, Node
from network.orderer_admin import OrdererAdmin
from network.processes import Process

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
    line = f'^{re.escape(name)}{{channel="{re.escape(channel)}"}} ([0-9.e+]+)$'
    found = re.search(line, operations_page(node, "/metrics") or "", re.MULTILINE)
    return int(float(found[1])) if found else None


def peers_known(node: Node, channel: str) -> int:
    """How many other peers of the channel a peer knows: its gateway asks these for endorsements."""
    return channel_metric(node, "gossip_membership_total_peers_known", channel) or 0


def wait_healthy(layout: Layout, nodes: Sequence[Node]) -> None:
    """Wait until all are healthy and listen.

    Raises:
        NodeError: one fell or is not healthy in time; shows the end of its log.
    """
    _wait(layout, nodes, _is_ready, "healthy")


def wait_acquainted(layout: Layout, peers: Sequence[Node]) -> None:
    """Wait until every peer knows all the others on the channel.

    Raises:
        NodeError: as for wait_healthy.
    """
    channel, others = layout.topology.channel, len(peers) - 1
    _wait(layout, peers, lambda node: peers_known(node, channel) >= others, f"in touch with {others} other peers")


def _wait(layout: Layout, nodes: Sequence[Node], done: Callable[[Node], bool], what: str) -> None:
    waiting, deadline = list(nodes), time.monotonic() + HEALTHY_WITHIN_S
    while waiting := [node for node in waiting if not done(node)]:
        for node in waiting:
            process = Process(layout.run, node.name)
            if process.pid() is None:
                raise NodeError(f"{node.name} ended while starting; {_tail(process)}")
        if time.monotonic() > deadline:
            process = Process(layout.run, waiting[0].name)
            raise NodeError(f"{process.name} is not {what} after {HEALTHY_WITHIN_S:.0f} s; {_tail(process)}")
        time.sleep(POLL_S)


def _tail(process: Process) -> str:
    lines = "\n".join(f"  {line[:300]}" for line in process.last_lines(SHOWN_LOG_LINES))
    return f"the end of {process.log}:\n{lines}" if lines else f"{process.log} is empty"


def node_status(layout: Layout, node: Node) -> NodeStatus:
    """How one node is now."""
    process = Process(layout.run, node.name)
    pid = process.pid()
    if pid is None:
        health = "dead" if process.was_started() else "stopped"
    else:
        health = "healthy" if is_healthy(node) else "unhealthy"
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


def _certificate_end(node: Node) -> tuple[datetime.datetime | None, str]:
    """The first of a node's certificates to end, and a warning from a month ahead."""
    files = [node.folder / "tls" / CERTIFICATE, node.folder / "msp" / "signcerts" / CERTIFICATE]
    ends = [expiry(file.read_bytes()) for file in files if file.exists()]
    if not ends:
        return None, ""
    first = min(ends)
    left = first - datetime.datetime.now(datetime.UTC)
    if left <= datetime.timedelta(0):
        return first, f"a certificate of {node.name} ended on {first:%Y-%m-%d}; the others refuse this node"
    if left < WARN_BEFORE:
        return first, f"a certificate of {node.name} ends on {first:%Y-%m-%d}, in {left.days} days; renew it before"
    return first, ""
