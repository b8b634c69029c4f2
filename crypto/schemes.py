"""The signature schemes beneath crypto.keys: sizes, and what signs and verifies, one entry for each algorithm.

Ed25519 is that of OpenSSL, ML-DSA and SLH-DSA are those of crypto.providers. The composites are those of
draft-ietf-lamps-pq-composite-sigs with Ed25519 and SHA-512: keys and signatures are the two halves one after the other,
and both halves sign one message that names the pair, so neither can be cut out and used alone.

Only crypto.keys uses this module: it checks lengths and contexts before it calls here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha512
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from crypto import providers

_COMPOSITE_PREFIX: Final = b"CompositeAlgorithmSignatures2025"


class Algorithm(StrEnum):
    """Names as they stand in key records and configuration."""

    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    ML_DSA_44_ED25519 = "ml-dsa-44-ed25519"  # holds only if both do
    ML_DSA_65_ED25519 = "ml-dsa-65-ed25519"
    SLH_DSA_SHA2_128S = "slh-dsa-sha2-128s"  # slow and large, on hashes alone: for recovery keys kept offline


class Verifier(Protocol):
    """A public key, parsed. InvalidSignature or ValueError where a signature does not hold."""

    def verify(self, signature: bytes, message: bytes, context: bytes = b"") -> None: ...


class Signer(Protocol):
    """A private key with its public key's raw bytes."""

    raw_public: bytes

    def sign(self, message: bytes, context: bytes = b"") -> bytes: ...


@dataclass(frozen=True, slots=True)
class Scheme:
    """Lengths in bytes. `pkcs8` is the DER that stands before the secret in a PKCS#8 file (RFC 5958), `new` makes a
    secret, `signer` and `verifier` read one (ValueError where it cannot be one)."""

    public_bytes: int
    signature_bytes: int
    secret_bytes: int
    pkcs8: bytes
    new: Callable[[], bytes]
    signer: Callable[[bytes], Signer]
    verifier: Callable[[bytes], Verifier]


class _Ed25519:
    """Ed25519 has no context input: the label and a zero byte go before the message. No label holds a zero byte, so
    no (label, message) pair can be read as another."""

    def __init__(self, key: Any) -> None:
        self._key = key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            self.raw_public = key.public_key().public_bytes_raw()

    def sign(self, message: bytes, context: bytes = b"") -> bytes:
        signature: bytes = self._key.sign(_labelled(message, context))
        return signature

    def verify(self, signature: bytes, message: bytes, context: bytes = b"") -> None:
        self._key.verify(signature, _labelled(message, context))


def _labelled(message: bytes, context: bytes) -> bytes:
    return context + b"\x00" + message if context else message


class _MlDsa:
    """FIPS 204 with its own context."""

    def __init__(self, key: Any) -> None:
        self._key = key
        if hasattr(key, "public_key"):
            self.raw_public = key.public_key().public_bytes_raw()

    def sign(self, message: bytes, context: bytes = b"") -> bytes:
        signature: bytes = self._key.sign(message, context or None)
        return signature

    def verify(self, signature: bytes, message: bytes, context: bytes = b"") -> None:
        self._key.verify(signature, message, context or None)


class _Composite:
    """Both halves over M' = prefix ‖ label ‖ len(context) ‖ context ‖ SHA-512(message), ML-DSA under the label as its
    context (draft-ietf-lamps-pq-composite-sigs, section 3)."""

    def __init__(self, lattice: Any, classic: Any, label: bytes, split: int) -> None:
        self._lattice, self._classic, self._label, self._split = lattice, classic, label, split
        if hasattr(lattice, "public_key"):
            self.raw_public = lattice.public_key().public_bytes_raw() + classic.public_key().public_bytes_raw()

    def sign(self, message: bytes, context: bytes = b"") -> bytes:
        bound = self._bound(message, context)
        signature: bytes = self._lattice.sign(bound, self._label) + self._classic.sign(bound)
        return signature

    def verify(self, signature: bytes, message: bytes, context: bytes = b"") -> None:
        bound = self._bound(message, context)
        self._lattice.verify(signature[: self._split], bound, self._label)
        self._classic.verify(signature[self._split :], bound)

    def _bound(self, message: bytes, context: bytes) -> bytes:
        return _COMPOSITE_PREFIX + self._label + bytes((len(context),)) + context + sha512(message).digest()


class _SlhDsa:
    """FIPS 205 by pqcrypto; the last half of a secret is the public key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.raw_public = key[-32:]

    def sign(self, message: bytes, context: bytes = b"") -> bytes:
        signature: bytes = bytes(providers.slh_dsa().sign(self._key, message, context or None))
        return signature

    def verify(self, signature: bytes, message: bytes, context: bytes = b"") -> None:
        module = providers.slh_dsa()
        try:
            module.verify(self._key, message, signature, context or None)
        except Exception as e:  # the library's InvalidSignatureError, or ValueError
            raise InvalidSignature from e


def _ed25519() -> Scheme:
    return Scheme(
        32, 64, 32, bytes.fromhex("302e020100300506032b657004220420"), lambda: os.urandom(32),
        lambda secret: _Ed25519(ed25519.Ed25519PrivateKey.from_private_bytes(secret)),
        lambda raw: _Ed25519(ed25519.Ed25519PublicKey.from_public_bytes(raw)),
    )  # fmt: skip


def _ml_dsa(name: str, public_bytes: int, signature_bytes: int, oid: str) -> Scheme:
    """`oid` is the last byte of 2.16.840.1.101.3.4.3; the private key is the seed alone (RFC 9881)."""
    return Scheme(
        public_bytes, signature_bytes, 32, bytes.fromhex(f"3034020100300b06096086480165030403{oid}04228020"),
        lambda: os.urandom(32),
        lambda secret: _MlDsa(providers.classes(name).private.from_seed_bytes(secret)),
        lambda raw: _MlDsa(providers.classes(name).public.from_public_bytes(raw)),
    )  # fmt: skip


def _slh_dsa_sha2_128s() -> Scheme:
    """The private key is the 64 bytes of FIPS 205 (RFC 9909)."""
    pkcs8 = bytes.fromhex("3052020100300b06096086480165030403140440")
    return Scheme(32, 7856, 64, pkcs8, lambda: bytes(providers.slh_dsa().keygen()[1]), _SlhDsa, _SlhDsa)


def _composite(name: str, lattice: Scheme, label: bytes, oid: str) -> Scheme:
    """`oid` is the last byte of 1.3.6.1.5.5.7.6; the private key is seed ‖ Ed25519 key."""
    key, signature = lattice.public_bytes, lattice.signature_bytes

    def signer(secret: bytes) -> Signer:
        classic = ed25519.Ed25519PrivateKey.from_private_bytes(secret[32:])
        return _Composite(providers.classes(name).private.from_seed_bytes(secret[:32]), classic, label, signature)

    def verifier(raw: bytes) -> Verifier:
        classic = ed25519.Ed25519PublicKey.from_public_bytes(raw[key:])
        return _Composite(providers.classes(name).public.from_public_bytes(raw[:key]), classic, label, signature)

    pkcs8 = bytes.fromhex(f"3051020100300a06082b06010505070{oid}0440")
    return Scheme(key + 32, signature + 64, 64, pkcs8, lambda: os.urandom(64), signer, verifier)


_44: Final = _ml_dsa("ml-dsa-44", 1312, 2420, "11")
_65: Final = _ml_dsa("ml-dsa-65", 1952, 3309, "12")
SCHEMES: Final = {
    Algorithm.ED25519: _ed25519(),
    Algorithm.ML_DSA_44: _44,
    Algorithm.ML_DSA_65: _65,
    Algorithm.ML_DSA_87: _ml_dsa("ml-dsa-87", 2592, 4627, "13"),
    Algorithm.ML_DSA_44_ED25519: _composite("ml-dsa-44", _44, b"COMPSIG-MLDSA44-Ed25519-SHA512", "627"),
    Algorithm.ML_DSA_65_ED25519: _composite("ml-dsa-65", _65, b"COMPSIG-MLDSA65-Ed25519-SHA512", "630"),
    Algorithm.SLH_DSA_SHA2_128S: _slh_dsa_sha2_128s(),
}
