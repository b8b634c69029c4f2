"""The topology file: which organisations there are, with how many peers and orderers, and by which rules.

One TOML file (docs/network.md), trusted as the operator's word; every value is checked, unknown keys are refused.
"""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from network.errors import TopologyError
from network.ports import LOOPBACK, PORTS_END

MAX_FILE_BYTES = 64 * 1024
MspId = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,30}$")]
ChannelName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9.-]{0,62}$")]
ChaincodeName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,40}$")]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")]
Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,20}$")]
BFT_LEAST_ORDERERS = 4


class Consensus(StrEnum):
    """How the orderers agree: BFT outlives lying orderers, Raft only crashed ones."""

    BFT = "BFT"
    RAFT = "raft"


class AuthorityKind(StrEnum):
    """Who signs an organisation's certificates: an authority made here, or a CA that it has."""

    OWN = "own"
    EXTERNAL = "external"


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Organisation(_Section, frozen=True):
    """A partner: its MSP id, the host of its nodes (name or IPv4 address), and how many peers it runs.

    With an external authority, `ca` and `tls_ca` are files with that authority's certificates.
    """

    msp_id: MspId
    host: Host = LOOPBACK
    peers: Annotated[int, Meta(ge=1, le=4)] = 1
    authority: AuthorityKind = AuthorityKind.OWN
    ca: str = ""
    tls_ca: str = ""


class Ordering(_Section, frozen=True):
    """The ordering service; the orderers are handed out to the organisations in turn. With 0 the channel is others'."""

    consensus: Consensus = Consensus.BFT
    orderers: Annotated[int, Meta(ge=0, le=16)] = 4
    batch_timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 200
    batch_messages: Annotated[int, Meta(ge=1, le=5000)] = 500


class Chaincode(_Section, frozen=True):
    """The contract: its definition on the channel, and the command that serves it."""

    name: ChaincodeName = "sealtrail"
    version: Version = "1"
    endorsement: Annotated[str, Meta(min_length=1, max_length=2000)] = "majority"
    command: Annotated[list[str], Meta(max_length=32)] = []


class Topology(_Section, frozen=True):
    """The whole file. `data` is absolute once loaded; `first_port` 0 takes free ports."""

    organisations: Annotated[list[Organisation], Meta(min_length=1, max_length=16)]
    channel: ChannelName = "sealtrail"
    data: str = "network-data"
    first_port: Annotated[int, Meta(ge=0, lt=PORTS_END)] = 0
    certificate_days: Annotated[int, Meta(ge=1, le=7300)] = 1825
    log_bytes: Annotated[int, Meta(ge=64 * 1024, le=2**30)] = 16 * 2**20
    ordering: Ordering = Ordering()
    chaincode: Chaincode = Chaincode()

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def msp_ids(self) -> list[str]:
        """Organisations in the file's order."""
        return [organisation.msp_id for organisation in self.organisations]

    def what_is_fixed(self) -> dict[str, object]:
        """The part of a topology that cannot change once a channel was made from it."""
        fixed = ("organisations", "channel", "first_port", "ordering")
        whole: dict[str, object] = msgspec.to_builtins(self)
        return {name: whole[name] for name in fixed} | {"chaincode": {"name": self.chaincode.name}}


def load_topology(file: Path) -> Topology:
    """Read and check a topology file; a relative `data` is relative to the file.

    Raises:
        TopologyError: unreadable, not TOML, or a value is wrong; names the place.
    """
    try:
        content = file.read_bytes()
        if len(content) > MAX_FILE_BYTES:
            raise TopologyError(f"{file}: expected at most {MAX_FILE_BYTES:,} bytes, got {len(content):,}")
        topology = msgspec.convert(tomllib.loads(content.decode()), Topology)
    except OSError as e:
        raise TopologyError(f"cannot read the topology {file}: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise TopologyError(f"{file} is not TOML: {e}") from e
    except msgspec.ValidationError as e:
        raise TopologyError(f"{file}: {e}") from e
    _check(file, topology)
    home = file.absolute().parent
    organisations = [_with_absolute_files(organisation, home) for organisation in topology.organisations]
    return msgspec.structs.replace(topology, data=str(home / topology.data), organisations=organisations)


def _with_absolute_files(organisation: Organisation, home: Path) -> Organisation:
    if organisation.authority is AuthorityKind.OWN:
        return organisation
    return msgspec.structs.replace(
        organisation, ca=str(home / organisation.ca), tls_ca=str(home / organisation.tls_ca)
    )  # fmt: skip


def _check(file: Path, topology: Topology) -> None:
    """Rules between values."""
    names = [name.lower() for name in topology.msp_ids]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise TopologyError(f"{file}: two organisations have the msp_id {double[0]}; each needs its own")
    for organisation in topology.organisations:
        _check_authority(file, organisation)
    ordering = topology.ordering
    if ordering.consensus is Consensus.BFT and 0 < ordering.orderers < BFT_LEAST_ORDERERS:
        raise TopologyError(
            f"{file}: BFT needs at least {BFT_LEAST_ORDERERS} orderers to outlive one, got {ordering.orderers}; "
            'add orderers or set consensus = "raft"'
        )


def _check_authority(file: Path, organisation: Organisation) -> None:
    files = bool(organisation.ca) + bool(organisation.tls_ca)
    if organisation.authority is AuthorityKind.EXTERNAL and files != 2:
        raise TopologyError(f"{file}: {organisation.msp_id} has an external authority; name its `ca` and `tls_ca`")
    if organisation.authority is AuthorityKind.OWN and files:
        raise TopologyError(
            f'{file}: {organisation.msp_id} has `ca` or `tls_ca`, which need `authority = "external"`; add that, '
            "or leave them out"
        )
