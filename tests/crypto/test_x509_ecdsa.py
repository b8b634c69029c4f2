"""ECDSA under X.509 certificates: strict low-S signatures, chains to pinned roots, revocation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import KeyMaterialError, LimitError, SealtrailError, SignatureError
from crypto.x509_ecdsa import Certificate, EcdsaSigner, read_certificate, require_not_revoked, verify_chain

ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
START = datetime(2026, 1, 1, tzinfo=UTC)
PEM, PKCS8, PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
# RFC 6979, appendix A.2.5: P-256, SHA-256, message "sample"; its s is the larger one.
RFC_D = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
RFC_S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8


def _name(text: str, unit: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]
    parts += [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name(parts)


class Authority:
    """A key with a certificate; issues others."""

    def __init__(self, name: str, issuer: "Authority | None" = None, *, ca: bool = True, key: Any = None,
                 start: datetime = START, days: int = 3650, unit: str | None = None) -> None:  # fmt: skip
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name, unit)
        self.serial = x509.random_serial_number()
        by = issuer or self
        self.made = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(by.name).public_key(self.key.public_key())
            .serial_number(self.serial).not_valid_before(start).not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(by.key, None if isinstance(by.key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        )  # fmt: skip
        self.certificate = read_certificate(self.made.public_bytes(PEM))

    @property
    def signer(self) -> EcdsaSigner:
        return EcdsaSigner.from_pem(self.key.private_bytes(PEM, PKCS8, PLAIN))

    def revoke(self, *serials: int) -> bytes:
        crl = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(START)
        crl = crl.next_update(START + timedelta(days=1))
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(START).build()
            crl = crl.add_revoked_certificate(entry)
        return crl.sign(self.key, hashes.SHA256()).public_bytes(PEM)


ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)
LEAF = Authority("leaf", ROOT, ca=False, unit="peer")
DEEP = Authority("deep", MIDDLE, ca=False)


@given(st.binary(max_size=100))
def test_what_is_signed_verifies(message: bytes) -> None:
    signature = LEAF.signer.sign(message)
    LEAF.certificate.verify(signature, message)
    assert decode_dss_signature(signature)[1] <= ORDER_P256 // 2
    with pytest.raises(SignatureError, match="does not verify"):
        LEAF.certificate.verify(signature, message + b"x")
    with pytest.raises(SignatureError, match="does not verify"):
        ROOT.certificate.verify(signature, message)


def test_the_published_vector_in_its_low_form_only() -> None:
    other = Authority("rfc", ca=False, key=ec.derive_private_key(RFC_D, ec.SECP256R1()))
    other.certificate.verify(encode_dss_signature(RFC_R, ORDER_P256 - RFC_S), b"sample")
    with pytest.raises(SignatureError, match="smaller of its two values"):
        other.certificate.verify(encode_dss_signature(RFC_R, RFC_S), b"sample")


def test_the_twin_of_a_signature_is_refused() -> None:
    r, s = decode_dss_signature(LEAF.signer.sign(b"m"))
    with pytest.raises(SignatureError, match="smaller of its two values"):
        LEAF.certificate.verify(encode_dss_signature(r, ORDER_P256 - s), b"m")


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", bytes(64), b"\x30\x06\x02\x01\x00\x02\x01\x00"])
def test_what_is_no_signature(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        LEAF.certificate.verify(signature, b"m")


def test_a_signature_has_a_bound_and_no_tail() -> None:
    good = LEAF.signer.sign(b"m")
    with pytest.raises(SealtrailError):
        LEAF.certificate.verify(good + b"\x00", b"m")
    with pytest.raises(LimitError):
        LEAF.certificate.verify(good + bytes(100), b"m")


def test_p384_signs_sha256() -> None:
    other = Authority("p384", ca=False, key=ec.generate_private_key(ec.SECP384R1()))
    signature = other.signer.sign(b"m")
    other.certificate.verify(signature, b"m")
    other.made.public_key().verify(signature, b"m", ec.ECDSA(hashes.SHA256()))  # type: ignore[union-attr,call-arg,arg-type]


def test_other_keys_are_refused() -> None:
    other = Authority("ed", ca=False, key=ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(KeyMaterialError, match="P-256 or P-384"):
        other.certificate.verify(b"", b"")
    with pytest.raises(KeyMaterialError, match="P-256 or P-384"):
        _ = other.signer
    koblitz = Authority("koblitz", ca=False, key=ec.generate_private_key(ec.SECP256K1()))
    with pytest.raises(KeyMaterialError, match="P-256 or P-384"):
        koblitz.certificate.verify(b"", b"")
    with pytest.raises(KeyMaterialError, match="PKCS#8"):
        EcdsaSigner.from_pem(b"no key")


def test_key_and_certificate_belong_together() -> None:
    assert LEAF.signer.belongs_to(LEAF.certificate)
    assert not LEAF.signer.belongs_to(ROOT.certificate)


def test_units_and_kid() -> None:
    from hashlib import sha256

    assert LEAF.certificate.units == {"peer"}
    assert ROOT.certificate.units == frozenset()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    assert LEAF.certificate.kid == sha256(LEAF.key.public_key().public_bytes(serialization.Encoding.DER, info)).digest()


@pytest.mark.parametrize("data", [b"", b"x", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate(data: bytes) -> None:
    with pytest.raises(KeyMaterialError):
        read_certificate(data)


def test_a_certificate_of_no_known_version() -> None:
    """One bit of the version altered: cryptography has an error of its own for it."""
    der = ROOT.certificate.der
    place = der.index(bytes.fromhex("a003020102")) + 4
    with pytest.raises(KeyMaterialError, match=r"expected one X.509 certificate: 3 is not a valid X509 version"):
        read_certificate(der[:place] + b"\x03" + der[place + 1 :])


def test_one_certificate_of_bounded_size() -> None:
    pem = LEAF.made.public_bytes(PEM)
    with pytest.raises(KeyMaterialError):
        read_certificate(pem + pem)
    with pytest.raises(LimitError):
        read_certificate(bytes(16 * 1024 + 1))
    assert read_certificate(LEAF.made.public_bytes(serialization.Encoding.DER)) == Certificate(LEAF.certificate.der)


def test_chains_that_hold() -> None:
    verify_chain(LEAF.certificate, [], [ROOT.certificate])
    verify_chain(DEEP.certificate, [MIDDLE.certificate], [ROOT.certificate])
    verify_chain(DEEP.certificate, [], [MIDDLE.certificate])


STRANGER = Authority("root")
UNDER_LEAF = Authority("under", LEAF, ca=False)
EXPIRED = Authority("expired", days=1)
LATE = Authority("late", EXPIRED, ca=False, start=START + timedelta(days=30))


@pytest.mark.parametrize(
    ("leaf", "between", "roots"),
    [
        (LEAF, [], []),
        (LEAF, [], [STRANGER]),  # the same name, another key
        (DEEP, [], [ROOT]),  # a link is missing
        (ROOT, [], [ROOT]),  # a root is no member
        (UNDER_LEAF, [LEAF], [ROOT]),  # issued by one who is no CA
        (LATE, [], [EXPIRED]),  # issued after its issuer had expired
        (DEEP, [MIDDLE, MIDDLE], [STRANGER]),
    ],
)
def test_chains_that_do_not_hold(leaf: Authority, between: list[Authority], roots: list[Authority]) -> None:
    with pytest.raises(SignatureError, match="does not lead to a pinned root"):
        verify_chain(leaf.certificate, [one.certificate for one in between], [one.certificate for one in roots])


def test_revocation() -> None:
    issuers = [ROOT.certificate]
    require_not_revoked(LEAF.certificate, [], issuers)
    require_not_revoked(LEAF.certificate, [ROOT.revoke(MIDDLE.serial)], issuers)
    # A list that no issuer signed says nothing.
    require_not_revoked(LEAF.certificate, [STRANGER.revoke(LEAF.serial)], issuers)
    with pytest.raises(SignatureError, match="is revoked"):
        require_not_revoked(LEAF.certificate, [ROOT.revoke(MIDDLE.serial, LEAF.serial)], issuers)
    with pytest.raises(KeyMaterialError, match="revocation list"):
        require_not_revoked(LEAF.certificate, [b"x"], issuers)
