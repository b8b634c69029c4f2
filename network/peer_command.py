"""Fabric's `peer` program, run as an organisation's admin against one of its peers."""

import json
import time
from pathlib import Path
from typing import Any

from network.errors import ProgramError
from network.identities import ADMIN, CERTIFICATE
from network.layout import Kind, Layout, Node
from network.programs import Programs, run_program
from network.topology import Chaincode

SEQUENCE = 1
LEADER_WITHIN_S = 45.0
POLL_S = 0.3
# Words of Fabric's own messages; it has no codes for these two.
NO_LEADER = "SERVICE_UNAVAILABLE"
APPROVED_ALREADY = "with unchanged content"


class PeerCommand:
    """Joins, installs, approves and commits; what is done already is left as it is."""

    def __init__(self, layout: Layout, programs: Programs, node: Node) -> None:
        self._layout, self._node = layout, node
        self._program = programs.peer
        self._channel = layout.topology.channel

    def join(self) -> None:
        """Join the channel by its genesis block."""
        if self._channel not in self._run("channel", "list").split():
            self._run("channel", "join", "--blockpath", str(self._layout.genesis))

    def install(self, package: Path, identifier: str) -> None:
        """Install the organisation's chaincode package."""
        installed = self._json("lifecycle", "chaincode", "queryinstalled", "--output", "json")
        if identifier not in {one["package_id"] for one in installed.get("installed_chaincodes", [])}:
            self._run("lifecycle", "chaincode", "install", str(package))

    def committed(self) -> bool:
        """Whether the contract is on the channel."""
        name = self._layout.topology.chaincode.name
        command = ("lifecycle", "chaincode", "querycommitted", "--channelID", self._channel, "--output", "json")
        definitions = self._json(*command).get("chaincode_definitions", [])
        return any(one["name"] == name for one in definitions)

    def approve(self, identifier: str) -> None:
        """Approve the contract for the organisation and wait until that is committed."""
        command = ("lifecycle", "chaincode", "approveformyorg", *self._definition(), "--package-id", identifier)
        try:
            self._order(*command)
        except ProgramError as e:
            if APPROVED_ALREADY not in str(e):
                raise

    def commit(self) -> None:
        """Commit the contract with the endorsement of one peer of every organisation."""
        firsts = [self._layout.peers_of(msp_id)[0] for msp_id in self._layout.topology.msp_ids]
        self._order("lifecycle", "chaincode", "commit", *self._definition(), *self._endorsed_by(firsts))

    def order_a_query(self, orderer: Node | None, peers: list[Node]) -> None:
        """Hand an orderer a transaction that reads and writes nothing, endorsed by these peers."""
        what = ["-n", "_lifecycle", "-c", json.dumps({"Args": ["QueryChaincodeDefinitions", ""]})]
        command = ["chaincode", "invoke", "--channelID", self._channel, *what, *self._endorsed_by(peers)]
        self._run(*command, *self._orderer(orderer))

    def _endorsed_by(self, peers: list[Node]) -> list[str]:
        where: list[str] = []
        for peer in peers:
            tls_ca = self._layout.organisation(peer.msp_id) / "tlsca" / CERTIFICATE
            where += ["--peerAddresses", peer.address, "--tlsRootCertFiles", str(tls_ca)]
        return where

    def _definition(self) -> list[str]:
        chaincode = self._layout.topology.chaincode
        named = ["--name", chaincode.name, "--version", chaincode.version, "--sequence", str(SEQUENCE)]
        return ["--channelID", self._channel, *named, *endorsement_flags(chaincode, self._layout.topology.msp_ids)]

    def _order(self, *arguments: str) -> None:
        """Run what needs the orderers; try again while they have not yet chosen a leader."""
        deadline = time.monotonic() + LEADER_WITHIN_S
        while True:
            try:
                self._run(*arguments, *self._orderer(), "--waitForEvent")
                return
            except ProgramError as e:
                if NO_LEADER not in str(e) or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    def _orderer(self, orderer: Node | None = None) -> list[str]:
        orderer = orderer or self._layout.of_kind(Kind.ORDERER)[0]
        tls_ca = self._layout.organisation(orderer.msp_id) / "tlsca" / CERTIFICATE
        return ["--orderer", orderer.address, "--tls", "--cafile", str(tls_ca)]

    def _json(self, *arguments: str) -> dict[str, Any]:
        answer = self._run(*arguments)
        try:
            found: dict[str, Any] = json.loads(answer)
        except ValueError as e:
            raise ProgramError(f"peer {' '.join(arguments[:3])}: expected JSON, got {answer[:200]!r}") from e
        return found

    def _run(self, *arguments: str) -> str:
        admin = self._layout.organisation(self._node.msp_id) / "users" / ADMIN / "msp"
        environment = {
            "FABRIC_CFG_PATH": str(self._node.folder / "config"),
            "FABRIC_LOGGING_SPEC": "warning",
            "CORE_PEER_MSPCONFIGPATH": str(admin),
        }
        return run_program([self._program, *arguments], environment)


def endorsement_flags(chaincode: Chaincode, msp_ids: list[str]) -> list[str]:
    """Who must endorse: `majority`, `all` or `any` of the organisations, or a policy in Fabric's own words."""
    if chaincode.endorsement == "majority":
        return ["--channel-config-policy", "/Channel/Application/Endorsement"]
    peers = ",".join(f"'{msp_id}.peer'" for msp_id in msp_ids)
    words = {"all": f"AND({peers})", "any": f"OR({peers})"}
    return ["--signature-policy", words.get(chaincode.endorsement, chaincode.endorsement)]
