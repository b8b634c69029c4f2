"""Certificates that an organisation's own authority gives: the request for one (PKCS#10, RFC 2986), and its checks.

The answer is untrusted: a certificate is taken only if it belongs to the key that asked, leads to the organisation's
authority, and is as Fabric wants it. The key is ECDSA P-256 and never leaves.
"""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from crypto.errors import KeyMaterialError, SignatureError
from crypto.x509_authority import general_name, key_pem, key_usage, subject_name
from crypto.x509_ecdsa import Certificate, EcdsaSigner, is_issued_by, read_certificate, verify_chain, with_low_s

MAX_AUTHORITY_BYTES = 64 * 1024
PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
ROLES = frozenset({"client", "peer", "admin", "orderer"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate is for: `unit` is the NodeOU of an identity; `hosts` are the names of a TLS certificate."""

    organisation: str
    name: str
    unit: str | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """An authority's certificates, each PEM: self-signed roots, and intermediates below them."""

    roots: tuple[bytes, ...]
    intermediates: tuple[bytes, ...]

    @classmethod
    def read(cls, data: bytes) -> "Bundle":
        """Split a PEM file with one or more CA certificates.

        Raises:
            KeyMaterialError: no PEM, no root, a certificate that is no CA's, or an intermediate without its issuer.
        """
        if len(data) > MAX_AUTHORITY_BYTES:
            raise KeyMaterialError(f"an authority's file has at most {MAX_AUTHORITY_BYTES} bytes, got {len(data)}")
        try:
            found = x509.load_pem_x509_certificates(data)
        except ValueError as e:
            raise KeyMaterialError(f"an authority's file must hold PEM certificates: {e}") from e
        for one in found:
            _require_ca(one)
        roots = [one for one in found if one.subject == one.issuer]
        intermediates = [one for one in found if one.subject != one.issuer]
        if not roots:
            raise KeyMaterialError("an authority's file needs its self-signed root beside the intermediates")
        bundle = cls(tuple(_pem(one) for one in roots), tuple(_pem(one) for one in intermediates))
        for pem in bundle.intermediates:
            bundle.require_leads_here(pem)
        return bundle

    def require_leads_here(self, certificate: bytes) -> None:
        """KeyMaterialError unless a PEM certificate is issued by one of these authorities."""
        above = [read_certificate(pem) for pem in self.intermediates if pem != certificate]
        try:
            verify_chain(read_certificate(certificate), above, [read_certificate(pem) for pem in self.roots])
        except SignatureError as e:
            raise KeyMaterialError(f"expected a certificate of the organisation's authority: {e}") from e

    def issuer_of(self, certificate: bytes) -> Certificate:
        """The authority that issued a PEM certificate; KeyMaterialError where authorities are below that one, since
        Fabric takes no identity from such a one, or where none of these did."""
        every = [read_certificate(pem) for pem in (*self.roots, *self.intermediates)]
        issuers = [one for one in every if is_issued_by(read_certificate(certificate), one)]
        lowest = [one for one in issuers if not any(is_issued_by(lower, one) for lower in every)]
        if not lowest:
            raise KeyMaterialError("expected a certificate of the lowest intermediate authority, got one from above it")
        return lowest[0]


def new_key() -> bytes:
    """A new private key as PKCS#8 PEM."""
    return key_pem(ec.generate_private_key(ec.SECP256R1()))


def certificate_request(key: bytes, wanted: Wanted) -> bytes:
    """A PKCS#10 request in PEM, signed by the key (PKCS#8 PEM)."""
    private = serialization.load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise KeyMaterialError("a request needs an ECDSA P-256 key")
    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(subject_name(wanted.organisation, wanted.name, wanted.unit))
    builder = builder.add_extension(key_usage(certificate_signing=False), critical=True)
    if wanted.hosts:
        names = x509.SubjectAlternativeName([general_name(host) for host in wanted.hosts])
        builder = builder.add_extension(x509.ExtendedKeyUsage(PURPOSES), critical=False)
        builder = builder.add_extension(names, critical=False)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def accept_certificate(certificate: bytes, key: bytes, wanted: Wanted, authority: Bundle) -> bytes:
    """Check that a certificate in PEM is what was asked for, and return it with a low S.

    Of the two signatures s and n−s that verify alike Fabric takes the smaller one only and rewrites the others; done
    here, the bytes are those that the channel will name.

    Raises:
        KeyMaterialError: says what was expected and what came.
    """
    # 1. One certificate, of our key.
    if not EcdsaSigner.from_pem(key).belongs_to(read_certificate(certificate)):
        raise KeyMaterialError("expected a certificate of the key that made the request, got one of another key")
    loaded = x509.load_pem_x509_certificate(certificate)
    # 2. It leads to the authority and is valid now.
    authority.require_leads_here(certificate)
    issuer = authority.issuer_of(certificate)
    _require_valid_now(loaded)
    # 3. It gives the role, or the names, that were asked for.
    _require_signs(loaded)
    if wanted.unit is not None:
        _require_unit(certificate, wanted.unit)
    if wanted.hosts:
        _require_tls(loaded, wanted)
    return _pem(x509.load_der_x509_certificate(with_low_s(read_certificate(certificate), issuer).der))


def _require_ca(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    if constraints is None or not constraints.ca:
        name = certificate.subject.rfc4514_string()
        raise KeyMaterialError(f"expected certificates of authorities (CA:TRUE), got that of {name}")


def _require_valid_now(certificate: x509.Certificate) -> None:
    now = datetime.datetime.now(datetime.UTC)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not start <= now < end:
        raise KeyMaterialError(f"expected a certificate that is valid now, got one from {start} to {end}")


def _require_signs(certificate: x509.Certificate) -> None:
    """The uses that a certificate is limited to, if it is, include signing."""
    try:
        allowed = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not allowed.digital_signature:
        raise KeyMaterialError("expected a certificate whose key usage has digitalSignature")


def _require_unit(certificate: bytes, unit: str) -> None:
    """One role exactly: Fabric refuses an identity with two."""
    found = read_certificate(certificate).units & ROLES
    if found != {unit}:
        raise KeyMaterialError(f"expected the organisational unit OU={unit}, got {', '.join(sorted(found)) or 'none'}")


def _require_tls(certificate: x509.Certificate, wanted: Wanted) -> None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as e:
        raise KeyMaterialError(f"expected a TLS certificate with names and purposes: {e}") from e
    if lacking := [host for host in wanted.hosts if general_name(host) not in names]:
        raise KeyMaterialError(f"expected the TLS names {', '.join(wanted.hosts)}, got none for {', '.join(lacking)}")
    if not set(PURPOSES) <= set(purposes):
        raise KeyMaterialError("expected a TLS certificate for both sides (serverAuth and clientAuth)")


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
