"""The contract is replaced on a running channel while gateways anchor: none fails, nothing is lost, nothing doubled."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("grpc", reason="needs the extra 'fabric'")
pytest.importorskip("fabric_protos", reason="needs the extra 'fabric'")

from network.channel.peer_command import PeerCommand
from network.errors import NetworkError
from network.layout import Kind, lay_out
from network.lifecycle import down, status, up
from network.nodes.processes import Process
from network.programs import find_programs
from network.releases import read_releases
from network.topology import Chaincode, Topology
from network.upgrade import upgrade
from tests.chain.ledger.fabric.anchorers import Partners
from tests.network.networks import PARTNERS, RunningNetwork, running, topology
from tests.torture.scale import long_only

pytestmark = [pytest.mark.fabric, long_only]
EACH, FEW = 14, 2  # for each of three partners


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    with running(topology(tmp_path_factory.mktemp("upgrade"))) as net:
        yield net


@pytest.fixture(scope="module")
def partners(network: RunningNetwork) -> Partners:
    return Partners(network.profiles)


def _with(network: RunningNetwork, **chaincode: str) -> Topology:
    return msgspec.structs.replace(network.topology, chaincode=Chaincode(**chaincode))


def _servers(wanted: Topology) -> list[str]:
    """Chaincode servers that run."""
    return sorted(
        file.stem for file in wanted.folder.glob("run/chaincode*.pid") if Process(file.parent, file.stem).pid()
    )


def _names(sequence: int) -> list[str]:
    return sorted(f"chaincode-{sequence}.{msp_id.lower()}" for msp_id in PARTNERS)


def test_no_client_notices_an_upgrade(network: RunningNetwork, partners: Partners) -> None:
    wanted = _with(network, version="2")
    with pytest.raises(NetworkError, match="run `sealtrail network upgrade`"):
        up(wanted)

    async def act() -> None:
        async with partners.anchoring(EACH) as load:
            await asyncio.to_thread(upgrade, wanted)
            await load.progress()
        assert len(load.anchorers) == 42
        assert load.errors == []

    asyncio.run(act())
    layout, programs = lay_out(wanted), find_programs()
    assert {PeerCommand(layout, programs, peer).committed() for peer in layout.of_kind(Kind.PEER)} == {2}
    assert _servers(wanted) == _names(2)
    assert {node.health for node in status(wanted)} == {"healthy"}
    up(wanted)
    with pytest.raises(NetworkError, match="the topology changed"):
        up(msgspec.structs.replace(wanted, channel="another"))
    with pytest.raises(NetworkError, match="run `sealtrail network upgrade`"):
        up(network.topology)


def test_an_upgraded_network_comes_back(network: RunningNetwork, partners: Partners) -> None:
    wanted = _with(network, version="2")
    down(wanted)
    assert _servers(wanted) == []
    up(wanted)
    assert _servers(wanted) == _names(2)

    async def act() -> None:
        async with partners.anchoring(1) as load:
            await load.progress()

    asyncio.run(act())


def _killed_at(wanted: Topology, file: Path, line: str) -> None:
    """Run the command in a process of its own and kill it as soon as it says this."""
    partners = "".join(f'[[organisations]]\nmsp_id = "{msp_id}"\n' for msp_id in PARTNERS)
    ordering = f"[ordering]\nbatch_timeout_ms = {wanted.ordering.batch_timeout_ms}\n"
    definition = (
        f'[chaincode]\nversion = "{wanted.chaincode.version}"\nendorsement = "{wanted.chaincode.endorsement}"\n'
    )
    file.write_text(f"data = {json.dumps(wanted.data)}\n{partners}{ordering}{definition}")
    command = [sys.executable, "-m", "sealtrail", "network", "upgrade", "--topology", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = next((one for one in process.stdout if line in one), None)
        process.send_signal(signal.SIGKILL)
    assert said, f"it never said {line!r}"


def test_an_upgrade_that_dies_is_ended_by_another_run(
    network: RunningNetwork, partners: Partners, tmp_path: Path
) -> None:
    """Killed before the commit and given up for another version; that one is killed after its commit and goes on. It
    asks for more endorsers than the transactions in flight have."""
    third, fourth = _with(network, version="3"), _with(network, version="4", endorsement="all")

    async def act() -> None:
        async with partners.anchoring(FEW) as load:
            await asyncio.to_thread(_killed_at, third, tmp_path / "third.toml", "approving the contract")
            with pytest.raises(NetworkError, match="has not ended"):
                up(third)
            assert {node.name for node in status(third) if node.kind == "chaincode"} == {*_names(2), *_names(3)}
            await load.progress()
            await asyncio.to_thread(_killed_at, fourth, tmp_path / "fourth.toml", "until every peer serves version 4")
            await load.progress()
            await asyncio.to_thread(upgrade, fourth)
            await load.progress()
        assert load.errors == []

    asyncio.run(act())
    assert _servers(fourth) == _names(3)
    releases = read_releases(fourth)
    assert releases
    assert (releases.in_force.chaincode, releases.pending) == (fourth.chaincode, None)
    assert upgrade(fourth) == network.profiles
    assert not (fourth.folder / "nodes" / _names(1)[0].replace("-1", "")).exists()
