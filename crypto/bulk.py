"""Hashes and signatures of whole batches at once; by the native core where it was built.

The same functions as in crypto.merkle, hashes concatenated, and `PublicKey.verify` for many. Nothing here is believed:
both forms are held against each other by a test.
"""

from collections.abc import Sequence

from crypto.keys import Algorithm, PublicKey
from crypto.merkle import HASH_BYTES, leaf_hash, root_of


def _leaf_hashes(entries: Sequence[bytes]) -> bytes:
    """RFC 9162 leaf hashes of all entries, in order."""
    return b"".join(map(leaf_hash, entries))


def _root(hashes: bytes) -> bytes:
    """RFC 9162 root over at least one concatenated leaf hash."""
    if not hashes or len(hashes) % HASH_BYTES:
        raise ValueError("expected at least one hash, each of 32 bytes")
    return root_of(split(hashes))


def split(hashes: bytes) -> list[bytes]:
    """Concatenated hashes as a list of 32-byte ones."""
    return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]


def which_hold(signed: Sequence[tuple[PublicKey, bytes, bytes]], context: bytes) -> list[bool]:
    """Of each (key, message, signature) whether it holds for certain. Where not, `PublicKey.verify` judges."""
    if ed25519_holds is None:
        return [_holds(*one, context) for one in signed]
    sure = ed25519_holds([(key.raw, message, signature) for key, message, signature in signed], context)
    unseen = [key.algorithm is not Algorithm.ED25519 for key, _, _ in signed]
    return [sure[n] or (unseen[n] and _holds(*one, context)) for n, one in enumerate(signed)]


def _holds(key: PublicKey, message: bytes, signature: bytes, context: bytes) -> bool:
    try:
        key.verify(signature, message, context)
    except Exception:  # whatever it is: it comes again, and is told, when this is judged
        return False
    return True


try:
    from crypto.sealtrail_native import ed25519_holds as ed25519_holds
    from crypto.sealtrail_native import leaf_hashes as leaf_hashes
    from crypto.sealtrail_native import root as root
except ImportError:  # no Rust compiler was there: slower, not different
    leaf_hashes, root, ed25519_holds = _leaf_hashes, _root, None  # type: ignore[assignment]
