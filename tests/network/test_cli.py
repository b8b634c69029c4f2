"""The command line: what an operator sees before there is a network, and when something is missing."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from network.channel.peer_command import endorsement_flags
from network.cli import app
from network.errors import NetworkError, ProgramError
from network.layout import Kind, lay_out
from network.lifecycle import clean, up
from network.nodes.processes import Process
from network.nodes.starting import chaincode_command
from network.topology import Chaincode, load_topology
from tests.network.networks import need_fabric, topology


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "topology.toml"
    path.write_text('data = "network"\n[[organisations]]\nmsp_id = "PlantMSP"\n')
    return path


def test_a_missing_program_is_named_with_the_mend(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FABRIC_BIN", raising=False)
    result = CliRunner().invoke(app, ["up", "--topology", str(file)])
    assert isinstance(result.exception, ProgramError)
    assert "missing peer, orderer, configtxgen; install Fabric" in str(result.exception)
    assert not (tmp_path / "network").exists()


def test_before_there_is_a_network(file: Path) -> None:
    options = ["--topology", str(file)]
    status = CliRunner().invoke(app, ["status", *options])
    assert (status.exit_code, status.stdout) == (
        1, "there is no network here yet; `sealtrail network up` makes it\n",
    )  # fmt: skip
    assert json.loads(CliRunner().invoke(app, ["status", "--json", *options]).stdout) == {
        "nodes": [], "configuration": None,
    }  # fmt: skip
    assert CliRunner().invoke(app, ["down", *options]).stdout == "nothing was running\n"
    assert CliRunner().invoke(app, ["logs", *options]).stdout == "there are no logs yet\n"
    assert not (file.parent / "network").exists()


def test_logs_are_listed_and_shown(file: Path) -> None:
    run = file.parent / "network" / "run"
    run.mkdir(parents=True)
    Process(run, "peer0.plantmsp").log.write_text("one\ntwo\nthree\n")
    options = ["--topology", str(file)]
    assert CliRunner().invoke(app, ["logs", *options]).stdout == f"{run}/peer0.plantmsp.log\n"
    assert CliRunner().invoke(app, ["logs", "peer0.plantmsp", "-n", "2", *options]).stdout == "two\nthree\n"
    wrong = CliRunner().invoke(app, ["logs", "../../etc/passwd", *options])
    assert isinstance(wrong.exception, NetworkError)
    assert str(wrong.exception) == "no log of '../../etc/passwd'; there are: peer0.plantmsp"


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    need_fabric()
    wanted = topology(tmp_path)
    wanted.folder.mkdir()
    (wanted.folder / "precious.txt").write_text("mine")
    with pytest.raises(NetworkError, match="was not made by"):
        clean(wanted)
    with pytest.raises(NetworkError, match="holds other files"):
        up(wanted)
    assert (wanted.folder / "precious.txt").read_text() == "mine"


def test_clean_asks_first(file: Path) -> None:
    refused = CliRunner().invoke(app, ["clean", "--topology", str(file)], input="n\n")
    assert refused.exit_code == 1
    assert "with its ledgers and keys?" in refused.stdout


def test_the_contract_is_served_with_mutual_tls_by_default(file: Path) -> None:
    layout = lay_out(load_topology(file))
    node = layout.of_kind(Kind.CHAINCODE)[0]
    serve = [sys.executable, "-m", "sealtrail", "chaincode", "serve"]
    command = chaincode_command(layout, node, serve, "sealtrail_1:ab")
    assert command[:5] == serve
    options = dict(zip(command[5::2], command[6::2], strict=True))
    assert (options["--address"], options["--package-id"]) == (node.address, "sealtrail_1:ab")
    assert set(options) == {"--address", "--package-id", "--tls-cert", "--tls-key", "--tls-client-ca"}


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("majority", ["--channel-config-policy", "/Channel/Application/Endorsement"]),
        ("all", ["--signature-policy", "AND('A.peer','B.peer')"]),
        ("any", ["--signature-policy", "OR('A.peer','B.peer')"]),
        ("OutOf(1,'A.peer')", ["--signature-policy", "OutOf(1,'A.peer')"]),
    ],
)
def test_who_must_endorse(words: str, flags: list[str]) -> None:
    assert endorsement_flags(Chaincode(endorsement=words), ["A", "B"]) == flags
