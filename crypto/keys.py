"""Signature keys: Ed25519 (RFC 8032), ML-DSA-44 and ML-DSA-65 (FIPS 204).

The algorithm always comes from a pinned key record, never from the message. Lengths are checked before any
cryptography. `verify` takes a non-empty context; `verify_raw` exists only for C2SP signed notes, whose
specification fixes the signed bytes, and keys used there are used nowhere else.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from crypto.errors import KeyMaterialError, SignatureError


class Algorithm(StrEnum):
    """Names as they stand in key records and configuration."""

    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"


_P: Final = 2**255 - 19  # the field of Curve25519
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826  # y of a point of order eight
MAX_CONTEXT_BYTES: Final = 255
PUBLIC_BYTES: Final = {Algorithm.ED25519: 32, Algorithm.ML_DSA_44: 1312, Algorithm.ML_DSA_65: 1952}
SIGNATURE_BYTES: Final = {Algorithm.ED25519: 64, Algorithm.ML_DSA_44: 2420, Algorithm.ML_DSA_65: 3309}
_PUBLIC: Final[dict[Algorithm, Any]] = {
    Algorithm.ED25519: ed25519.Ed25519PublicKey,
    Algorithm.ML_DSA_44: mldsa.MLDSA44PublicKey,
    Algorithm.ML_DSA_65: mldsa.MLDSA65PublicKey,
}
_PRIVATE: Final[dict[Algorithm, Any]] = {
    Algorithm.ED25519: ed25519.Ed25519PrivateKey,
    Algorithm.ML_DSA_44: mldsa.MLDSA44PrivateKey,
    Algorithm.ML_DSA_65: mldsa.MLDSA65PrivateKey,
}


def algorithm_named(name: str) -> Algorithm:
    """The algorithm of this name; KeyMaterialError lists the known names."""
    try:
        return Algorithm(name)
    except ValueError as e:
        known = ", ".join(Algorithm)
        raise KeyMaterialError(f"unknown signature algorithm {name!r}; expected one of {known}") from e


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A pinned public key: algorithm and raw bytes (32, 1312 or 1952)."""

    algorithm: Algorithm
    raw: bytes

    def __post_init__(self) -> None:
        expected = PUBLIC_BYTES[self.algorithm]
        if len(self.raw) != expected:
            raise KeyMaterialError(f"{self.algorithm} public keys are {expected} bytes, got {len(self.raw)}")
        if self.algorithm is Algorithm.ED25519 and _is_small_order(self.raw):
            raise KeyMaterialError("this Ed25519 public key is a point of small order; generate a real key pair")

    @property
    def kid(self) -> bytes:
        """SHA-256 of the raw public key, 32 bytes."""
        return _kid(self.raw)

    def verify(self, signature: bytes, message: bytes, context: bytes) -> None:
        """Raise SignatureError unless `signature` is this key's over `message` under `context`."""
        _check_context(context)
        if self.algorithm is Algorithm.ED25519:
            self._verify(signature, _with_label(message, context))
        else:
            self._verify(signature, message, context)

    def verify_raw(self, signature: bytes, message: bytes) -> None:
        """Verify without a context, as C2SP signed notes demand (ML-DSA: empty context)."""
        self._verify(signature, message)

    def _verify(self, signature: bytes, message: bytes, context: bytes | None = None) -> None:
        expected = SIGNATURE_BYTES[self.algorithm]
        if len(signature) != expected:
            raise SignatureError(f"{self.algorithm} signatures are {expected} bytes, got {len(signature)}")
        try:
            if context is None:
                _load_public(self).verify(signature, message)
            else:
                _load_public(self).verify(signature, message, context)
        except InvalidSignature as e:
            raise SignatureError(f"{self.algorithm} signature does not verify under key {self.kid.hex()[:16]}…") from e


def _is_small_order(raw: bytes) -> bool:
    """Under a point of small order anybody's signature can verify, so proof of possession would prove nothing.
    RFC 8032 verifiers accept these points; there are eight, of five y coordinates, some in two encodings."""
    y = int.from_bytes(raw, "little") % 2**255 % _P
    return y in (0, 1, _P - 1, _ORDER_8, _P - _ORDER_8)


@lru_cache(maxsize=4096)
def _kid(raw: bytes) -> bytes:
    return sha256(raw).digest()


@lru_cache(maxsize=4096)
def _load_public(key: PublicKey) -> Any:
    """Parsed keys are cached: expanding an ML-DSA key costs as much as using it."""
    try:
        return _PUBLIC[key.algorithm].from_public_bytes(key.raw)
    except ValueError as e:
        raise KeyMaterialError(f"not a valid {key.algorithm} public key: {e}") from e


class PrivateKey:
    """A signing key held in memory. Python cannot wipe it; no zeroisation is claimed."""

    __slots__ = ("_key", "public")

    def __init__(self, algorithm: Algorithm, key: Any) -> None:
        self._key = key
        self.public: Final = PublicKey(algorithm, key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, algorithm: Algorithm) -> "PrivateKey":
        return cls(algorithm, _PRIVATE[algorithm].generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> "PrivateKey":
        """Read an unencrypted PKCS#8 PEM key of one of the three algorithms."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as e:
            raise KeyMaterialError(f"expected an unencrypted PKCS#8 PEM private key: {e}") from e
        for algorithm, kind in _PRIVATE.items():
            if isinstance(key, kind):
                return cls(algorithm, key)
        raise KeyMaterialError(f"expected a key of {', '.join(Algorithm)}, got {type(key).__name__}")

    def to_pem(self) -> bytes:
        private, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        pem: bytes = self._key.private_bytes(serialization.Encoding.PEM, private, plain)
        return pem

    def sign(self, message: bytes, context: bytes) -> bytes:
        """Signature over `message` under a non-empty `context` (one of crypto.labels)."""
        _check_context(context)
        if self.public.algorithm is Algorithm.ED25519:
            return self.sign_raw(_with_label(message, context))
        signature: bytes = self._key.sign(message, context)
        return signature

    def sign_raw(self, message: bytes) -> bytes:
        """Signature without a context, only for C2SP signed notes."""
        signature: bytes = self._key.sign(message)
        return signature


def _check_context(context: bytes) -> None:
    """One rule for all algorithms: FIPS 204 allows 255 bytes, `_with_label` none that are zero."""
    if not 1 <= len(context) <= MAX_CONTEXT_BYTES or b"\x00" in context:
        raise KeyMaterialError(f"a signature context has 1 to {MAX_CONTEXT_BYTES} bytes, none of them zero")


def _with_label(message: bytes, context: bytes) -> bytes:
    """Ed25519 has no context input: the label and a zero byte go before the message. No label holds a
    zero byte, so no (label, message) pair can be read as another."""
    return context + b"\x00" + message
