"""A contract for tests that is given a secret beside its arguments; chaincode_program.py serves it."""

from collections.abc import Sequence
from hashlib import sha256

from chaincode.server.transaction import PeerTransaction


async def invoke(tx: PeerTransaction, name: str, args: Sequence[bytes]) -> bytes:
    """Whatever is called: write SHA-256 of the transient value `secret`, and answer it."""
    digest = sha256(tx.transient["secret"]).digest()
    await tx.put("digest", digest)
    return digest
