"""The Compose file, carried out: every service's command is run natively as the file says, and the network brought up.

There is no Docker engine in these tests. What stands in the file is done by hand: variables are replaced, the command
runs with the environment and working folder of the file, and the builder's path inside the peer's image is mapped.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from network.channel.peer_command import PeerCommand
from network.cli import app
from network.compose import compose_file
from network.errors import NodeError
from network.identities.msp_folders import make_identities
from network.layout import Kind, Layout, lay_out
from network.lifecycle import status, up
from network.programs import IMAGE_BUILDER, find_programs
from network.topology import Chaincode, Consensus, load_topology
from tests.network.networks import need_fabric, topology

IMAGE = "registry.example/sealtrail:1"


def _composed(text: str) -> str:
    """A string as Compose reads it: $$ is $, ${NAME:-default} and ${NAME:?message} are variables."""
    given = {"SEALTRAIL_IMAGE": IMAGE}

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name, operator, rest = found[1], found[2], found[3]
        assert name in given or operator == ":-", f"{name} has no value"
        return given.get(name, rest)

    return re.sub(r"\$\$|\$\{([A-Z_]+)(:[-?])([^}]*)\}", value, text)


def _strings(content: Any, change: Any) -> Any:
    if isinstance(content, dict):
        return {key: _strings(value, change) for key, value in content.items()}
    if isinstance(content, list):
        return [_strings(value, change) for value in content]
    return change(content) if isinstance(content, str) else content


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Layout, dict[str, Any]]:
    """A topology file, its layout and the services of the Compose file that the command wrote."""
    need_fabric()
    folder = tmp_path / "of the plants"  # a blank in paths must not matter
    folder.mkdir()
    file = folder / "partners.toml"
    file.write_text(
        'data = "network"\n[[organisations]]\nmsp_id = "PlantMSP"\n[ordering]\nconsensus = "raft"\norderers = 1\n'
    )
    output = folder / "compose.yaml"
    command = ["compose", "--topology", str(file), "-o", str(output)]
    said = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    assert "sealtrail network up --containers" in said
    content = _strings(json.loads(output.read_text()), _composed)
    return file, lay_out(load_topology(file)), content["services"]


def _sources(service: dict[str, Any]) -> list[Path]:
    assert all(mount["source"] == mount["target"] for mount in service["volumes"])
    return [Path(mount["source"]) for mount in service["volumes"]]


def test_no_container_sees_anybody_elses_private_keys(written: tuple[Path, Layout, dict[str, Any]]) -> None:
    _, layout, services = written
    assert set(services) == {node.name for node in layout.nodes}
    for node in layout.nodes:
        own, *others = _sources(services[node.name])
        assert own == node.folder
        assert all(mount["read_only"] for mount in services[node.name]["volumes"][1:])
        visible = [path for source in others for path in [source, *source.rglob("*")] if path.is_file()]
        assert visible
        assert not [path for path in visible if b"PRIVATE KEY" in path.read_bytes()]
    keys = [
        path for path in layout.topology.folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    ]
    seen = {node.name: sum(key.is_relative_to(node.folder) for key in keys) for node in layout.nodes}
    assert seen == {"orderer0.plantmsp": 2, "peer0.plantmsp": 2, "chaincode.plantmsp": 1}
    assert len(keys) > sum(seen.values())  # authorities and users, whom no container sees


def test_what_the_settings_name_is_mounted(written: tuple[Path, Layout, dict[str, Any]]) -> None:
    """Every path of a node's settings and command lies in its mounts, or in its image."""
    _, layout, services = written
    root = str(layout.topology.folder)
    for node in layout.nodes:
        found: list[str] = list(services[node.name]["entrypoint"])
        for file in (node.folder / "config").glob("*.yaml"):
            _strings(json.loads(file.read_text()), found.append)
        named = [Path(text) for text in found if text.startswith(root)]
        assert named
        sources = _sources(services[node.name])
        assert [path for path in named if not any(path.is_relative_to(source) for source in sources)] == []


def test_services_are_images_on_the_hosts_network_that_come_back(written: tuple[Path, Layout, dict[str, Any]]) -> None:
    _, layout, services = written
    assert [services[node.name]["image"] for node in layout.nodes] == [
        "hyperledger/fabric-orderer:3.1", "hyperledger/fabric-peer:3.1", IMAGE,
    ]  # fmt: skip
    for service in services.values():
        assert (service["network_mode"], service["restart"]) == ("host", "unless-stopped")
        assert service["user"] == f"{os.getuid()}:{os.getgid()}"
        assert service["logging"]["options"]["max-size"] == str(16 * 2**20)


def test_a_dollar_in_a_command_is_no_variable(tmp_path: Path) -> None:
    command = ["serve", "--price", "$5", "${SEALTRAIL_IMAGE}"]
    wanted = topology(tmp_path, partners=1, consensus=Consensus.RAFT, orderers=1)
    layout = lay_out(msgspec.structs.replace(wanted, chaincode=Chaincode(command=command)))
    make_identities(layout)
    service = compose_file(layout)["services"]["chaincode.plantmsp"]
    assert _strings(service, _composed)["entrypoint"][:4] == command


def _with_our_builder(config: Path) -> Path:
    """A copy of a peer's settings in which the path of the builder in the image is that of the builder here."""
    settings = (config / "core.yaml").read_text()
    assert IMAGE_BUILDER in settings
    mapped = config.with_name("config-mapped")
    mapped.mkdir()
    (mapped / "core.yaml").write_text(settings.replace(IMAGE_BUILDER, find_programs().builder))
    return mapped


@contextlib.contextmanager
def _run(services: dict[str, Any], layout: Layout) -> Iterator[None]:
    """Run every service's command as the file has it."""
    for peer in layout.of_kind(Kind.PEER):
        environment = services[peer.name]["environment"]
        environment["FABRIC_CFG_PATH"] = str(_with_our_builder(Path(environment["FABRIC_CFG_PATH"])))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("FABRIC_BIN", ""), os.environ["PATH"]])
    with contextlib.ExitStack() as stack:
        for name, service in services.items():
            log = stack.enter_context((layout.topology.folder.parent / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                service["entrypoint"] + service["command"], env={"PATH": path} | service["environment"],
                cwd=service["working_dir"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield


def _is_checked_healthy(service: dict[str, Any]) -> bool:
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD"
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


@pytest.mark.fabric
def test_the_file_carried_out_is_a_network(
    written: tuple[Path, Layout, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, layout, services = written
    wanted, options = load_topology(file), ["--topology", str(file)]
    assert not any(_is_checked_healthy(service) for service in services.values())
    monkeypatch.setattr("network.nodes.health.HEALTHY_WITHIN_S", 0.5)
    with pytest.raises(NodeError, match="start the containers"):
        up(wanted, containers=True)
    monkeypatch.undo()
    with _run(services, layout):
        said = CliRunner().invoke(app, ["up", "--containers", *options], catch_exceptions=False)
        assert "healthy; connection profiles" in said.stdout
        assert list((layout.topology.folder / "run").glob("*")) == []  # it started no process
        deadline = time.monotonic() + 30
        while not all(_is_checked_healthy(service) for service in services.values()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        nodes = status(wanted)
        assert [(node.health, node.pid) for node in nodes] == [("healthy", None)] * 3
        peer = layout.of_kind(Kind.PEER)[0]
        assert PeerCommand(layout, find_programs(), peer).committed()
        assert CliRunner().invoke(app, ["down", *options]).stdout == "nothing was running\n"
        renewed = CliRunner().invoke(app, ["renew", "--all", *options], catch_exceptions=False).stdout
        assert "restart them one after another" in renewed
        assert "orderer0.plantmsp peer0.plantmsp chaincode.plantmsp" in renewed
    assert {node.health for node in status(wanted)} == {"stopped"}
