"""The topology file: defaults, and every mistake named with its mend."""

from pathlib import Path

import pytest

from network.channel.orderers import orderers
from network.errors import NetworkError, TopologyError
from network.layout import lay_out
from network.topology import Consensus, load_topology

LEAST = '[[organisations]]\nmsp_id = "PlantMSP"\n'
WHOLE = """
channel = "cold-chain"
data = "here"
first_port = 7050
[[organisations]]
msp_id = "PlantMSP"
peers = 2
[[organisations]]
msp_id = "CarrierMSP"
[ordering]
consensus = "raft"
orderers = 3
batch_timeout_ms = 500
[chaincode]
endorsement = "all"
command = ["serve-it", "--quietly"]
"""


def _load(folder: Path, content: str) -> object:
    file = folder / "topology.toml"
    file.write_text(content)
    return load_topology(file)


def test_what_is_not_written_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "topology.toml").write_text(LEAST)
    topology = load_topology(tmp_path / "topology.toml")
    assert (topology.channel, topology.first_port, topology.msp_ids) == ("sealtrail", 0, ["PlantMSP"])
    assert (topology.ordering.consensus, topology.ordering.orderers) == (Consensus.BFT, 4)
    assert (topology.chaincode.name, topology.chaincode.endorsement, topology.chaincode.command) == (
        "sealtrail", "majority", [],
    )  # fmt: skip


def test_every_key_is_taken_and_data_lies_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "topology.toml").write_text(WHOLE)
    topology = load_topology(tmp_path / "topology.toml")
    assert topology.folder == tmp_path / "here"
    assert [(one.msp_id, one.peers) for one in topology.organisations] == [("PlantMSP", 2), ("CarrierMSP", 1)]
    assert (topology.ordering.consensus, topology.ordering.orderers) == (Consensus.RAFT, 3)
    assert topology.chaincode.command == ["serve-it", "--quietly"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "organisations"),
        ("organisations = []", "length >= 1"),
        (LEAST + "[ordering]\norderers = 3", 'add orderers or set consensus = "raft"'),
        (LEAST + '[ordering]\nconsensus = "solo"', "ordering.consensus"),
        (LEAST + '[[organisations]]\nmsp_id = "plantmsp"', "two organisations have the msp_id plantmsp"),
        (LEAST + "peers = 9", r"organisations\[0\].peers"),
        (LEAST + "colour = 1", "colour"),
        ("first_port = 65536\n" + LEAST, "first_port"),
        ('channel = "Loud"\n' + LEAST, "channel"),
        ('[[organisations]]\nmsp_id = "../x"', "msp_id"),
        ("[", "not TOML"),
        ("#" * 70_000, "at most 65,536 bytes"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(TopologyError, match=told):
        _load(tmp_path, content)


def test_who_joins_others_channel_has_no_orderers(tmp_path: Path) -> None:
    (tmp_path / "topology.toml").write_text(LEAST + "[ordering]\norderers = 0")
    layout = lay_out(load_topology(tmp_path / "topology.toml"))
    assert layout.is_guest
    assert [node.name for node in layout.nodes] == ["peer0.plantmsp", "chaincode.plantmsp"]
    with pytest.raises(NetworkError, match="no orderers are known for sealtrail; join it first"):
        orderers(layout)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="cannot read the topology"):
        load_topology(tmp_path / "topology.toml")
