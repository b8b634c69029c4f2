"""Encryption of payloads at rest: AES-256-GCM under one random key for each subject, wrapped by the site key.

Erasing a subject is destroying its wrapped key. Nonces are random 96-bit values: at one segment a batch a key
stays far below the 2^32 messages that NIST SP 800-38D section 8.3 allows. The additional data binds a
ciphertext to its place, so rows that are swapped do not open.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crypto.errors import DecryptionError

KEY_BYTES = 32
NONCE_BYTES = 12


def new_key() -> bytes:
    """A fresh random 32-byte key."""
    return secrets.token_bytes(KEY_BYTES)


def nonces(count: int) -> list[bytes]:
    """Fresh nonces for `count` seals that follow at once: never kept, so that no copy of this process has them."""
    drawn = secrets.token_bytes(count * NONCE_BYTES)
    return [drawn[i : i + NONCE_BYTES] for i in range(0, len(drawn), NONCE_BYTES)]


class AtRestKey:
    """Seals and opens byte strings under one 32-byte key."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise DecryptionError(f"keys at rest are {KEY_BYTES} bytes, got {len(key)}")
        self._aead = AESGCM(key)

    def seal(self, plaintext: bytes, place: bytes, nonce: bytes | None = None) -> bytes:
        """nonce (12) ‖ ciphertext ‖ tag (16); `place` says where it is stored and is authenticated. A nonce that is
        given comes from `nonces`, this moment, and is used once."""
        nonce = nonce or secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plaintext, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The plaintext; DecryptionError when bytes, key or place differ from those of sealing."""
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as e:
            raise DecryptionError(
                "stored ciphertext does not open: altered, moved from its place, or sealed under another key"
            ) from e
