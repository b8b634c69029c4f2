"""What keys say of themselves: a rotation, signed by the old and the new key, and a revocation, signed by the key.

A rotation's signatures are over the very message that the ledger's `identities.rotate` takes, so the file can be handed
to a gateway. A statement is believed by who knows the old key; the file names it and proves nothing about it.
"""

import base64
import json

from crypto import cbor, labels
from crypto.errors import KeyMaterialError
from crypto.kem import KemPrivateKey
from crypto.keys import PrivateKey, PublicKey


def rotation_message(name: str, old: PublicKey, new: PublicKey, from_index: int) -> bytes:
    """What both keys sign under labels.KEY_ROTATION: the new key counts from this log index on."""
    return cbor.encode([name, old.kid, str(new.algorithm), new.raw, from_index])


def revocation_message(name: str, key: PublicKey, reason: str) -> bytes:
    """What a key signs under labels.KEY_REVOCATION."""
    return cbor.encode([name, key.kid, reason])


def rotation(name: str, old: PrivateKey, new: PrivateKey, from_index: int) -> bytes:
    """The statement as JSON."""
    message = rotation_message(name, old.public, new.public, from_index)
    return _json({
        "sealtrail_rotation": 1, "name": name, "old_kid": old.public.kid.hex(), "from_index": from_index,
        "algorithm": str(new.public.algorithm), "public_key": _text(new.public.raw),
        "old_signature": _text(old.sign(message, labels.KEY_ROTATION)),
        "new_signature": _text(new.sign(message, labels.KEY_ROTATION)),
    })  # fmt: skip


def revocation(name: str, key: PrivateKey, reason: str) -> bytes:
    """The statement as JSON."""
    return _json({
        "sealtrail_revocation": 1, "name": name, "kid": key.public.kid.hex(), "reason": reason,
        "signature": _text(key.sign(revocation_message(name, key.public, reason), labels.KEY_REVOCATION)),
    })  # fmt: skip


def require_signing(name: str, key: KemPrivateKey | PrivateKey) -> PrivateKey:
    """KEM keys sign nothing: the signature key of their holder vouches for them, on the ledger."""
    if isinstance(key, KemPrivateKey):
        raise KeyMaterialError(f"{name} is a {key.suite} key and signs no statement; leave -o out")
    return key


def _json(item: dict[str, str | int]) -> bytes:
    return json.dumps(item, indent=2).encode() + b"\n"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
