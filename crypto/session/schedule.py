"""The transcript hash, and every key of a session that is derived under it (HKDF-SHA256, RFC 5869).

Each secret is extracted onto the ones before; each key is expanded with the hash of all that was on the wire until
then. So a byte that one end saw differently gives keys that do not fit. Python cannot wipe what is derived here.
"""

import hmac
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from crypto import labels
from crypto.merkle import HASH_BYTES


class Transcript:
    """TH_0 = H(protocol ‖ fingerprint of the gateway's key); TH_i = H(TH_{i-1} ‖ u32 length ‖ message i)."""

    __slots__ = ("hash",)

    def __init__(self, fingerprint: bytes) -> None:
        self.hash = sha256(labels.SESSION + fingerprint).digest()

    def add(self, message: bytes) -> bytes:
        """The hash once this whole message was sent."""
        self.hash = sha256(self.hash + len(message).to_bytes(4, "big") + message).digest()
        return self.hash


def extract(salt: bytes, secret: bytes) -> bytes:
    """A pseudorandom key out of a shared secret."""
    found: bytes = HKDF.extract(SHA256(), salt, secret)
    return found


def expand(key: bytes, name: bytes, transcript: bytes = b"", length: int = HASH_BYTES) -> bytes:
    """What `key` gives for this purpose: info = protocol ‖ "/" ‖ name ‖ 0x00 ‖ transcript hash."""
    return HKDFExpand(SHA256(), length, labels.SESSION + b"/" + name + b"\0" + transcript).derive(key)


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


CHAIN: Final = b"chain"
SEAL_1, SEAL_2, SEAL_3 = b"k1", b"k2", b"k3"  # AEAD keys of the first three messages
MAC_2, FINISH = b"mac2", b"fin"
UP, DOWN = b"up", b"down"  # secrets of the two directions
KEY, IV, RATCHET = b"key", b"iv", b"ratchet"
