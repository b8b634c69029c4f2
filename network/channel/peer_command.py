"""Fabric's `peer` program, run as an organisation's admin against one of its peers."""

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from network.channel.orderers import Reach, orderers
from network.errors import ProgramError
from network.identities.places import ADMIN, CERTIFICATE
from network.layout import Layout, Node
from network.ports import accepts
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

    @property
    def name(self) -> str:
        """The peer's name."""
        return self._node.name

    @property
    def contract(self) -> str:
        """The contract's name on the channel."""
        return self._layout.topology.chaincode.name

    def join(self, snapshot: Path | None = None) -> None:
        """Join the channel by its genesis block, or by a snapshot of it."""
        if self._channel in self._run("channel", "list").split():
            return
        if snapshot is None:
            self._run("channel", "join", "--blockpath", str(self._layout.genesis))
        else:
            self._run("channel", "joinbysnapshot", "--snapshotpath", str(snapshot))

    def fetch_configuration(self, orderer: Reach | None = None) -> bytes:
        """The channel's latest config block, as this peer has it or as an orderer gives it."""
        where = [] if orderer is None else self._orderer_flags(orderer)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "configuration.block"
            self._run("channel", "fetch", "config", str(file), "-c", self._channel, *where)
            return file.read_bytes()

    def query_configuration(self) -> bytes:
        """The channel's `common.Config` by which this peer goes now, without its block."""
        arguments = json.dumps({"Args": ["GetChannelConfig", self._channel]})
        answer = self._run("chaincode", "query", "-C", self._channel, "-n", "cscc", "--hex", "-c", arguments)
        return bytes.fromhex(answer.strip())

    def request_snapshot(self) -> None:
        """Ask the peer for a snapshot at its last block."""
        tls_ca = self._layout.organisation(self._node.msp_id) / "tlsca" / CERTIFICATE
        where = ["--peerAddress", self._node.address, "--tlsRootCertFile", str(tls_ca)]
        self._run("snapshot", "submitrequest", "-c", self._channel, *where)

    def install(self, package: Path, identifier: str) -> None:
        """Install the organisation's chaincode package."""
        installed = self._json("lifecycle", "chaincode", "queryinstalled", "--output", "json")
        if identifier not in {one["package_id"] for one in installed.get("installed_chaincodes", [])}:
            self._run("lifecycle", "chaincode", "install", str(package))

    def committed(self) -> int:
        """The sequence of the contract's definition that is in force on this peer; 0 where there is none."""
        command = ("lifecycle", "chaincode", "querycommitted", "--channelID", self._channel, "--output", "json")
        definitions = self._json(*command).get("chaincode_definitions", [])
        return max((int(one["sequence"]) for one in definitions if one["name"] == self.contract), default=0)

    def answers(self) -> bool:
        """Whether a chaincode server answers this peer; a refusal is an answer."""
        call = json.dumps({"Args": [NO_FUNCTION]})
        try:
            self._run("chaincode", "query", "--channelID", self._channel, "--name", self.contract, "--ctor", call)
        except ProgramError as e:
            return REFUSED in str(e) and not any(words in str(e) for words in NOT_REACHED)
        return True

    def definition(self) -> dict[str, Any]:
        """The contract's committed definition, with {msp id: approved} under `approvals`."""
        where = ("--channelID", self._channel, "--name", self.contract, "--output", "json")
        return self._json("lifecycle", "chaincode", "querycommitted", *where)

    def approved_package(self) -> str:
        """The id of the package that the organisation's newest approval names; empty where it names none. An
        approval counts whichever it is, but the organisation's peers run that one."""
        where = ("--channelID", self._channel, "--name", self.contract, "--output", "json")
        approved = self._json("lifecycle", "chaincode", "queryapproved", *where)
        found = approved.get("source", {}).get("Type", {}).get("LocalPackage", {})
        return str(found.get("package_id", ""))

    def approve_committed(self, flags: Sequence[str], identifier: str) -> None:
        """Approve what is committed already, for an organisation that came later."""
        where = ("--channelID", self._channel, "--package-id", identifier)
        self._order("lifecycle", "chaincode", "approveformyorg", *flags, *where)

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

    def _orderer(self, orderer: Node | None = None) -> list[str]:
        """This orderer, or the first one that takes connections; one may be down."""
        if orderer is not None:
            tls_ca = self._layout.organisation(orderer.msp_id) / "tlsca" / CERTIFICATE
            return self._orderer_flags({"address": orderer.address, "tls_ca": str(tls_ca)})
        known = orderers(self._layout)
        return self._orderer_flags(next((one for one in known if accepts(one["address"])), known[0]))

    def _orderer_flags(self, orderer: Reach) -> list[str]:
        return ["--orderer", orderer["address"], "--tls", "--cafile", orderer["tls_ca"]]

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
