"""A Compose file for the nodes of a topology: the same addresses, ports, settings and genesis block in containers.

Each container sees the folder of its own node, at the place where it lies on the host, and the public certificates of
its organisation that its settings name; no other node's keys. `network_mode: host` keeps addresses as they are, so it
is for Docker on Linux. The images' names are taken from the environment of `docker compose`, or have a default.
"""

import json
import os
from pathlib import Path
from typing import Any

from crypto.files import write_durably
from network.data_folder import locked
from network.identities.places import CERTIFICATE, By
from network.layout import Kind, Layout, Node
from network.lifecycle import Progress, prepare, unchanged
from network.nodes.package import package_file, package_id
from network.nodes.starting import chaincode_command, node_environment
from network.programs import find_programs
from network.topology import Topology

IMAGES = {
    Kind.ORDERER: "${FABRIC_ORDERER_IMAGE:-hyperledger/fabric-orderer:3.1}",
    Kind.PEER: "${FABRIC_PEER_IMAGE:-hyperledger/fabric-peer:3.1}",
    Kind.CHAINCODE: "${SEALTRAIL_IMAGE:?name an image that has sealtrail[fabric] installed}",
}
COMMANDS = {Kind.ORDERER: ["orderer"], Kind.PEER: ["peer", "node", "start"]}
SERVE = ["sealtrail", "chaincode", "serve"]


def write_compose(topology: Topology, output: Path, progress: Progress = lambda _: None) -> None:
    """Make identities, genesis block, settings and packages as `up` does, and write the Compose file.

    Raises:
        NetworkError: as for up.
    """
    programs = find_programs(for_containers=True)
    with locked(topology):
        layout = unchanged(topology)
        prepare(layout, programs, progress)
        write_durably(output, json.dumps(compose_file(layout), indent=1).encode() + b"\n")


def compose_file(layout: Layout) -> dict[str, Any]:
    """The content: JSON, which is a part of YAML."""
    return {"name": layout.topology.channel, "services": {node.name: _service(layout, node) for node in layout.nodes}}


def _service(layout: Layout, node: Node) -> dict[str, Any]:
    return {
        "image": IMAGES[node.kind],
        "entrypoint": _escaped(_command(layout, node)),
        "command": [],
        "environment": {name: _escape(value) for name, value in node_environment(node).items()},
        "working_dir": _escape(str(node.folder)),
        "network_mode": "host",
        # Whoever wrote this file owns the keys, which nobody else may read.
        "user": f"${{SEALTRAIL_USER:-{os.getuid()}:{os.getgid()}}}",
        "volumes": [_mount(path, read_only=path != node.folder) for path in _visible(layout, node)],
        "restart": "unless-stopped",
        "stop_grace_period": "30s",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "healthcheck": {
            "test": ["CMD", *_escaped(_check(node))],
            "interval": "5s",
            "timeout": "3s",
            "retries": 6,
            "start_period": "30s",
        },
        "logging": {"driver": "local", "options": {"max-size": str(layout.topology.log_bytes), "max-file": "2"}},
    }


def _command(layout: Layout, node: Node) -> list[str]:
    if node.kind is not Kind.CHAINCODE:
        return COMMANDS[node.kind]
    return chaincode_command(layout, node, SERVE, package_id(layout, package_file(layout, node)))


def _visible(layout: Layout, node: Node) -> list[Path]:
    """The node's own folder, and the roots by which it knows others of its organisation."""
    by = By.LINK if node.kind is Kind.CHAINCODE else By.TLS_CA
    return [node.folder, layout.organisation(node.msp_id) / by / CERTIFICATE]


def _mount(path: Path, *, read_only: bool) -> dict[str, Any]:
    place = _escape(str(path))
    mount: dict[str, Any] = {"type": "bind", "source": place, "target": place, "read_only": read_only}
    return mount | {"bind": {"create_host_path": False}}


def _check(node: Node) -> list[str]:
    """What tells that a node is healthy, with what its image has: bash and grep, or Python."""
    if node.kind is Kind.CHAINCODE:
        where = (node.host, node.ports["serve"])
        return ["python3", "-c", f"import socket; socket.create_connection({where!r}, 2).close()"]
    request = f"exec 3<>/dev/tcp/{node.host}/{node.ports['operations']}; printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3"
    return ["bash", "-c", f"{request}; head -n 1 <&3 | grep -q ' 200 '"]


def _escaped(words: list[str]) -> list[str]:
    return [_escape(word) for word in words]


def _escape(text: str) -> str:
    """Compose takes $ for the beginning of a variable."""
    return text.replace("$", "$$")
