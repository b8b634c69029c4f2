"""Hybrid public key encryption (RFC 9180, base mode, one message) under the KEM suites of crypto.kem.

Each KEM suite has one KDF and one AEAD here, so that nothing is negotiated: HKDF-SHA256 and ChaCha20-Poly1305 for
X-Wing and ML-KEM-768, HKDF-SHA384 and AES-256-GCM for the two of ML-KEM-1024 (code points: draft-ietf-hpke-pq).
Whatever must fit together is bound in `info`. It names no sender: who sealed is for a signature to say.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from crypto.errors import DecryptionError, KeyMaterialError
from crypto.kem import CIPHERTEXT_BYTES, KemPrivateKey, KemPublicKey, KemSuite

TAG_BYTES: Final = 16
_SUITES: Final = {
    KemSuite.X_WING: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
    KemSuite.ML_KEM_768: Suite(KEM.MLKEM768, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
    KemSuite.ML_KEM_1024: Suite(KEM.MLKEM1024, KDF.HKDF_SHA384, AEAD.AES_256_GCM),
    KemSuite.ML_KEM_1024_P384: Suite(KEM.MLKEM1024_P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM),
}


def sealed_bytes(suite: KemSuite, length: int) -> int:
    """How long a plaintext of `length` bytes is when it is sealed."""
    return CIPHERTEXT_BYTES[suite] + length + TAG_BYTES


def seal(to: KemPublicKey, plaintext: bytes, info: bytes) -> bytes:
    """Encapsulation ‖ ciphertext ‖ tag, for the holder of `to`'s private key, under `info`. KeyMaterialError for a key
    with which nobody agrees on a secret: points of small order are keys to X-Wing, not to HPKE (RFC 9180 7.1.4)."""
    try:
        return _SUITES[to.suite].encrypt(plaintext, to.hpke_key(), info)
    except ValueError as e:
        raise KeyMaterialError(f"cannot seal to the {to.suite} key {to.kid.hex()[:16]}…: {e}") from e


def open_sealed(key: KemPrivateKey, sealed: bytes, info: bytes) -> bytes:
    """The plaintext. DecryptionError, the same one whatever is wrong: bytes, key or `info`."""
    try:
        return _SUITES[key.suite].decrypt(sealed, key.hpke_key(), info)
    except (InvalidTag, ValueError) as e:
        raise DecryptionError(f"does not open under the {key.suite} key {key.public.kid.hex()[:16]}…") from e
