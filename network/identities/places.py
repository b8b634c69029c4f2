"""Every certificate of nodes and users: whose it is, where it lies, and which authority gives it.

A node or user has an identity (in an MSP folder) and a TLS pair. The link between an organisation's peers and its
chaincode server is its own affair: a small authority of its own, made here, gives the certificates of both ends.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from crypto.x509_authority import expiry
from crypto.x509_request import Wanted
from network.layout import Kind, Layout, Node
from network.ports import LOOPBACK

ADMIN, GATEWAY = "admin", "gateway"
USERS = {ADMIN: "admin", GATEWAY: "client"}
CERTIFICATE, KEY = "cert.pem", "key.pem"


class By(StrEnum):
    """An organisation's authorities; the value is the folder."""

    CA = "ca"
    TLS_CA = "tlsca"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Place:
    """One certificate with its key: `home` is the folder of the node or user that has it; `node` is None for users."""

    wanted: Wanted
    by: By
    home: Path
    node: Node | None

    @property
    def name(self) -> str:
        """Node or user, and which of its certificates."""
        return f"{self.wanted.name} ({self.what})"

    @property
    def what(self) -> str:
        """`identity` or `tls`."""
        return "identity" if self.by is By.CA else "tls"

    @property
    def msp(self) -> Path:
        """The MSP folder, for an identity."""
        return self.home / "msp"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.msp / "keystore" / "priv_sk" if self.by is By.CA else self.home / "tls" / KEY

    @property
    def certificate(self) -> Path:
        """The certificate in use."""
        return self.msp / "signcerts" / CERTIFICATE if self.by is By.CA else self.home / "tls" / CERTIFICATE

    @property
    def request(self) -> Path:
        """What an external authority is asked to sign."""
        return self.home / f"{self.what}.csr"

    @property
    def answer(self) -> Path:
        """Where its certificate is to be put; it is checked before it comes into use."""
        return self.home / f"{self.what}.crt"

    def end(self) -> datetime.datetime | None:
        """When the certificate ends; None while there is none."""
        return expiry(self.certificate.read_bytes()) if self.certificate.exists() else None


def places(layout: Layout) -> Iterator[Place]:
    """All of them: users before nodes, since nodes are asked with the users' certificates."""
    for msp_id in layout.topology.msp_ids:
        for user, unit in USERS.items():
            home, name = layout.organisation(msp_id) / "users" / user, f"{user}.{msp_id.lower()}"
            yield Place(Wanted(msp_id, name, unit), By.CA, home, None)
            yield Place(Wanted(msp_id, name, None, _hosts(name, LOOPBACK)), By.TLS_CA, home, None)
    for node in layout.nodes:
        yield from places_of(node)


def places_of(node: Node) -> Iterator[Place]:
    """A node's certificates."""
    if node.kind is not Kind.CHAINCODE:
        yield Place(Wanted(node.msp_id, node.name, node.kind.value), By.CA, node.folder, node)
    by = By.LINK if node.kind is Kind.CHAINCODE else By.TLS_CA
    yield Place(Wanted(node.msp_id, node.name, None, _hosts(node.name, node.host)), by, node.folder, node)


def _hosts(name: str, host: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((name, "localhost", LOOPBACK, host)))
