"""Starting one node in the background: its command, environment and ports."""

import sys
from collections.abc import Sequence

from network.errors import NodeError
from network.identities.places import CERTIFICATE, KEY, By
from network.layout import Kind, Layout, Node
from network.nodes.package import package_file, package_id
from network.nodes.processes import Process
from network.ports import is_free
from network.programs import Programs, clean_environment


def check_ports(nodes: Sequence[Node]) -> None:
    """NodeError where somebody else has a port of one of these nodes, which do not run."""
    for node in nodes:
        for use, port in node.ports.items():
            if not is_free(port, node.host):
                raise NodeError(
                    f"{node.name}: port {port} ({use}) is taken by another program; end that one (ss -ltnp shows it), "
                    "or begin anew with `sealtrail network clean` and another first_port"
                )


def start_node(layout: Layout, node: Node, programs: Programs) -> None:
    """Start a node that does not run; whether it gets healthy is another question."""
    environment = clean_environment() | node_environment(node)
    Process(layout.run, node.name).start(node_command(layout, node, programs), environment)


def node_environment(node: Node) -> dict[str, str]:
    """What a node's environment must hold."""
    if node.kind is Kind.CHAINCODE:
        return {}
    return {"FABRIC_LOGGING_SPEC": "info", "FABRIC_CFG_PATH": str(node.folder / "config")}


def node_command(layout: Layout, node: Node, programs: Programs) -> list[str]:
    """What runs a node."""
    if node.kind is Kind.ORDERER:
        return [programs.orderer]
    if node.kind is Kind.PEER:
        return [programs.peer, "node", "start"]
    serve = [sys.executable, "-m", "sealtrail", "chaincode", "serve"]
    return chaincode_command(layout, node, serve, package_id(layout, package_file(layout, node)))


def chaincode_command(layout: Layout, node: Node, serve: list[str], identifier: str) -> list[str]:
    """The command that serves the contract to an organisation's peers, with mutual TLS; `serve` is the default one."""
    program = layout.topology.chaincode.command or serve
    tls, roots = node.folder / "tls", layout.organisation(node.msp_id) / By.LINK / CERTIFICATE
    where = ["--address", node.address, "--package-id", identifier]
    keys = ["--tls-cert", str(tls / CERTIFICATE), "--tls-key", str(tls / KEY), "--tls-client-ca", str(roots)]
    return [*program, *where, *keys]
