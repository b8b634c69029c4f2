"""Who runs what, where: the nodes of a topology with their folders and ports. Touches no process.

<data>/organisations/<msp id>/{ca,tlsca}/          authorities: cert.pem and key.pem
                             /users/<user>/{msp,tls}/
                             /profile.json         what a gateway needs (docs/formats/connection-profile.md)
                             /package.tar.gz       the chaincode package of this organisation; -2 and so on by sequence
<data>/nodes/<name>/{msp,tls,config,ledger}/
<data>/run/<name>.{pid,log}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from network.ports import remembered_ports
from network.releases import Release, numbered, sequence_in_force
from network.topology import Topology


class Kind(StrEnum):
    """What a node is; identity certificates of peers and orderers carry it as their NodeOU."""

    ORDERER = "orderer"
    PEER = "peer"
    CHAINCODE = "chaincode"


PORTS_FILE = "ports.json"
PORTS = {
    Kind.ORDERER: ("serve", "admin", "operations"),
    Kind.PEER: ("serve", "chaincode", "operations"),
    Kind.CHAINCODE: ("serve",),
}


@dataclass(frozen=True, slots=True)
class Node:
    """One process: `name` is also its host name in its TLS certificate."""

    kind: Kind
    name: str
    msp_id: str
    host: str
    folder: Path
    ports: dict[str, int]

    @property
    def address(self) -> str:
        """host:port that others connect to."""
        return self.address_of("serve")

    def address_of(self, use: str) -> str:
        """host:port of one of its listeners."""
        return f"{self.host}:{self.ports[use]}"


@dataclass(frozen=True, slots=True)
class Layout:
    """A topology with its folders and ports. `sequence` is that of the contract's release (network.releases); each
    has chaincode servers of its own, so that an old and a new one can run side by side."""

    topology: Topology
    nodes: tuple[Node, ...]
    sequence: int = 1

    @property
    def run(self) -> Path:
        """Folder of pid files and logs."""
        return self.topology.folder / "run"

    @property
    def genesis(self) -> Path:
        """The channel's first block."""
        return self.topology.folder / "genesis.block"

    @property
    def orderers(self) -> Path:
        """Where the orderers of a channel that others run are written down."""
        return self.topology.folder / "orderers.json"

    @property
    def is_guest(self) -> bool:
        """Whether the channel is somebody else's, which these organisations join."""
        return not self.topology.ordering.orderers

    def organisation(self, msp_id: str) -> Path:
        """Folder of an organisation's authorities, users, profile and package."""
        return self.topology.folder / "organisations" / msp_id

    def of_kind(self, kind: Kind) -> list[Node]:
        """All nodes of one kind, in the order of the topology."""
        return [node for node in self.nodes if node.kind is kind]

    def peers_of(self, msp_id: str) -> list[Node]:
        """An organisation's peers; there is at least one."""
        return [node for node in self.of_kind(Kind.PEER) if node.msp_id == msp_id]


def lay_out(topology: Topology, release: Release | None = None) -> Layout:
    """Nodes with their ports; writes nothing but the file that remembers free ports. The contract is that of the
    topology with the servers in force, or that of `release` with its servers."""
    topology.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if release is not None:
        topology = msgspec.structs.replace(topology, chaincode=release.chaincode)
    sequence = release.sequence if release else sequence_in_force(topology)
    members = list(_members(topology, sequence))
    names = [f"{name}/{use}" for kind, name, _ in members for use in PORTS[kind]]
    hosts = {organisation.msp_id: organisation.host for organisation in topology.organisations}
    ports = remembered_ports(topology.folder / PORTS_FILE, names, topology.first_port)
    nodes = (
        Node(
            kind,
            name,
            msp_id,
            hosts[msp_id],
            topology.folder / "nodes" / name,
            {use: ports[f"{name}/{use}"] for use in PORTS[kind]},
        )
        for kind, name, msp_id in members
    )
    return Layout(topology, tuple(nodes), sequence)


def _members(topology: Topology, sequence: int) -> Iterator[tuple[Kind, str, str]]:
    """(kind, name, msp id) of every node; orderers go to the organisations in turn."""
    ids = topology.msp_ids
    for index in range(topology.ordering.orderers):
        owner = ids[index % len(ids)]
        yield Kind.ORDERER, f"orderer{index}.{owner.lower()}", owner
    for organisation in topology.organisations:
        for index in range(organisation.peers):
            yield Kind.PEER, f"peer{index}.{organisation.msp_id.lower()}", organisation.msp_id
    for msp_id in ids:
        yield Kind.CHAINCODE, f"{numbered('chaincode', sequence)}.{msp_id.lower()}", msp_id
