"""Key encapsulation: X-Wing, ML-KEM-768, ML-KEM-1024 (FIPS 203), and ML-KEM-1024 with P-384.

X-Wing is draft-connolly-cfrg-xwing-kem; the hybrid with P-384 is MLKEM1024-P384 of
draft-irtf-cfrg-concrete-hybrid-kems. A hybrid's secret holds as long as one of its two halves does. The suite comes
from a pinned key record, never from the message; lengths are checked before any cryptography.

ML-KEM rejects implicitly: a ciphertext that was altered gives another secret, not an error. Only what is done with the
secret tells, so every user of this module confirms it (a MAC, an AEAD that opens, a key commitment).
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha3_256, sha256, shake_256
from typing import Any, Final

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from crypto import providers
from crypto.errors import DecryptionError, KeyMaterialError

_X_WING_LABEL: Final = bytes.fromhex("5c2e2f2f5e5c")
_P384_LABEL: Final = b"MLKEM1024-P384"
_P384_ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)


class KemSuite(StrEnum):
    """Names as they stand in key records, files and configuration."""

    X_WING = "x-wing"
    ML_KEM_768 = "ml-kem-768"
    ML_KEM_1024 = "ml-kem-1024"
    ML_KEM_1024_P384 = "ml-kem-1024-p384"


_LARGE: Final = frozenset({KemSuite.ML_KEM_1024, KemSuite.ML_KEM_1024_P384})
_TRADITIONAL_BYTES: Final = {KemSuite.X_WING: 32, KemSuite.ML_KEM_1024_P384: 97}  # a public key, and a ciphertext
SEED_BYTES: Final = {
    KemSuite.X_WING: 32, KemSuite.ML_KEM_768: 64, KemSuite.ML_KEM_1024: 64, KemSuite.ML_KEM_1024_P384: 32,
}  # fmt: skip
PUBLIC_BYTES: Final = {
    KemSuite.X_WING: 1216, KemSuite.ML_KEM_768: 1184, KemSuite.ML_KEM_1024: 1568, KemSuite.ML_KEM_1024_P384: 1665,
}  # fmt: skip
CIPHERTEXT_BYTES: Final = {
    KemSuite.X_WING: 1120, KemSuite.ML_KEM_768: 1088, KemSuite.ML_KEM_1024: 1568, KemSuite.ML_KEM_1024_P384: 1665,
}  # fmt: skip
_HPKE_PUBLIC: Final[dict[KemSuite, Any]] = {
    KemSuite.X_WING: hpke.MLKEM768X25519PublicKey, KemSuite.ML_KEM_1024_P384: hpke.MLKEM1024P384PublicKey,
}  # fmt: skip
_HPKE_PRIVATE: Final[dict[KemSuite, Any]] = {
    KemSuite.X_WING: hpke.MLKEM768X25519PrivateKey, KemSuite.ML_KEM_1024_P384: hpke.MLKEM1024P384PrivateKey,
}  # fmt: skip


def kem_suite_named(name: str) -> KemSuite:
    """The suite of this name; KeyMaterialError lists the known names."""
    try:
        return KemSuite(name)
    except ValueError as e:
        raise KeyMaterialError(f"unknown KEM suite {name!r}; expected one of {', '.join(KemSuite)}") from e


@dataclass(frozen=True, slots=True)
class KemPublicKey:
    """A pinned encapsulation key: suite and raw bytes. Construction checks the length and the key itself (for ML-KEM
    the modulus check of FIPS 203 section 7.2, for P-384 that it is a point of the curve)."""

    suite: KemSuite
    raw: bytes

    def __post_init__(self) -> None:
        expected = PUBLIC_BYTES[self.suite]
        if len(self.raw) != expected:
            raise KeyMaterialError(f"{self.suite} public keys are {expected} bytes, got {len(self.raw)}")
        _load_public(self.suite, self.raw)

    @property
    def kid(self) -> bytes:
        """SHA-256 of the raw public key, 32 bytes."""
        return sha256(self.raw).digest()

    def encapsulate(self) -> tuple[bytes, bytes]:
        """A fresh (ciphertext, 32-byte secret)."""
        lattice, traditional = _load_public(self.suite, self.raw)
        secret, ciphertext = lattice.encapsulate()
        if traditional is None:
            return ciphertext, secret
        point, shared = _meet(self.suite, traditional)
        return ciphertext + point, _combined(self.suite, secret, shared, point, self.raw)

    def hpke_key(self) -> Any:
        """This key as the library's HPKE takes it; only for crypto.hpke."""
        providers.require_hpke()
        lattice, traditional = _load_public(self.suite, self.raw)
        return lattice if traditional is None else _HPKE_PUBLIC[self.suite](lattice, traditional)


class KemPrivateKey:
    """A decapsulation key held in memory, made from its seed. Python cannot wipe it; no zeroisation is claimed."""

    __slots__ = ("_lattice", "_traditional", "public", "seed", "suite")

    def __init__(self, suite: KemSuite, seed: bytes) -> None:
        if len(seed) != SEED_BYTES[suite]:
            raise KeyMaterialError(f"{suite} private keys are seeds of {SEED_BYTES[suite]} bytes, got {len(seed)}")
        self.suite: Final = suite
        self.seed: Final = seed
        self._lattice, self._traditional = _expand(suite, seed)
        raw = self._lattice.public_key().public_bytes_raw()
        self.public: Final = KemPublicKey(suite, raw + _point_of(self._traditional))

    @classmethod
    def generate(cls, suite: KemSuite) -> "KemPrivateKey":
        return cls(suite, secrets.token_bytes(SEED_BYTES[suite]))

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The 32-byte secret; of an altered ciphertext another one. DecryptionError where it cannot be one at all."""
        expected = CIPHERTEXT_BYTES[self.suite]
        if len(ciphertext) != expected:
            raise DecryptionError(f"{self.suite} ciphertexts are {expected} bytes, got {len(ciphertext)}")
        if self._traditional is None:
            return _decapsulated(self._lattice, ciphertext)
        split = expected - _TRADITIONAL_BYTES[self.suite]
        point = ciphertext[split:]
        secret = _decapsulated(self._lattice, ciphertext[:split])
        shared = _exchange(self.suite, self._traditional, point)
        return _combined(self.suite, secret, shared, point, self.public.raw)

    def hpke_key(self) -> Any:
        """This key as the library's HPKE takes it; only for crypto.hpke."""
        providers.require_hpke()
        whole = self._traditional is None
        return self._lattice if whole else _HPKE_PRIVATE[self.suite](self._lattice, self._traditional)


def _decapsulated(lattice: Any, ciphertext: bytes) -> bytes:
    secret: bytes = lattice.decapsulate(ciphertext)
    return secret


def _combined(suite: KemSuite, secret: bytes, shared: bytes, point: bytes, public: bytes) -> bytes:
    """SHA3-256 over both secrets, the traditional ciphertext and key, and the suite's label (X-Wing section 5.3; the
    other hybrid likewise). ML-KEM's own ciphertext needs no place there: ML-KEM binds it."""
    label = _X_WING_LABEL if suite is KemSuite.X_WING else _P384_LABEL
    return sha3_256(secret + shared + point + public[-_TRADITIONAL_BYTES[suite] :] + label).digest()


def _lattice(suite: KemSuite) -> providers.Classes:
    return providers.classes("ml-kem-1024" if suite in _LARGE else "ml-kem-768")


def _expand(suite: KemSuite, seed: bytes) -> tuple[Any, Any]:
    """The private keys of both halves; None for the second where there is one only."""
    private = _lattice(suite).private
    if suite not in _TRADITIONAL_BYTES:
        return private.from_seed_bytes(seed), None
    if suite is KemSuite.X_WING:
        expanded = shake_256(seed).digest(96)
        return private.from_seed_bytes(expanded[:64]), x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    expanded = shake_256(seed).digest(64 + 48)
    scalar = int.from_bytes(expanded[64:], "big")
    if not 0 < scalar < _P384_ORDER:
        raise KeyMaterialError("this seed gives no P-384 key (one in 2^190 does not); generate another")
    return private.from_seed_bytes(expanded[:64]), ec.derive_private_key(scalar, ec.SECP384R1())


@lru_cache(maxsize=1024)
def _load_public(suite: KemSuite, raw: bytes) -> tuple[Any, Any]:
    """Parsed keys are cached: each is used many times, and checking one costs as much as using it."""
    split = len(raw) - _TRADITIONAL_BYTES.get(suite, 0)
    public = _lattice(suite).public
    try:
        lattice = public.from_public_bytes(raw[:split])
        if suite is KemSuite.X_WING:
            return lattice, x25519.X25519PublicKey.from_public_bytes(raw[split:])
        if suite is KemSuite.ML_KEM_1024_P384:
            return lattice, _point(raw[split:])
    except ValueError as e:
        raise KeyMaterialError(f"not a valid {suite} public key: {e}") from e
    return lattice, None


def _point(raw: bytes) -> ec.EllipticCurvePublicKey:
    if raw[0] != 4:
        raise ValueError("P-384 points are uncompressed here: they begin with the byte 4")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), raw)


def _meet(suite: KemSuite, public: Any) -> tuple[bytes, bytes]:
    """An ephemeral key's public bytes, and the secret that it shares with `public`."""
    if suite is KemSuite.X_WING:
        ephemeral = x25519.X25519PrivateKey.generate()
        return ephemeral.public_key().public_bytes_raw(), _agreed(ephemeral.exchange, public)
    ephemeral_p384 = ec.generate_private_key(ec.SECP384R1())
    return _point_of(ephemeral_p384), ephemeral_p384.exchange(ec.ECDH(), public)


def _exchange(suite: KemSuite, private: Any, point: bytes) -> bytes:
    try:
        if suite is KemSuite.X_WING:
            return _agreed(private.exchange, x25519.X25519PublicKey.from_public_bytes(point))
        shared: bytes = private.exchange(ec.ECDH(), _point(point))
    except ValueError as e:
        raise DecryptionError(f"not a {suite} ciphertext: {e}") from e
    return shared


def _agreed(exchange: Any, public: Any) -> bytes:
    """X25519's result. X-Wing takes the zeros of a point of small order as they are, OpenSSL refuses to give them."""
    try:
        shared: bytes = exchange(public)
    except ValueError:
        return bytes(32)
    return shared


def _point_of(private: Any) -> bytes:
    if private is None:
        return b""
    if isinstance(private, x25519.X25519PrivateKey):
        return private.public_key().public_bytes_raw()
    encoded: bytes = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return encoded
