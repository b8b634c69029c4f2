"""Identities on disk: authorities, MSP folders and TLS pairs of every organisation, made once and then kept.

An MSP folder has the form that Fabric reads (cacerts, tlscacerts, signcerts, keystore, config.yaml with NodeOUs).
Private keys are written with mode 0600 into folders of mode 0700. In a network of several companies each would run
this for itself; here one operator holds all the keys, which is for one machine only.
"""

import json
from pathlib import Path

from crypto.files import write_durably
from crypto.x509_authority import Authority, Credential
from network.layout import Kind, Layout, Node

ADMIN, GATEWAY = "admin", "gateway"
USERS = {ADMIN: "admin", GATEWAY: "client"}
NODE_OUS = ("client", "peer", "admin", "orderer")
CERTIFICATE, KEY = "cert.pem", "key.pem"


def make_identities(layout: Layout) -> None:
    """Write what is missing; what is there stays as it is."""
    for msp_id in layout.topology.msp_ids:
        _make_organisation(layout, msp_id)
    for node in layout.nodes:
        _make_node(layout, node)


def _make_organisation(layout: Layout, msp_id: str) -> None:
    folder = layout.organisation(msp_id)
    ca, tls_ca = authority_at(folder / "ca", msp_id, "ca"), authority_at(folder / "tlsca", msp_id, "tlsca")
    _write_msp(folder / "msp", ca, tls_ca, None)
    days = layout.topology.certificate_days
    for user, unit in USERS.items():
        home, name = folder / "users" / user, f"{user}.{msp_id.lower()}"
        if not (home / "tls" / CERTIFICATE).exists():
            _write_msp(home / "msp", ca, tls_ca, ca.issue(name, unit, days))
            write_credential(home / "tls", tls_ca.issue_tls(name, days))


def _make_node(layout: Layout, node: Node) -> None:
    if (node.folder / "tls" / CERTIFICATE).exists():
        return
    organisation, days = layout.organisation(node.msp_id), layout.topology.certificate_days
    ca = authority_at(organisation / "ca", node.msp_id, "ca")
    tls_ca = authority_at(organisation / "tlsca", node.msp_id, "tlsca")
    if node.kind is not Kind.CHAINCODE:
        _write_msp(node.folder / "msp", ca, tls_ca, ca.issue(node.name, node.kind, days))
    # The TLS pair comes last: it is the mark that the node's identities are whole.
    write_credential(node.folder / "tls", tls_ca.issue_tls(node.name, days, node.host))


def authority_at(folder: Path, msp_id: str, name: str) -> Authority:
    """The authority in this folder, made new on first use."""
    if not (folder / CERTIFICATE).exists():
        write_credential(folder, Authority.create(msp_id, f"{name}.{msp_id.lower()}").credential())
    return Authority.load(Credential((folder / CERTIFICATE).read_bytes(), (folder / KEY).read_bytes()))


def write_credential(folder: Path, credential: Credential) -> None:
    """Write key, then certificate."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(folder / KEY, credential.key, mode=0o600)
    write_durably(folder / CERTIFICATE, credential.certificate)


def _write_msp(folder: Path, ca: Authority, tls_ca: Authority, own: Credential | None) -> None:
    """An MSP folder; without `own` it is the public one, which defines the organisation on the channel."""
    _put(folder / "cacerts" / "ca.pem", ca.credential().certificate)
    _put(folder / "tlscacerts" / "tlsca.pem", tls_ca.credential().certificate)
    _put(folder / "config.yaml", json.dumps(node_ous()).encode())
    if own is not None:
        _put(folder / "keystore" / "priv_sk", own.key, mode=0o600)
        _put(folder / "signcerts" / CERTIFICATE, own.certificate)


def node_ous() -> dict[str, object]:
    """NodeOUs: a certificate's role is its organisational unit. Fabric reads YAML, of which JSON is a part."""
    roles: dict[str, object] = {
        f"{unit.title()}OUIdentifier": {"OrganizationalUnitIdentifier": unit} for unit in NODE_OUS
    }
    return {"NodeOUs": {"Enable": True} | roles}


def _put(file: Path, content: bytes, *, mode: int = 0o644) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(file, content, mode=mode)
