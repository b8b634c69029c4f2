"""Sealed objects for tests: made in memory, cut into their parts, opened."""

import io
from collections.abc import Sequence

from crypto.envelope.content import CHUNK_BYTES, COMMITMENT_BYTES, SALT_BYTES, TAG_BYTES
from crypto.envelope.grants import Grant
from crypto.envelope.header import finder, read_header
from crypto.envelope.objects import SealedObject, open_object, seal
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import PrivateKey, PublicKey

SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES


def keys(count: int = 1, suite: KemSuite = KemSuite.X_WING) -> list[KemPrivateKey]:
    return [KemPrivateKey.generate(suite) for _ in range(count)]


def content(size: int) -> bytes:
    """Bytes in which no chunk is like another."""
    return b"".join(n.to_bytes(8, "big") for n in range(size // 8 + 1))[:size]


def sealed(plaintext: bytes, to: Sequence[KemPrivateKey], signer: PrivateKey | None = None) -> bytes:
    return sealed_with(plaintext, to, signer)[0]


def sealed_with(
    plaintext: bytes, to: Sequence[KemPrivateKey], signer: PrivateKey | None = None
) -> tuple[bytes, SealedObject]:
    target = io.BytesIO()
    made = seal(io.BytesIO(plaintext), target, [key.public for key in to], signer)
    return target.getvalue(), made


def opened(
    sealed: bytes, key: KemPrivateKey, grant: Grant | None = None, sender: PublicKey | None = None
) -> tuple[bytes, SealedObject]:
    target = io.BytesIO()
    found = open_object(io.BytesIO(sealed), target, finder([key]), grant=grant, sender=sender, digest=True)
    return target.getvalue(), found


def parts(sealed: bytes) -> tuple[bytes, bytes, bytes, list[bytes], bytes]:
    """Header, salt, commitment, chunks and signature."""
    header = read_header(io.BytesIO(sealed))
    start = len(header.raw) + SALT_BYTES
    chunks = sealed[start + COMMITMENT_BYTES : len(sealed) - header.tail]
    return (
        header.raw, header.salt, sealed[start : start + COMMITMENT_BYTES],
        [chunks[at : at + SEALED_CHUNK] for at in range(0, len(chunks), SEALED_CHUNK)],
        sealed[len(sealed) - header.tail :],
    )  # fmt: skip


def joined(header: bytes, salt: bytes, commitment: bytes, chunks: Sequence[bytes], signature: bytes) -> bytes:
    return header + salt + commitment + b"".join(chunks) + signature
