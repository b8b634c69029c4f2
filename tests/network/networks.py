"""Topologies for tests, and a network that is up for the length of a `with` and leaves no process behind."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from network.errors import ProgramError
from network.layout import Layout, lay_out
from network.lifecycle import clean, up
from network.programs import find_programs
from network.topology import Consensus, Ordering, Organisation, Topology

PARTNERS = ("PlantMSP", "CarrierMSP", "PharmacyMSP")
# The project's own chaincode server, run by the interpreter that runs the tests.


def topology(folder: Path, *, partners: int = 3, consensus: Consensus = Consensus.BFT, orderers: int = 4) -> Topology:
    """A topology of so many partners with a peer each; ports are free ones."""
    return Topology(
        organisations=[Organisation(msp_id=msp_id) for msp_id in PARTNERS[:partners]],
        data=str(folder / "network"),
        ordering=Ordering(consensus=consensus, orderers=orderers, batch_timeout_ms=50),
    )


def need_fabric() -> None:
    """Skip, saying in one line what is not here."""
    try:
        find_programs()
    except ProgramError as e:
        pytest.skip(str(e))
    pytest.importorskip("grpc", reason="the chaincode server needs the extra `fabric`")
    pytest.importorskip("fabric_protos", reason="the chaincode server needs the extra `fabric`")


@dataclass(frozen=True, slots=True)
class RunningNetwork:
    """A network that is up: {msp id: connection profile} and where everything is."""

    topology: Topology
    profiles: dict[str, Path]

    @property
    def layout(self) -> Layout:
        """Its nodes."""
        return lay_out(self.topology)


@contextlib.contextmanager
def running(wanted: Topology) -> Iterator[RunningNetwork]:
    """Bring it up; end its processes and remove its folder, whatever happens."""
    need_fabric()
    try:
        yield RunningNetwork(wanted, up(wanted))
    finally:
        clean(wanted)
