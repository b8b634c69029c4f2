"""X.509 as Fabric wants it: an authority for each organisation, and the certificates it gives.

ECDSA P-256 with SHA-256. Fabric takes only signatures with a low S (BIP 146's rule; Fabric, bccsp/utils/ecdsa.go)
and otherwise rewrites the certificate, so that its bytes would no longer be those that the channel names as a
consenter: certificates are therefore signed again until S is low. Private keys leave as PKCS#8 PEM.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from crypto.errors import KeyMaterialError
from crypto.x509_ecdsa import BAD_EXTENSIONS

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
AUTHORITY_DAYS = 7300
# Clocks of partners differ; a certificate is valid from a little before it was made.
CLOCK_SKEW = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates of one organisation."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, organisation: str, name: str) -> "Authority":
        """A new self-signed authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = subject_name(organisation, name)
        usage = key_usage(certificate_signing=True)
        builder = (
            _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return cls(_sign(builder, key), key)

    @classmethod
    def load(cls, credential: Credential) -> "Authority":
        """An authority from its PEM files."""
        try:
            certificate = x509.load_pem_x509_certificate(credential.certificate)
            key = serialization.load_pem_private_key(credential.key, None)
        except ValueError as e:
            raise KeyMaterialError(f"an authority's certificate or key is not PEM: {e}") from e
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyMaterialError("an authority's key must be ECDSA P-256; make the organisation anew")
        return cls(certificate, key)

    def credential(self) -> Credential:
        """Certificate and key as PEM."""
        return Credential(_pem(self.certificate), key_pem(self.key))

    def issue(self, name: str, unit: str, days: int) -> Credential:
        """An identity: `unit` is its NodeOU (peer, orderer, client, admin)."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._issued(key, self._leaf(name, unit, key, days))

    def issue_tls(self, name: str, days: int, hosts: Sequence[str] = ()) -> Credential:
        """A TLS certificate for both sides, valid for `name`, localhost, 127.0.0.1 and `hosts`."""
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        every = dict.fromkeys((name, "localhost", "127.0.0.1", *hosts))
        names = x509.SubjectAlternativeName([general_name(one) for one in every])
        builder = self._leaf(name, None, key, days).add_extension(purposes, critical=False)
        return self._issued(key, builder.add_extension(names, critical=False))

    def renew(self, certificate: bytes, days: int) -> bytes:
        """A new PEM certificate with the key, subject, purposes and names of a PEM certificate of this authority.

        Raises:
            KeyMaterialError: another authority gave that certificate, or it is not PEM.
        """
        try:
            old = x509.load_pem_x509_certificate(certificate)
            old.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature) as e:
            raise KeyMaterialError(f"only this authority's own certificates can be renewed by it: {e}") from e
        key = old.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise KeyMaterialError(f"expected a certificate of an ECDSA key, got {type(key).__name__}")
        builder = _builder(old.subject, old.issuer, key, days, self.certificate.not_valid_after_utc)
        for extension in old.extensions:
            if extension.oid != ExtensionOID.SUBJECT_KEY_IDENTIFIER:  # the builder has it
                builder = builder.add_extension(extension.value, extension.critical)
        return _pem(_sign(builder, self.key))

    def _leaf(self, name: str, unit: str | None, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        organisation = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
        subject = subject_name(str(organisation), name, unit)
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            _builder(subject, self.certificate.subject, key.public_key(), days, self.certificate.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(certificate_signing=False), critical=True)
            .add_extension(above, critical=False)
        )

    def _issued(self, key: ec.EllipticCurvePrivateKey, builder: x509.CertificateBuilder) -> Credential:
        return Credential(_pem(_sign(builder, self.key)), key_pem(key))


def expiry(certificate: bytes) -> datetime.datetime:
    """When a PEM certificate ends, UTC."""
    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError as e:
        raise KeyMaterialError(f"not a PEM certificate: {e}") from e


def require_authority(certificate: bytes) -> None:
    """KeyMaterialError unless this PEM certificate is a CA's and valid now."""
    try:
        found = x509.load_pem_x509_certificate(certificate)
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        name = found.subject.rfc4514_string()
    except (ValueError, x509.InvalidVersion, *BAD_EXTENSIONS) as e:
        raise KeyMaterialError(f"expected the PEM certificate of a CA: {e}") from e
    if not constraints.ca:
        raise KeyMaterialError(f"{name} is no CA")
    first, last = found.not_valid_before_utc, found.not_valid_after_utc
    if not first <= datetime.datetime.now(datetime.UTC) <= last:
        raise KeyMaterialError(f"{name} is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}, which is not now")


def general_name(host: str) -> x509.GeneralName:
    """An IP address or a DNS name, as a TLS certificate names it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def subject_name(organisation: str, name: str, unit: str | None = None) -> x509.Name:
    """O=organisation, OU=unit (the role, if any), CN=name."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)]
    if unit is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: int,
    latest: datetime.datetime | None = None,
) -> x509.CertificateBuilder:
    """A certificate from now on for so many days, but not beyond `latest`: none outlives its authority."""
    start = datetime.datetime.now(datetime.UTC) - CLOCK_SKEW
    end = start + datetime.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end if latest is None else min(end, latest))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def key_usage(*, certificate_signing: bool) -> x509.KeyUsage:
    """Signing; an authority's also certificates and revocation lists."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_signing,
        crl_sign=certificate_signing,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Sign until S is low; each try succeeds with probability one half."""
    while True:
        certificate = builder.sign(key, hashes.SHA256())
        if decode_dss_signature(certificate.signature)[1] <= P256_ORDER // 2:
            return certificate


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Unencrypted PKCS#8 PEM."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())
