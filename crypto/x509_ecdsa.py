"""X.509 identities with ECDSA keys on P-256 or P-384, as Hyperledger Fabric's members have them.

Certificates and signatures are untrusted; what is trusted is the list of roots that the caller pins. Messages are
hashed with SHA-256 on both curves, as Fabric does. Only low-S signatures are made and accepted: of the two values
s and n−s that verify alike, Fabric takes the smaller, so that nobody can turn a signature into another one.
A chain of certificates is checked link by link by signature, validity and CA flag; names are not compared to hosts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from crypto.errors import KeyMaterialError, LimitError, SignatureError

MAX_CERTIFICATE_BYTES: Final = 16 * 1024
MAX_SIGNATURE_BYTES: Final = 104  # DER of two 384-bit integers
MAX_CHAIN: Final = 5
# What cryptography raises beside ValueError for extensions that are absent, there twice, or cannot be read.
BAD_EXTENSIONS: Final = (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_ORDER: Final = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}  # SEC 2, sections 2.4.2 and 2.5.1


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate by its DER bytes; made with `read_certificate` only, which checks that they parse."""

    der: bytes

    def verify(self, signature: bytes, message: bytes) -> None:
        """SignatureError unless `signature` (DER, low-S) is the ECDSA signature with SHA-256 of this key over
        `message`; KeyMaterialError where the key is no ECDSA key on P-256 or P-384."""
        key = _public_key(self.der)
        _require_low_s(signature, key.curve.name)
        try:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as e:
            raise SignatureError(f"the ECDSA signature does not verify under the key of {self.subject}") from e

    @property
    def subject(self) -> str:
        return _load(self.der).subject.rfc4514_string()

    @property
    def units(self) -> frozenset[str]:
        """The organisational units of the subject; Fabric's NodeOUs name a role by them."""
        found = _load(self.der).subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        return frozenset(str(unit.value) for unit in found)

    @property
    def kid(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo in DER, 32 bytes."""
        der, info = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return sha256(_public_key(self.der).public_bytes(der, info)).digest()


def read_certificate(data: bytes) -> Certificate:
    """One certificate from PEM (or DER).

    Raises:
        LimitError: longer than 16 KiB.
        KeyMaterialError: not one X.509 certificate.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise LimitError(f"a certificate has at most {MAX_CERTIFICATE_BYTES} bytes, got {len(data)}")
    return Certificate(_der(data))


@lru_cache(maxsize=1024)
def _der(data: bytes) -> bytes:
    try:
        if data.count(b"-----BEGIN ") == 1:
            certificate = x509.load_pem_x509_certificate(data)
        else:
            certificate = x509.load_der_x509_certificate(data)
        return certificate.public_bytes(serialization.Encoding.DER)
    except (ValueError, x509.InvalidVersion) as e:
        raise KeyMaterialError(f"expected one X.509 certificate: {e}") from e


@lru_cache(maxsize=1024)
def _load(der: bytes) -> x509.Certificate:
    """Parsed certificates are cached: the same few members sign everything."""
    return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=1024)
def _public_key(der: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key: Any = _load(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as e:
        raise KeyMaterialError(f"the certificate's public key cannot be read: {e}") from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _ORDER:
        raise KeyMaterialError(f"expected an ECDSA key on P-256 or P-384, got {type(key).__name__}")
    return key


def _require_low_s(signature: bytes, curve: str) -> None:
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise LimitError(f"an ECDSA signature has at most {MAX_SIGNATURE_BYTES} bytes, got {len(signature)}")
    try:
        r, s = decode_dss_signature(signature)
    except ValueError as e:
        raise SignatureError(f"expected an ECDSA signature in DER: {e}") from e
    # The encoding is unique too, or padding would make one signature into many.
    if s > _ORDER[curve] // 2 or r < 1 or s < 1 or encode_dss_signature(r, s) != signature:
        raise SignatureError("an ECDSA signature must be strict DER with the smaller of its two values of s")


def verify_chain(leaf: Certificate, intermediates: Sequence[Certificate], roots: Sequence[Certificate]) -> None:
    """SignatureError unless `leaf` is issued by one of the pinned `roots`, directly or through `intermediates`, every
    issuer of them a CA. A root itself is no leaf. Evidence holds no time that could be trusted, so expiry is not
    judged against a clock: as in Fabric, every issuer must have been valid when the leaf's own validity began."""
    at = _load(leaf.der).not_valid_before_utc
    current, left = leaf, [one for one in intermediates if _valid(one, at)]
    trusted = [root for root in roots if _valid(root, at)]
    for _ in range(MAX_CHAIN):
        if any(is_issued_by(current, root) for root in trusted):
            return
        issuer = next((one for one in left if is_issued_by(current, one)), None)
        if issuer is None:
            break
        left.remove(issuer)
        current = issuer
    raise SignatureError(f"the certificate of {leaf.subject} does not lead to a pinned root")


def require_not_revoked(leaf: Certificate, revocation_lists: Sequence[bytes], issuers: Sequence[Certificate]) -> None:
    """SignatureError where a list in PEM, signed by one of `issuers`, names the leaf; KeyMaterialError where a list
    cannot be read."""
    for data in revocation_lists:
        try:
            found = x509.load_pem_x509_crl(data)
        except ValueError as e:
            raise KeyMaterialError(f"expected a certificate revocation list in PEM: {e}") from e
        named = found.get_revoked_certificate_by_serial_number(_load(leaf.der).serial_number) is not None
        signed = any(found.is_signature_valid(_public_key(issuer.der)) for issuer in issuers)
        if named and signed and found.issuer == _load(leaf.der).issuer:
            raise SignatureError(f"the certificate of {leaf.subject} is revoked")


def _valid(certificate: Certificate, at: datetime) -> bool:
    loaded = _load(certificate.der)
    return loaded.not_valid_before_utc <= at <= loaded.not_valid_after_utc


def is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether `issuer` is a CA whose key signed `certificate`; names must match too."""
    try:
        _load(certificate.der).verify_directly_issued_by(_load(issuer.der))
        constraints = _load(issuer.der).extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, *BAD_EXTENSIONS):
        return False
    return bool(constraints.value.ca) and certificate != issuer


def with_low_s(certificate: Certificate, issuer: Certificate) -> Certificate:
    """The certificate with the smaller of the two values of s in its signature, as Fabric writes it (RFC 5280, 4.1).

    KeyMaterialError where the issuer's key is no ECDSA key on P-256 or P-384."""
    order, loaded = _ORDER[_public_key(issuer.der).curve.name], _load(certificate.der)
    r, s = decode_dss_signature(loaded.signature)
    if s <= order // 2:
        return certificate
    old, new = _bit_string(loaded.signature), _bit_string(encode_dss_signature(r, order - s))
    start = certificate.der.index(loaded.tbs_certificate_bytes)
    content = certificate.der[start : -len(old)] + new
    return Certificate(_der(b"\x30" + _der_length(content) + content))


def _bit_string(content: bytes) -> bytes:
    whole = b"\0" + content
    return b"\x03" + _der_length(whole) + whole


def _der_length(content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([length])
    needed = (length.bit_length() + 7) // 8
    return bytes([0x80 | needed]) + length.to_bytes(needed, "big")


class EcdsaSigner:
    """A signing key held in memory; makes low-S ECDSA signatures with SHA-256, in DER."""

    __slots__ = ("_key",)

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def from_pem(cls, pem: bytes) -> "EcdsaSigner":
        """Read an unencrypted PKCS#8 PEM key on P-256 or P-384; KeyMaterialError for anything else."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as e:
            raise KeyMaterialError(f"expected an unencrypted PKCS#8 PEM private key: {e}") from e
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _ORDER:
            raise KeyMaterialError(f"expected an ECDSA key on P-256 or P-384, got {type(key).__name__}")
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return encode_dss_signature(r, min(s, _ORDER[self._key.curve.name] - s))

    def belongs_to(self, certificate: Certificate) -> bool:
        """Whether this is the private key of `certificate`."""
        return self._key.public_key() == _public_key(certificate.der)
