"""Partners come and go on a real channel of three: by the command line, by genesis block, by snapshot, with Fabric's
own `peer` among the signers."""

import asyncio
import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("fabric_protos", reason="needs sealtrail[fabric]")

from fabric_protos.common.common_pb2 import Block, BlockMetadataIndex
from fabric_protos.peer.transaction_pb2 import TxValidationCode
from typer.testing import CliRunner

from chain.ledger.fabric.ledger import FabricLedger
from chain.ledger.fabric.profile import read_profile
from network.channel.broadcast import broadcast
from network.channel.genesis import make_genesis
from network.channel.guest import Entry, approve_as_committed
from network.channel.member import Member
from network.channel.peer_command import PeerCommand
from network.channel.update_file import admin_of, read_update
from network.cli import app
from network.errors import ConfigurationError, NetworkError, UpdateError
from network.identities.places import ADMIN
from network.layout import Kind, Layout, Node
from network.lifecycle import clean, up
from network.nodes.health import peers_known
from network.nodes.package import package_file, package_id
from network.partners import join, leave, new_organisations, propose, sign, submit
from network.ports import LOOPBACK, free_ports
from network.programs import find_programs, run_program
from network.topology import Chaincode, Topology, load_topology
from tests.network.channels import identities_of, joiner
from tests.network.networks import RunningNetwork, need_fabric, topology

pytestmark = pytest.mark.fabric
Where = tuple[Layout, Node]


def _first_peer(layout: Layout, msp_id: str) -> Where:
    return layout, layout.peers_of(msp_id)[0]


def _environment(layout: Layout, node: Node) -> dict[str, str]:
    """For Fabric's `peer` as the organisation's admin."""
    admin = layout.organisation(node.msp_id) / "users" / ADMIN / "msp"
    settings = {"FABRIC_CFG_PATH": str(node.folder / "config"), "CORE_PEER_MSPCONFIGPATH": str(admin)}
    return settings | {"FABRIC_LOGGING_SPEC": "error"}


def _verdict(network: RunningNetwork, endorsers: Sequence[Where]) -> str:
    """What the first of these peers says of a transaction that all of them endorsed, once it is in a block."""
    before = _newest(endorsers[0]).header.number
    orderer = network.layout.of_kind(Kind.ORDERER)[0]
    words = ["-C", "sealtrail", "-n", "sealtrail", "-c", json.dumps({"Args": ["identities.list", "gateway"]})]
    words += ["-o", orderer.address, "--tls", "--cafile", str(_tls_ca((network.layout, orderer)))]
    for where in endorsers:
        words += ["--peerAddresses", where[1].address, "--tlsRootCertFiles", str(_tls_ca(where))]
    run_program([find_programs().peer, "chaincode", "invoke", *words], _environment(*endorsers[0]))
    deadline = time.monotonic() + 30
    while (block := _newest(endorsers[0])).header.number == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return str(TxValidationCode.Name(block.metadata.metadata[BlockMetadataIndex.TRANSACTIONS_FILTER][0]))


def _newest(where: Where) -> Any:
    """A peer's last block."""
    layout, _ = where
    file = layout.topology.folder / "newest.block"
    run_program(
        [find_programs().peer, "channel", "fetch", "newest", str(file), "-c", "sealtrail"], _environment(*where)
    )
    return Block.FromString(file.read_bytes())


def _tls_ca(where: Where) -> Path:
    layout, node = where
    return layout.organisation(node.msp_id) / "tlsca" / "cert.pem"


def _sealtrail(*arguments: object) -> str:
    """Run `sealtrail network ...`; its output."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@contextlib.contextmanager
def _cleaned(wanted: Topology) -> Iterator[Topology]:
    try:
        yield wanted
    finally:
        clean(wanted)


@pytest.fixture(scope="module")
def partners_file(fabric_network: RunningNetwork) -> Path:
    """The topology file of the three partners' running network."""
    file = fabric_network.topology.folder.parent / "partners.toml"
    organisations = "".join(f'[[organisations]]\nmsp_id = "{msp_id}"\n' for msp_id in fabric_network.topology.msp_ids)
    file.write_text(f'data = "network"\n{organisations}[ordering]\nbatch_timeout_ms = 50\n')
    assert load_topology(file) == fabric_network.topology
    return file


def _latest(file: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(_sealtrail("status", "-t", file, "--json"))["configuration"]
    return found


def _member_by_command_line(partners_file: Path, file: Path, folder: Path) -> None:
    """From `org new` to the config block that makes ClinicMSP a member."""
    definition, update = folder / "clinic.pb", folder / "update.pb"
    told = _sealtrail("org", "new", "-t", file, "-o", definition)
    fingerprint = told.splitlines()[1].rpartition(" ")[2]
    options = ["--organisation", definition, "-o", update]
    assert fingerprint in _sealtrail("org", "propose", "-t", partners_file, *options)
    first = _sealtrail("org", "sign", "-t", partners_file, "--as", "PlantMSP", update)
    assert "adds the organisation ClinicMSP" in first
    assert fingerprint in first
    assert "signed by 1 organisations: PlantMSP; needed: 2" in first
    with pytest.raises(UpdateError, match=r"2 of 3 organisations must sign, 1 did \(PlantMSP\); missing are any 1 of"):
        _sealtrail("org", "submit", "-t", partners_file, update)
    with pytest.raises(UpdateError, match="PlantMSP has signed this update already"):
        _sealtrail("org", "sign", "-t", partners_file, "--as", "PlantMSP", update)
    assert "That is enough" in _sealtrail("org", "sign", "-t", partners_file, "--as", "CarrierMSP", update)
    done = _sealtrail("org", "submit", "-t", partners_file, update)
    latest = _latest(partners_file)
    assert f"config block {latest['number']} is in force" in done
    assert f"ledger fabric sealtrail {latest['hash']}\n" in done
    with pytest.raises(UpdateError, match="propose it again"):
        _sealtrail("org", "submit", "-t", partners_file, update)
    with pytest.raises(ConfigurationError, match="ClinicMSP is a member of sealtrail already"):
        _sealtrail("org", "propose", "-t", partners_file, *options)


def _leaves(network: RunningNetwork, leaver: Topology, signers: Sequence[tuple[Topology, str]], folder: Path) -> None:
    update, (msp_id,) = folder / "leave.pb", leaver.msp_ids
    assert leave(network.topology, msp_id, update) == [f"removes the organisation {msp_id}"]
    for wanted, signer in signers:
        sign(wanted, signer, update)
    with pytest.raises(UpdateError, match="a member that stays submits it"):
        submit(leaver, update)
    assert msp_id not in submit(network.topology, update).members


def test_a_partner_joins_by_genesis_block_endorses_and_leaves(
    fabric_network: RunningNetwork, partners_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "clinic.toml"
    file.write_text('data = "clinic"\n[[organisations]]\nmsp_id = "ClinicMSP"\n[ordering]\norderers = 0\n')
    genesis, ours = fabric_network.layout.genesis, fabric_network.topology
    with _cleaned(load_topology(file)) as clinic:
        _member_by_command_line(partners_file, file, tmp_path)
        with pytest.raises(NetworkError, match="join it first: `sealtrail network org join`"):
            up(clinic)
        told = _sealtrail("org", "join", "-t", file, "--genesis", genesis)
        profile = Path(told.splitlines()[-1].partition("ClinicMSP: ")[2])
        assert _latest(file) == _latest(partners_file)

        own = identities_of(clinic)
        new, (plant, carrier) = _first_peer(own, "ClinicMSP"), _old(fabric_network)
        assert _verdict(fabric_network, [plant, carrier, new]) == "VALID"
        assert _verdict(fabric_network, [plant, carrier]) == "ENDORSEMENT_POLICY_FAILURE"
        assert asyncio.run(_ask(profile)) == b"\x80"
        _sealtrail("down", "-t", file)
        _commit_next(fabric_network)
        assert "approved the contract as it is committed, sequence 2" in _sealtrail("up", "-t", file)
        assert _verdict(fabric_network, [plant, carrier, new]) == "VALID"

        _a_joiner_upgrades(file, profile)

        signers = [(ours, "PlantMSP"), (ours, "CarrierMSP"), (clinic, "ClinicMSP")]
        _leaves(fabric_network, clinic, signers, tmp_path)
        assert _verdict(fabric_network, [plant, new]) == "ENDORSEMENT_POLICY_FAILURE"
        assert _verdict(fabric_network, [plant, carrier]) == "VALID"


def _a_joiner_upgrades(file: Path, profile: Path) -> None:
    """Its approval of the new definition named its old package; the peer runs the new one once it is approved again."""
    file.write_text(file.read_text() + '[chaincode]\nversion = "2"\n')
    assert "approved the contract as it is committed, sequence 2" in _sealtrail("upgrade", "-t", file)
    nodes = json.loads(_sealtrail("status", "-t", file, "--json"))["nodes"]
    assert [(node["name"], node["health"]) for node in nodes if node["kind"] == "chaincode"] == [
        ("chaincode-2.clinicmsp", "healthy")
    ]
    assert asyncio.run(_ask(profile)) == b"\x80"


def _old(network: RunningNetwork) -> tuple[Where, Where]:
    return _first_peer(network.layout, "PlantMSP"), _first_peer(network.layout, "CarrierMSP")


def _commit_next(network: RunningNetwork) -> None:
    """The three partners commit the contract's second definition, while the fourth is away."""
    layout, programs = network.layout, find_programs()
    flags = ["--name", "sealtrail", "--version", "2", "--sequence", "2"]
    flags += ["--channel-config-policy", "/Channel/Application/Endorsement"]
    servers, where = {node.msp_id: node for node in layout.of_kind(Kind.CHAINCODE)}, []
    for peer in layout.of_kind(Kind.PEER):
        identifier = package_id(layout, package_file(layout, servers[peer.msp_id]))
        PeerCommand(layout, programs, peer).approve_committed(flags, identifier)
        where += ["--peerAddresses", peer.address, "--tlsRootCertFiles", str(_tls_ca((layout, peer)))]
    orderer = layout.of_kind(Kind.ORDERER)[0]
    where += ["-o", orderer.address, "--tls", "--cafile", str(_tls_ca((layout, orderer)))]
    command = [programs.peer, "lifecycle", "chaincode", "commit", "--waitForEvent", "--channelID", "sealtrail"]
    run_program([*command, *flags, *where], _environment(*_first_peer(layout, "PlantMSP")))


async def _ask(profile: Path) -> bytes:
    """The project's own client goes by the joiner's profile."""
    ledger = FabricLedger(read_profile(profile))
    try:
        return await ledger.evaluate("identities.list", b"gateway")
    finally:
        await ledger.close()


def test_a_partner_joins_by_snapshot_and_fabrics_own_program_signs_too(
    fabric_network: RunningNetwork, partners_file: Path, tmp_path: Path
) -> None:
    ours, update = fabric_network.topology, tmp_path / "update.pb"
    plant, carrier = _old(fabric_network)
    with _cleaned(joiner(tmp_path, "LabMSP")) as lab:
        (definition,) = new_organisations(lab)
        propose(ours, definition, update)
        run_program([find_programs().peer, "channel", "signconfigtx", "-f", str(update)], _environment(*carrier))
        assert sign(ours, "PlantMSP", update).signers == ["CarrierMSP", "PlantMSP"]
        number = submit(ours, update).number
        snapshot = _sealtrail("org", "snapshot", "-t", partners_file, "-o", tmp_path / "snapshot")
        again = _sealtrail("org", "snapshot", "-t", partners_file, "-o", tmp_path / "again")
        assert snapshot.partition(":")[2] == again.partition(":")[2]
        assert f"after block {number}; hash of that block" in snapshot
        with pytest.raises(NetworkError, match="the channel other as in the topology, got 'sealtrail'"):
            _joined_to("other", tmp_path)
        profiles = join(lab, Entry(snapshot=tmp_path / "snapshot"))
        assert [one["address"] for one in json.loads(profiles["LabMSP"].read_text())["orderers"]] == [
            node.address for node in fabric_network.layout.of_kind(Kind.ORDERER)
        ]
        assert (status := _status_of_lab(tmp_path))["number"] == number
        assert status == _latest(partners_file)
        new = _first_peer(identities_of(lab), "LabMSP")
        assert _verdict(fabric_network, [plant, carrier, new]) == "VALID"
        _wait_acquainted(new[1])
        _leaves(fabric_network, lab, [(ours, "PlantMSP"), (ours, "CarrierMSP"), (ours, "PharmacyMSP")], tmp_path)


def _status_of_lab(folder: Path) -> dict[str, object]:
    """The lab's peer lacks the block that is asked for: it is older than the snapshot."""
    file = folder / "lab.toml"
    file.write_text('data = "LabMSP"\n[[organisations]]\nmsp_id = "LabMSP"\n[ordering]\norderers = 0\n')
    return _latest(file)


def _joined_to(channel: str, folder: Path) -> None:
    """Join with a snapshot of another channel."""
    file = folder / "other.toml"
    file.write_text(
        f'data = "other"\nchannel = "{channel}"\n[[organisations]]\nmsp_id = "LabMSP"\n[ordering]\norderers = 0\n'
    )
    new_organisations(load_topology(file))
    join(load_topology(file), Entry(snapshot=folder / "snapshot"))


def _wait_acquainted(node: Node) -> None:
    """Its gateway can only ask the peers it knows."""
    deadline = time.monotonic() + 30
    while peers_known(node, "sealtrail") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_orderer_refuses_what_was_signed_for_nothing(fabric_network: RunningNetwork, tmp_path: Path) -> None:
    """The channel's own rule is the orderers': a member that skips the checks of `submit` gets no further."""
    update = tmp_path / "update.pb"
    leave(fabric_network.topology, "CarrierMSP", update)
    sign(fabric_network.topology, "PlantMSP", update)
    sender = admin_of(fabric_network.layout, "PlantMSP")
    orderers = Member(fabric_network.topology).configuration().orderers()
    envelope = read_update(update).envelope(sender)
    away = dataclasses.replace(orderers[0], address=f"{LOOPBACK}:{free_ports(1)[0]}")
    with pytest.raises(UpdateError, match=r"refused it \(BAD_REQUEST\).*not satisfied"):
        broadcast(envelope, [away, *orderers])
    with pytest.raises(NetworkError, match=f"no orderer of the channel took it:\n  {away.address}: UNAVAILABLE"):
        broadcast(envelope, [away])
    stranger = dataclasses.replace(orderers[0], tls_roots=orderers[1].tls_roots)
    with pytest.raises(NetworkError, match="no orderer of the channel took it"):
        broadcast(envelope, [stranger])


class _Stale(PeerCommand):
    """A partner that read the contract's definition before the members changed it."""

    def definition(self) -> dict[str, Any]:
        return super().definition() | {"version": "0", "approvals": {}}


def test_an_approval_of_what_is_no_longer_committed_is_told(fabric_network: RunningNetwork) -> None:
    layout, peer = _first_peer(fabric_network.layout, "PlantMSP")
    command = _Stale(layout, find_programs(), peer)
    with pytest.raises(ConfigurationError, match=r"not committed as PlantMSP read it \(sequence \d\).*up` again"):
        approve_as_committed(command, "PlantMSP", "sealtrail_1:" + "ab" * 32)
    wanted = msgspec.structs.replace(layout.topology, chaincode=Chaincode(name="other"))
    elsewhere = PeerCommand(dataclasses.replace(layout, topology=wanted), find_programs(), peer)
    with pytest.raises(NetworkError, match=r"the channel has no contract 'other'; set chaincode.name"):
        approve_as_committed(elsewhere, "PlantMSP", "other_1:" + "ab" * 32)


def test_a_genesis_block_whose_orderers_are_gone_is_told(tmp_path: Path) -> None:
    need_fabric()
    gone = identities_of(topology(tmp_path))
    make_genesis(gone, find_programs())
    clinic = joiner(tmp_path)
    with pytest.raises(NetworkError, match="ClinicMSP: no definition here; `sealtrail network org new` comes first"):
        join(clinic, Entry(genesis=gone.genesis))
    new_organisations(clinic)
    with pytest.raises(NetworkError, match=r"no orderer that .* names takes connections.*join by a snapshot"):
        join(clinic, Entry(genesis=gone.genesis))
    with pytest.raises(NetworkError, match="cannot read the block"):
        join(clinic, Entry(genesis=tmp_path / "none"))
    with pytest.raises(NetworkError, match="is no snapshot of a channel"):
        join(clinic, Entry(snapshot=tmp_path))
