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

LEADER_WITHIN_S = 45.0
POLL_S = 0.3
# Words of Fabric's own messages; it has no codes for these two.
NO_LEADER = "SERVICE_UNAVAILABLE"
APPROVED_ALREADY = "with unchanged content"
REFUSED = "endorsement failure during query"  # by the chaincode, or by the peer itself with one of these words:
NOT_REACHED = ("error in simulation", "make sure the chaincode")
NO_FUNCTION = "?"


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

    def committed(self) -> int:
        """The sequence of the contract's definition that is in force on this peer; 0 where there is none."""
        name = self._layout.topology.chaincode.name
        command = ("lifecycle", "chaincode", "querycommitted", "--channelID", self._channel, "--output", "json")
        definitions = self._json(*command).get("chaincode_definitions", [])
        return max((int(one["sequence"]) for one in definitions if one["name"] == name), default=0)

    def answers(self) -> bool:
        """Whether a chaincode server answers this peer; a refusal is an answer."""
        name, call = self._layout.topology.chaincode.name, json.dumps({"Args": [NO_FUNCTION]})
        try:
            self._run("chaincode", "query", "--channelID", self._channel, "--name", name, "--ctor", call)
        except ProgramError as e:
            return REFUSED in str(e) and not any(words in str(e) for words in NOT_REACHED)
        return True

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
        where: list[str] = []
        for msp_id in self._layout.topology.msp_ids:
            peer = self._layout.peers_of(msp_id)[0]
            tls_ca = self._layout.organisation(msp_id) / "tlsca" / CERTIFICATE
            where += ["--peerAddresses", peer.address, "--tlsRootCertFiles", str(tls_ca)]
        self._order("lifecycle", "chaincode", "commit", *self._definition(), *where)

    def _definition(self) -> list[str]:
        chaincode = self._layout.topology.chaincode
        named = ["--name", chaincode.name, "--version", chaincode.version, "--sequence", str(self._layout.sequence)]
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

    def _orderer(self) -> list[str]:
        orderer = self._layout.of_kind(Kind.ORDERER)[0]
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
