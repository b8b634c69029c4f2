"""Real networks: up, healthy, with the contract answering; restarted, hurt, and taken down."""

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import sys
import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from network.channel.peer_command import PeerCommand
from network.cli import app
from network.errors import NetworkError, NodeError, ProgramError
from network.identities.authorities import peers_pair
from network.identities.places import ADMIN
from network.layout import Kind, Layout, Node
from network.lifecycle import down, log_keeper, status, up
from network.nodes.processes import Process
from network.ports import LOOPBACK
from network.programs import find_programs, run_program
from network.topology import Chaincode, Consensus, Topology
from tests.network.networks import PARTNERS, RunningNetwork, need_fabric, running, topology

pytestmark = pytest.mark.fabric


def _peer(layout: Layout, node: Node, *arguments: str) -> str:
    """Fabric's `peer chaincode` against one peer, as its organisation's admin."""
    environment = {
        "FABRIC_CFG_PATH": str(node.folder / "config"),
        "FABRIC_LOGGING_SPEC": "error",
        "CORE_PEER_MSPCONFIGPATH": str(layout.organisation(node.msp_id) / "users" / ADMIN / "msp"),
    }
    where = ["-C", layout.topology.channel, "-n", layout.topology.chaincode.name]
    return run_program([find_programs().peer, "chaincode", *arguments, *where], environment).strip()


def _query(layout: Layout, node: Node, function: str, *arguments: str) -> str:
    """Evaluate the contract on one peer; the answer in hex."""
    return _peer(layout, node, "query", "--hex", "-c", json.dumps({"Args": [function, *arguments]}))


def _submit(layout: Layout, endorsers: list[Node], orderer: Node) -> None:
    """Submit a transaction that reads, endorsed by these peers, and wait until the first has committed it."""
    words = ["invoke", "-c", json.dumps({"Args": ["identities.list", "gateway"]}), "--waitForEvent"]
    words += ["-o", orderer.address, "--tls", "--cafile", str(_tls_ca(layout, orderer))]
    for node in endorsers:
        words += ["--peerAddresses", node.address, "--tlsRootCertFiles", str(_tls_ca(layout, node))]
    _peer(layout, endorsers[0], *words)


def _tls_ca(layout: Layout, node: Node) -> Path:
    return layout.organisation(node.msp_id) / "tlsca" / "cert.pem"


def _heights(network: Topology) -> dict[str, str]:
    return {node.name: node.detail for node in status(network)}


def test_every_node_is_healthy_and_on_the_channel(fabric_network: RunningNetwork) -> None:
    nodes = status(fabric_network.topology)
    assert [node.kind for node in nodes] == ["orderer"] * 4 + ["peer"] * 3 + ["chaincode"] * 3
    assert {node.health for node in nodes} == {"healthy"}
    assert {node.detail.partition(",")[0] for node in nodes if node.kind == "orderer"} == {"active"}
    assert all(node.detail.endswith("knows 2 other peers") for node in nodes if node.kind == "peer")
    assert {node.warning for node in nodes} == {""}
    assert log_keeper(fabric_network.topology).pid() is not None


def test_every_partner_sees_the_contract_committed(fabric_network: RunningNetwork) -> None:
    layout, programs = fabric_network.layout, find_programs()
    assert all(PeerCommand(layout, programs, peer).committed() for peer in layout.of_kind(Kind.PEER))


def test_the_contract_answers_on_every_peer(fabric_network: RunningNetwork) -> None:
    """The peer calls its organisation's chaincode server over mutual TLS; an empty CBOR list comes back."""
    layout = fabric_network.layout
    assert {_query(layout, peer, "identities.list", "gateway") for peer in layout.of_kind(Kind.PEER)} == {"80"}


def test_the_contracts_refusal_comes_through(fabric_network: RunningNetwork) -> None:
    layout = fabric_network.layout
    with pytest.raises(ProgramError, match="unknown-function"):
        _query(layout, layout.of_kind(Kind.PEER)[0], "identities.forget")


def test_two_of_three_partners_decide_and_one_does_not(fabric_network: RunningNetwork) -> None:
    """A partner that submits with its own endorsement alone gets its transaction into a block, but not valid."""
    layout = fabric_network.layout
    peers, orderers = layout.of_kind(Kind.PEER), layout.of_kind(Kind.ORDERER)
    _submit(layout, peers[:2], orderers[0])
    with pytest.raises(ProgramError, match="ENDORSEMENT_POLICY_FAILURE"):
        _submit(layout, peers[:1], orderers[0])


def _greeted(layout: Layout, server: Node, caller: str) -> bool:
    """Whether a chaincode server speaks HTTP/2 with the peers of this organisation."""
    context = ssl.create_default_context(cafile=layout.organisation(server.msp_id) / "link" / "cert.pem")
    context.set_alpn_protocols(["h2"])
    own = peers_pair(layout, caller)
    context.load_cert_chain(own / "cert.pem", own / "key.pem")
    try:
        with (
            socket.create_connection((LOOPBACK, server.ports["serve"]), 10) as plain,
            context.wrap_socket(plain, server_hostname=server.name) as connection,
        ):
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            return connection.recv(100) != b""
    except (ssl.SSLError, ConnectionError):
        return False


def test_a_chaincode_server_takes_only_its_own_organisation(fabric_network: RunningNetwork) -> None:
    """Another partner's certificate, though valid on the channel, does not open its chaincode server."""
    layout = fabric_network.layout
    server = next(node for node in layout.of_kind(Kind.CHAINCODE) if node.msp_id == PARTNERS[0])
    assert _greeted(layout, server, PARTNERS[0])
    assert not _greeted(layout, server, PARTNERS[1])


def test_profiles_lead_to_the_network(fabric_network: RunningNetwork) -> None:
    """Addresses, TLS authorities and names of a profile open real TLS connections; its files are there."""
    assert list(fabric_network.profiles) == list(PARTNERS)
    for msp_id, file in fabric_network.profiles.items():
        profile = json.loads(file.read_text())
        assert (profile["version"], profile["msp_id"], profile["channel"]) == (1, msp_id, "sealtrail")
        assert profile["peers"][0]["msp_id"] == msp_id
        assert (len(profile["peers"]), len(profile["orderers"])) == (3, 4)
        assert Path(profile["certificate"]).is_file()
        assert Path(profile["key"]).stat().st_mode & 0o777 == 0o600
    for node in profile["peers"] + profile["orderers"]:
        host, _, port = node["address"].partition(":")
        context = ssl.create_default_context(cafile=node["tls_ca"])
        with (
            socket.create_connection((host, int(port)), 10) as plain,
            context.wrap_socket(plain, server_hostname=node["server_name"]) as connection,
        ):
            assert connection.version() == "TLSv1.3"


@pytest.mark.parametrize("msp_id", PARTNERS)
def test_every_partner_asks_the_contract_through_its_profile(fabric_network: RunningNetwork, msp_id: str) -> None:
    """The profile is enough for the project's own client."""

    async def ask() -> bytes:
        ledger = FabricLedger(read_profile(fabric_network.profiles[msp_id]))
        try:
            return await ledger.evaluate("identities.list", b"gateway")
        finally:
            await ledger.close()

    assert asyncio.run(ask()) == b"\x80"


def test_up_again_changes_nothing(fabric_network: RunningNetwork) -> None:
    before = {node.name: (node.pid, node.detail) for node in status(fabric_network.topology)}
    assert up(fabric_network.topology) == fabric_network.profiles
    assert {node.name: (node.pid, node.detail) for node in status(fabric_network.topology)} == before


def test_another_topology_is_refused_in_the_same_folder(fabric_network: RunningNetwork) -> None:
    with pytest.raises(NetworkError, match="the topology changed"):
        up(topology(fabric_network.topology.folder.parent, partners=2))


def test_one_fallen_orderer_of_four_stops_nothing_and_comes_back(fabric_network: RunningNetwork) -> None:
    wanted = fabric_network.topology
    victim = Process(wanted.folder / "run", fabric_network.layout.of_kind(Kind.ORDERER)[3].name)
    pid = victim.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while victim.pid() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert {node.name for node in status(wanted) if node.health == "dead"} == {victim.name}
    layout = fabric_network.layout
    _submit(layout, layout.of_kind(Kind.PEER)[:2], layout.of_kind(Kind.ORDERER)[1])
    up(wanted)
    assert {node.health for node in status(wanted)} == {"healthy"}
    assert victim.pid() not in (None, pid)


def _has_ended(pid: int | None) -> bool:
    """Gone, or a zombie whose last thread is still leaving, which its parent can only collect a moment later."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_one_partner_one_orderer_down_and_up_again(tmp_path: Path) -> None:
    wanted = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    with running(wanted) as network:
        before, layout = _heights(wanted), network.layout
        pids = [node.pid for node in status(wanted)]
        assert len(down(wanted)) == 4
        assert {node.health for node in status(wanted)} == {"stopped"}
        assert all(_has_ended(pid) for pid in pids)
        up(wanted)
        assert _heights(wanted) == before
        assert _query(layout, layout.of_kind(Kind.PEER)[0], "identities.list", "gateway") == "80"
    assert not wanted.folder.exists()


def test_a_taken_port_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    need_fabric()
    wanted = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    with socket.create_server((LOOPBACK, 0)) as stranger:
        port = stranger.getsockname()[1]
        if port > 65_500:
            pytest.skip("the system gave one of the last ports, which leaves none after it")
        with pytest.raises(NodeError, match=rf"orderer0.plantmsp: port {port} \(serve\) is taken"):
            up(msgspec.structs.replace(wanted, first_port=port))
    assert list(wanted.folder.glob("run/*.pid")) == []


def test_a_chaincode_server_that_falls_is_told_with_its_last_words(tmp_path: Path) -> None:
    need_fabric()
    wanted = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    falls = Chaincode(command=[sys.executable, "-c", "raise SystemExit('no contract here')"])
    told = r"chaincode.plantmsp ended while starting(.|\n)*no contract here"
    with pytest.raises(NodeError, match=told), running(msgspec.structs.replace(wanted, chaincode=falls)):
        pytest.fail("it came up")
    assert not wanted.folder.exists()


def test_the_command_line_from_up_to_clean(tmp_path: Path) -> None:
    need_fabric()
    wanted = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    file, options = tmp_path / "topology.toml", ["--topology", str(tmp_path / "topology.toml")]
    file.write_text(
        'data = "network"\n[[organisations]]\nmsp_id = "PlantMSP"\n[ordering]\nconsensus = "raft"\norderers = 1\n'
        f"[chaincode]\ncommand = {json.dumps(wanted.chaincode.command)}\n"
    )
    runner = CliRunner()
    try:
        output = runner.invoke(app, ["up", *options], catch_exceptions=False).stdout
        assert f"PlantMSP: {wanted.folder}/organisations/PlantMSP/profile.json" in output
        shown = runner.invoke(app, ["status", *options])
        assert shown.exit_code == 0, shown.stdout
        assert re.findall(r"^(\S+) .* healthy ", shown.stdout, re.MULTILINE) == [
            "orderer0.plantmsp", "peer0.plantmsp", "chaincode.plantmsp",
        ]  # fmt: skip
        assert "sealtrail" in runner.invoke(app, ["logs", "peer0.plantmsp", *options]).stdout
        assert runner.invoke(app, ["down", *options]).stdout == "ended 4 processes\n"
        assert runner.invoke(app, ["status", *options]).exit_code == 1
    finally:
        runner.invoke(app, ["clean", "--yes", *options], catch_exceptions=False)
    assert not wanted.folder.exists()
