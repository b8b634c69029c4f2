"""Which definition of the contract is on the channel, and which is being brought there: <data>/contract.json.

The file is replaced as a whole, so a crash leaves an upgrade either not begun, begun or ended.
"""

import msgspec

from crypto.files import write_durably
from network.errors import NetworkError
from network.topology import Chaincode, Topology

FILE = "contract.json"


class Release(msgspec.Struct, frozen=True):
    """A definition of the contract with its sequence on the channel, from 1."""

    sequence: int
    chaincode: Chaincode


class Releases(msgspec.Struct, frozen=True):
    """The release in force, and the one that an upgrade has begun to bring and not ended."""

    in_force: Release
    pending: Release | None = None


def read_releases(topology: Topology) -> Releases | None:
    """None where the network was never up."""
    file = topology.folder / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Releases)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as e:
        raise NetworkError(f"{file} is damaged: {e}; restore it, or begin anew with `sealtrail network clean`") from e


def write_releases(topology: Topology, releases: Releases) -> None:
    write_durably(topology.folder / FILE, msgspec.json.encode(releases))


def check_release(topology: Topology) -> None:
    """Note the first release. NetworkError unless the topology's contract is the one in force; its command may
    differ, and then counts for servers that are started."""
    releases = read_releases(topology)
    if releases is None:
        write_releases(topology, Releases(Release(1, topology.chaincode)))
        return
    if releases.pending:
        version = releases.pending.chaincode.version
        raise NetworkError(f"an upgrade to version {version} has not ended: run `sealtrail network upgrade`")
    there, asked = releases.in_force.chaincode, topology.chaincode
    if (there.version, there.endorsement) != (asked.version, asked.endorsement):
        raise NetworkError(
            f"the contract on the channel has the version {there.version} and the endorsement {there.endorsement!r}, "
            f"the topology says {asked.version} and {asked.endorsement!r}: run `sealtrail network upgrade`"
        )


def sequence_in_force(topology: Topology) -> int:
    """The sequence whose servers `up` runs."""
    releases = read_releases(topology)
    return releases.in_force.sequence if releases else 1


def numbered(name: str, sequence: int) -> str:
    """The name of something that belongs to one release."""
    return name if sequence == 1 else f"{name}-{sequence}"
