"""Renewed certificates on real networks: the channel goes on while and after every certificate is renewed.

The channel's configuration names certificates of the consenters that ended before the network first came up, with
the keys of those that the orderers run with. That is what a channel looks like years after it was made.
"""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from chain.ledger.fabric.evidence import verify
from crypto.errors import KeyMaterialError
from crypto.files import write_durably
from crypto.x509_authority import Authority, expiry
from crypto.x509_ecdsa import read_certificate
from network.channel.genesis import PROFILE, definition
from network.cli import app
from network.data_folder import check_unchanged, locked
from network.errors import NetworkError, NodeError
from network.identities.authorities import authority, peers_pair
from network.identities.msp_folders import make_identities
from network.identities.places import By, places
from network.layout import Kind, Layout, lay_out
from network.lifecycle import down, status, up
from network.nodes.health import user_warnings
from network.nodes.package import package_file, package_id
from network.programs import find_programs, run_program
from network.renewal import renew
from network.topology import Consensus, Topology
from tests.network.anchoring import Anchoring
from tests.network.networks import RunningNetwork, need_fabric, running, topology
from tests.torture.scale import long_only

ONE_MINUTE = 1 / (24 * 60)
MONTH = datetime.timedelta(days=30)


def _reissue(layout: Layout, days: float) -> None:
    """Every certificate of nodes and users gets one of so many days, which begins five minutes ago."""
    for place in places(layout):
        giver = authority(layout, place.wanted.organisation, place.by)
        write_durably(place.certificate, giver.renew(place.certificate.read_bytes(), days))


def _make_genesis(layout: Layout) -> None:
    """As make_genesis, but a leader's silence is noticed after 4 s and not 20, so that the test is quick."""
    wanted = definition(layout)
    if bft := wanted["Orderer"].get("SmartBFT"):
        bft |= {"LeaderHeartbeatTimeout": "4s", "ViewChangeTimeout": "4s", "ViewChangeResendInterval": "1s"}
    folder = layout.topology.folder
    (folder / "configtx.yaml").write_text(json.dumps({"Profiles": {PROFILE: wanted}}))
    command = [find_programs().configtxgen, "-profile", PROFILE, "-channelID", layout.topology.channel]
    run_program([*command, "-outputBlock", str(layout.genesis), "-configPath", str(folder)], {})


def _with_old_genesis(wanted: Topology) -> Topology:
    """Identities that end in ten days, and a genesis block that names ended certificates of the same keys."""
    need_fabric()
    with locked(wanted):
        check_unchanged(wanted)
        layout = lay_out(wanted)
        make_identities(layout)
        _reissue(layout, ONE_MINUTE)
        now = datetime.datetime.now(datetime.UTC)
        assert all(end < now for place in places(layout) if (end := place.end()))
        _make_genesis(layout)
        _reissue(layout, 10)
    return wanted


@pytest.fixture(params=[(Consensus.BFT, 2, 4), (Consensus.RAFT, 1, 3)], ids=["bft", "raft"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningNetwork]:
    consensus, partners, orderers = request.param
    with running(
        _with_old_genesis(topology(tmp_path, partners=partners, consensus=consensus, orderers=orderers))
    ) as net:
        yield net


@long_only
@pytest.mark.fabric
def test_everything_is_renewed_while_the_channel_goes_on(network: RunningNetwork) -> None:
    wanted, layout, gateway = network.topology, network.layout, Anchoring(network.profiles["PlantMSP"])
    servers = layout.of_kind(Kind.CHAINCODE)
    package_ids = [package_id(layout, package_file(layout, server)) for server in servers]
    kids = [read_certificate(place.certificate.read_bytes()).kid for place in places(layout)]
    gateway.enrol()
    assert all("in 9 days" in node.warning for node in status(wanted))
    assert len(user_warnings(layout)) == 2 * len(servers)

    def anchor_before_each(line: str) -> None:
        """No orderer is stopped before the channel works with the one that was restarted before it."""
        if "restarting orderer" in line:
            gateway.anchor()

    done = renew(wanted, MONTH, anchor_before_each)

    partners, orderers = len(servers), len(layout.of_kind(Kind.ORDERER))
    assert len(done.renewed) == len(list(places(layout))) == partners * (4 + 2 + 1) + 2 * orderers
    assert sorted(done.restarted) == sorted(node.name for node in layout.nodes)
    assert {node.health for node in status(wanted)} == {"healthy"}
    assert {node.warning for node in status(wanted)} | set(user_warnings(layout)) == {""}
    assert [read_certificate(place.certificate.read_bytes()).kid for place in places(layout)] == kids
    assert [package_id(layout, package_file(layout, server)) for server in servers] == package_ids
    gateway.anchor()
    assert renew(wanted, MONTH).restarted == []
    down(wanted)
    up(wanted)
    gateway.anchor()
    # Blocks of the old certificates and of the new ones verify under the same configuration.
    assert len(gateway.evidence) == orderers + 2
    pin = gateway.evidence[0].config_header.hash
    for evidence in gateway.evidence:
        verify(evidence, {pin})


@long_only
@pytest.mark.fabric
def test_a_network_whose_certificates_ended_comes_back(tmp_path: Path) -> None:
    need_fabric()
    wanted = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    with locked(wanted):
        check_unchanged(wanted)
        layout = lay_out(wanted)
        make_identities(layout)
        _reissue(layout, ONE_MINUTE)
    try:
        with pytest.raises(NodeError, match="ended while starting"):
            up(wanted)
    finally:
        down(wanted)
    assert len(renew(wanted, datetime.timedelta(0)).renewed) == 9
    with running(wanted):
        assert {node.health for node in status(wanted)} == {"healthy"}
        # While nodes run with certificates that ended, a restart one by one cannot work, and is not tried.
        _reissue(layout, ONE_MINUTE)
        assert all("ended on" in node.warning for node in status(wanted))
        done = renew(wanted, MONTH)
        assert (done.had_ended, done.restarted) == (True, [])
        assert {node.warning for node in status(wanted)} == {""}


def test_the_peers_end_of_the_chaincode_link_lasts_as_long_as_its_authority(tmp_path: Path) -> None:
    layout = lay_out(topology(tmp_path, partners=1))
    make_identities(layout)
    end = authority(layout, "PlantMSP", By.LINK).certificate.not_valid_after_utc
    assert expiry((peers_pair(layout, "PlantMSP") / "cert.pem").read_bytes()) == end
    assert peers_pair(layout, "PlantMSP") not in {place.certificate.parent for place in places(layout)}


def test_no_certificate_outlives_its_authority_nor_is_renewed_by_another() -> None:
    own, other = Authority.create("PlantMSP", "ca.plantmsp"), Authority.create("PlantMSP", "ca.plantmsp")
    issued = own.issue("peer0.plantmsp", "peer", 100_000)
    assert expiry(issued.certificate) == own.certificate.not_valid_after_utc
    assert expiry(own.renew(issued.certificate, 100_000)) == own.certificate.not_valid_after_utc
    with pytest.raises(KeyMaterialError, match="only this authority's own certificates"):
        other.renew(issued.certificate, 10)


def test_the_command_says_what_it_did_and_what_cannot_be_longer(tmp_path: Path) -> None:
    need_fabric()
    file = tmp_path / "topology.toml"
    file.write_text('data = "network"\ncertificate_days = 7300\n[[organisations]]\nmsp_id = "PlantMSP"\n')
    options, runner = ["--topology", str(file)], CliRunner()
    none = runner.invoke(app, ["renew", *options])
    assert isinstance(none.exception, NetworkError)
    assert "there is no network" in str(none.exception)
    assert runner.invoke(app, ["request", *options], catch_exceptions=False).stdout == "no certificate is missing\n"
    kept = runner.invoke(app, ["renew", *options], catch_exceptions=False).stdout
    assert kept == "renewed 0 certificates, restarted 0 nodes\n"
    long = runner.invoke(app, ["renew", "--all", *options], catch_exceptions=False).stdout
    assert "renewed 0 certificates" in long
    assert "peer0.plantmsp (tls)" in long.partition("these end with their authority")[2]
