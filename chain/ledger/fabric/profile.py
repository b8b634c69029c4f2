"""The connection profile: which channel, as whom, and through which peers (docs/formats/connection-profile.md).

Written by whoever set the network up and read from the site's own disk, so it is trusted; its form is checked.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from chain.errors import LedgerError
from chain.ledger.fabric import protos
from crypto.errors import KeyMaterialError
from crypto.x509_ecdsa import EcdsaSigner, read_certificate

VERSION = 1
MAX_BYTES = 256 * 1024
Name = Annotated[str, Meta(min_length=1, max_length=250)]


class Node(msgspec.Struct, frozen=True):
    """A peer or orderer: organisation, host:port, its TLS root (PEM file) and the name in its TLS certificate."""

    msp_id: Name
    address: Name
    tls_ca: Name
    server_name: str | None = None


class Profile(msgspec.Struct, frozen=True):
    """The file's content; paths are absolute. The first peers are the client's own gateways."""

    version: int
    channel: Name
    chaincode: Name
    msp_id: Name
    certificate: Name
    key: Name
    peers: Annotated[tuple[Node, ...], Meta(min_length=1, max_length=100)]
    orderers: Annotated[tuple[Node, ...], Meta(max_length=100)] = ()

    @property
    def gateways(self) -> tuple[Node, ...]:
        """Peers of the client's own organisation, or all of them where none is."""
        return tuple(peer for peer in self.peers if peer.msp_id == self.msp_id) or self.peers


def now_us() -> int:
    """The system's clock."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Identity:
    """A member who signs: its serialised identity, and the callback that makes a low-S ECDSA signature with SHA-256
    in DER. The key itself may stay in a hardware module behind the callback. `now_us` is its clock, in µs since 1970:
    peers refuse proposals whose time is more than 15 minutes off."""

    creator: bytes
    sign: Callable[[bytes], bytes]
    now_us: Callable[[], int] = now_us


def read_profile(path: Path) -> Profile:
    """LedgerError where the file cannot be read or is no profile of version 1."""
    data = read_file(path, "connection profile")
    try:
        profile = msgspec.json.decode(data, type=Profile)
    except msgspec.MsgspecError as e:
        raise LedgerError(f"{path} is no connection profile: {e}") from e
    if profile.version != VERSION:
        raise LedgerError(f"{path} is a connection profile of version {profile.version}, expected {VERSION}")
    return profile


def read_identity(profile: Profile) -> Identity:
    """The profile's member with its key on disk; KeyMaterialError where certificate and key do not match."""
    pem = read_file(Path(profile.certificate), "certificate")
    certificate = read_certificate(pem)
    signer = EcdsaSigner.from_pem(read_file(Path(profile.key), "private key"))
    if not signer.belongs_to(certificate):
        raise KeyMaterialError(f"{profile.key} is not the private key of {profile.certificate}")
    identity = protos.identities.SerializedIdentity(mspid=profile.msp_id, id_bytes=pem)
    return Identity(identity.SerializeToString(), signer.sign)


def read_file(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise LedgerError(f"the {what} {path} cannot be read: {e.strerror}") from e
    if len(data) > MAX_BYTES:
        raise LedgerError(f"the {what} {path} has over {MAX_BYTES} bytes")
    return data
