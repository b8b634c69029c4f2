"""What a session can be encrypted with, and how the two ends agree.

X-Wing, HKDF-SHA256 and, for the handshake itself, ChaCha20-Poly1305 come with the version and are not negotiated. A
suite names the AEAD of the frames. Both ends say what they have, in their order, under the transcript; the first of
the device's list that the gateway has is the one, and both check that.
"""

from enum import IntEnum
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV, ChaCha20Poly1305

from crypto.session.errors import HandshakeError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
MAX_SUITES: Final = 16


class Suite(IntEnum):
    """Numbers as they stand in messages. 3 (RFC 8452) keeps its promises when a nonce is used twice, as a machine that
    was restored from a snapshot might: such a pair shows whether both frames are equal, and nothing more."""

    CHACHA20_POLY1305 = 1
    AES_256_GCM = 2
    AES_256_GCM_SIV = 3


_KNOWN: Final = frozenset(map(int, Suite))
PREFERRED: Final = (Suite.AES_256_GCM_SIV, Suite.CHACHA20_POLY1305, Suite.AES_256_GCM)


class Aead(Protocol):
    """An AEAD under one key, with nonces of 12 bytes and tags of 16."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def aead(suite: Suite, key: bytes) -> Aead:
    """The suite's AEAD under this 32-byte key."""
    if suite is Suite.CHACHA20_POLY1305:
        return ChaCha20Poly1305(key)
    return AESGCM(key) if suite is Suite.AES_256_GCM else AESGCMSIV(key)


def first_mutual(wanted: bytes, offered: bytes) -> Suite:
    """The first of the device's list that the gateway has. Numbers that are not known here are passed over."""
    for number in wanted:
        if number in offered and number in _KNOWN:
            return Suite(number)
    raise HandshakeError(f"no suite in common: the device has {list(wanted)}, the gateway {list(offered)}")
