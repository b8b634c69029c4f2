"""The channel's definition, and the block that Fabric's configtxgen makes of it, read back by Fabric."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from network.channel.genesis import definition, make_genesis
from network.identities.msp_folders import make_identities
from network.layout import Kind, Layout, lay_out
from network.programs import find_programs
from network.topology import Consensus
from tests.network.networks import PARTNERS, need_fabric, topology


def _block(layout: Layout) -> dict[str, Any]:
    """The channel group of a genesis block."""
    programs = find_programs()
    make_identities(layout)
    make_genesis(layout, programs)
    command = [programs.configtxgen, "-inspectBlock", str(layout.genesis)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    group: dict[str, Any] = json.loads(done.stdout)["data"]["data"][0]["payload"]["data"]["config"]["channel_group"]
    return group


def test_orderers_go_to_the_partners_in_turn(tmp_path: Path) -> None:
    layout = lay_out(topology(tmp_path))
    owners = [node.msp_id for node in layout.of_kind(Kind.ORDERER)]
    assert owners == [*PARTNERS, PARTNERS[0]]
    consenters = definition(layout)["Orderer"]["ConsenterMapping"]
    assert [(one["ID"], one["MSPID"]) for one in consenters] == list(enumerate(owners, start=1))


def test_only_orderers_may_sign_blocks_under_raft(tmp_path: Path) -> None:
    layout = lay_out(topology(tmp_path, partners=2, consensus=Consensus.RAFT, orderers=1))
    orderer = definition(layout)["Orderer"]
    assert orderer["Policies"]["BlockValidation"] == {"Type": "Signature", "Rule": "OR('PlantMSP.orderer')"}
    assert [one["ID"] for one in orderer["Organizations"]] == ["PlantMSP"]


@pytest.mark.fabric
def test_a_bft_block_names_its_consenters_with_their_certificates(tmp_path: Path) -> None:
    need_fabric()
    layout = lay_out(topology(tmp_path))
    orderer = _block(layout)["groups"]["Orderer"]
    consenters = orderer["values"]["Orderers"]["value"]["consenter_mapping"]
    nodes = layout.of_kind(Kind.ORDERER)
    assert [one["id"] for one in consenters] == [1, 2, 3, 4]
    assert [one["port"] for one in consenters] == [node.ports["serve"] for node in nodes]
    for one, node in zip(consenters, nodes, strict=True):
        assert base64.b64decode(one["identity"]) == (node.folder / "msp/signcerts/cert.pem").read_bytes()
        assert base64.b64decode(one["server_tls_cert"]) == (node.folder / "tls/cert.pem").read_bytes()
    rule = orderer["policies"]["BlockValidation"]["policy"]["value"]["rule"]["n_out_of"]
    assert (rule["n"], len(rule["rules"])) == (3, 4)


@pytest.mark.fabric
def test_a_block_lets_a_majority_of_partners_decide(tmp_path: Path) -> None:
    need_fabric()
    group = _block(lay_out(topology(tmp_path)))
    application = group["groups"]["Application"]
    assert set(application["groups"]) == set(PARTNERS)
    for name in ("Endorsement", "LifecycleEndorsement", "Admins"):
        assert application["policies"][name]["policy"]["value"]["rule"] == "MAJORITY"
    anchors = application["groups"]["CarrierMSP"]["values"]["AnchorPeers"]["value"]["anchor_peers"]
    assert [one["host"] for one in anchors] == ["127.0.0.1"]
    assert list(group["values"]["Capabilities"]["value"]["capabilities"]) == ["V3_0"]


@pytest.mark.fabric
def test_a_block_is_made_once(tmp_path: Path) -> None:
    need_fabric()
    layout = lay_out(topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1))
    _block(layout)
    before = layout.genesis.read_bytes()
    make_genesis(layout, find_programs())
    assert layout.genesis.read_bytes() == before
