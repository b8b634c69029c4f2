"""Certificates and MSP folders, parsed back with the library that did not write them as we did."""

import datetime
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crypto.errors import KeyMaterialError
from crypto.x509_authority import P256_ORDER, Authority, Credential, expiry
from network.identities.msp_folders import make_identities
from network.layout import Kind, lay_out
from network.nodes.health import node_status
from network.topology import Topology
from tests.network.networks import topology


def _unit(certificate: x509.Certificate) -> list[str | bytes]:
    return [unit.value for unit in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]


def test_an_identity_chains_to_its_authority_and_carries_its_role() -> None:
    authority = Authority.create("PlantMSP", "ca.plantmsp")
    issued = authority.issue("peer0.plantmsp", "peer", 90)
    certificate = x509.load_pem_x509_certificate(issued.certificate)
    certificate.verify_directly_issued_by(authority.certificate)
    key = serialization.load_pem_private_key(issued.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert key.public_key() == certificate.public_key()
    assert _unit(certificate) == ["peer"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime == datetime.timedelta(days=90)
    assert expiry(issued.certificate) == certificate.not_valid_after_utc


def test_a_tls_certificate_serves_both_sides_under_its_name() -> None:
    authority = Authority.create("PlantMSP", "tlsca.plantmsp")
    certificate = x509.load_pem_x509_certificate(authority.issue_tls("orderer0.plantmsp", 1).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["orderer0.plantmsp", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_every_signature_has_a_low_s() -> None:
    """Half of all signatures would not; 24 certificates pass by chance once in 16 million."""
    authority = Authority.create("PlantMSP", "ca.plantmsp")
    for _ in range(24):
        certificate = x509.load_pem_x509_certificate(authority.issue("x", "client", 1).certificate)
        assert decode_dss_signature(certificate.signature)[1] <= P256_ORDER // 2


def test_an_authority_that_is_not_pem_is_refused() -> None:
    with pytest.raises(KeyMaterialError, match="not PEM"):
        Authority.load(Credential(b"x", b"y"))
    with pytest.raises(KeyMaterialError, match="not a PEM certificate"):
        expiry(b"x")


def test_msp_folders_have_fabrics_form_and_private_keys_are_private(tmp_path: Path) -> None:
    layout = lay_out(topology(tmp_path, partners=1))
    make_identities(layout)
    home = layout.topology.folder
    own = home / "nodes" / "orderer0.plantmsp" / "msp"
    files = {path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file()}
    assert files == {
        "cacerts/ca.pem", "tlscacerts/tlsca.pem", "signcerts/cert.pem", "keystore/priv_sk", "config.yaml",
    }  # fmt: skip
    assert not (home / "organisations" / "PlantMSP" / "msp" / "keystore").exists()
    roles = json.loads((own / "config.yaml").read_text())["NodeOUs"]
    assert roles["OrdererOUIdentifier"] == {"OrganizationalUnitIdentifier": "orderer"}
    keys = [path for path in home.rglob("*") if path.name in ("key.pem", "priv_sk")]
    # Authorities, the peers' end of the link to the chaincode server, users, orderers, the peer, that server.
    assert len(keys) == 3 + 1 + 2 * 2 + 4 * 2 + 2 + 1
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert home.stat().st_mode & 0o777 == 0o700


def test_identities_are_made_once(tmp_path: Path) -> None:
    layout = lay_out(topology(tmp_path, partners=2))
    make_identities(layout)
    before = {path: path.read_bytes() for path in layout.topology.folder.rglob("*.pem")}
    make_identities(layout)
    assert before == {path: path.read_bytes() for path in layout.topology.folder.rglob("*.pem")}


@pytest.mark.parametrize(("days", "told"), [(20, "in 19 days; `sealtrail network renew` helps"), (400, "")])
def test_status_warns_a_month_before_a_certificate_ends(tmp_path: Path, days: int, told: str) -> None:
    wanted = topology(tmp_path, partners=1)
    layout = lay_out(Topology(organisations=wanted.organisations, data=wanted.data, certificate_days=days))
    make_identities(layout)
    status = node_status(layout, layout.of_kind(Kind.PEER)[0])
    assert status.health == "stopped"
    assert status.certificate_until is not None
    assert status.warning.endswith(told)
    assert bool(status.warning) is bool(told)
