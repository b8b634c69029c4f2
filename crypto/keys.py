"""Signature keys: Ed25519 (RFC 8032), ML-DSA (FIPS 204), composites of both, and SLH-DSA (FIPS 205).

The algorithm always comes from a pinned key record, never from the message. Lengths are checked before any
cryptography. `verify` takes a non-empty context; `verify_raw` exists only for C2SP signed notes, whose
specification fixes the signed bytes, and keys used there are used nowhere else.
"""

import base64
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature

from crypto.errors import KeyMaterialError, SignatureError
from crypto.schemes import SCHEMES, Verifier
from crypto.schemes import Algorithm as Algorithm

_P: Final = 2**255 - 19  # the field of Curve25519
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826  # y of a point of order eight
MAX_CONTEXT_BYTES: Final = 255
PUBLIC_BYTES: Final = {algorithm: scheme.public_bytes for algorithm, scheme in SCHEMES.items()}
SIGNATURE_BYTES: Final = {algorithm: scheme.signature_bytes for algorithm, scheme in SCHEMES.items()}
COMPOSITES: Final = frozenset({Algorithm.ML_DSA_44_ED25519, Algorithm.ML_DSA_65_ED25519})
_PEM: Final = re.compile(rb"-----BEGIN PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")


def algorithm_named(name: str) -> Algorithm:
    """The algorithm of this name; KeyMaterialError lists the known names."""
    try:
        return Algorithm(name)
    except ValueError as e:
        known = ", ".join(Algorithm)
        raise KeyMaterialError(f"unknown signature algorithm {name!r}; expected one of {known}") from e


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A pinned public key: algorithm and raw bytes (lengths: PUBLIC_BYTES)."""

    algorithm: Algorithm
    raw: bytes

    def __post_init__(self) -> None:
        expected = PUBLIC_BYTES[self.algorithm]
        if len(self.raw) != expected:
            raise KeyMaterialError(f"{self.algorithm} public keys are {expected} bytes, got {len(self.raw)}")
        if (self.algorithm is Algorithm.ED25519 or self.algorithm in COMPOSITES) and _is_small_order(self.raw[-32:]):
            raise KeyMaterialError("this Ed25519 public key is a point of small order; generate a real key pair")

    @property
    def kid(self) -> bytes:
        """SHA-256 of the raw public key, 32 bytes."""
        return _kid(self.raw)

    def verify(self, signature: bytes, message: bytes, context: bytes) -> None:
        """Raise SignatureError unless `signature` is this key's over `message` under `context`."""
        _check_context(context)
        self._verify(signature, message, context)

    def verify_raw(self, signature: bytes, message: bytes) -> None:
        """Verify without a context, as C2SP signed notes demand (ML-DSA: empty context)."""
        self._verify(signature, message, b"")

    def _verify(self, signature: bytes, message: bytes, context: bytes) -> None:
        expected = SIGNATURE_BYTES[self.algorithm]
        if len(signature) != expected:
            raise SignatureError(f"{self.algorithm} signatures are {expected} bytes, got {len(signature)}")
        try:
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
def _load_public(key: PublicKey) -> Verifier:
    """Parsed keys are cached: expanding an ML-DSA key costs as much as using it."""
    try:
        return SCHEMES[key.algorithm].verifier(key.raw)
    except ValueError as e:
        raise KeyMaterialError(f"not a valid {key.algorithm} public key: {e}") from e


class PrivateKey:
    """A signing key held in memory, made from its secret (a seed, or two for a composite). Python cannot wipe it; no
    zeroisation is claimed."""

    __slots__ = ("_signer", "public", "secret")

    def __init__(self, algorithm: Algorithm, secret: bytes) -> None:
        expected = SCHEMES[algorithm].secret_bytes
        if len(secret) != expected:
            raise KeyMaterialError(f"{algorithm} private keys are {expected} bytes, got {len(secret)}")
        self.secret: Final = secret
        self._signer = SCHEMES[algorithm].signer(secret)
        self.public: Final = PublicKey(algorithm, self._signer.raw_public)

    @classmethod
    def generate(cls, algorithm: Algorithm) -> "PrivateKey":
        return cls(algorithm, SCHEMES[algorithm].new())

    @classmethod
    def from_pem(cls, pem: bytes) -> "PrivateKey":
        """Read an unencrypted PKCS#8 PEM key of one of the algorithms, an ML-DSA key as its seed alone."""
        found = _PEM.fullmatch(pem)
        try:
            der = base64.b64decode(found[1]) if found else b""
        except ValueError:
            der = b""
        for algorithm, scheme in SCHEMES.items():
            if der.startswith(scheme.pkcs8) and len(der) == len(scheme.pkcs8) + scheme.secret_bytes:
                return cls(algorithm, der[len(scheme.pkcs8) :])
        raise KeyMaterialError(f"expected an unencrypted PKCS#8 PEM private key of {', '.join(Algorithm)}")

    def to_pem(self) -> bytes:
        der = SCHEMES[self.public.algorithm].pkcs8 + self.secret
        lines = b"".join(base64.b64encode(der[i : i + 48]) + b"\n" for i in range(0, len(der), 48))
        return b"-----BEGIN PRIVATE KEY-----\n" + lines + b"-----END PRIVATE KEY-----\n"

    def sign(self, message: bytes, context: bytes) -> bytes:
        """Signature over `message` under a non-empty `context` (one of crypto.labels)."""
        _check_context(context)
        return self._signer.sign(message, context)

    def sign_raw(self, message: bytes) -> bytes:
        """Signature without a context, only for C2SP signed notes."""
        return self._signer.sign(message)


def _check_context(context: bytes) -> None:
    """One rule for all algorithms: FIPS 204 allows 255 bytes, the label of Ed25519 none that are zero."""
    if not 1 <= len(context) <= MAX_CONTEXT_BYTES or b"\x00" in context:
        raise KeyMaterialError(f"a signature context has 1 to {MAX_CONTEXT_BYTES} bytes, none of them zero")
