"""A secret locked by a passphrase: Argon2id (RFC 9106) makes the key, AES-256-GCM seals under it.

What stands beside the secret in clear is authenticated with it, cost and salt included. Whoever holds a file can try
passphrases as fast as Argon2id lets him; a good passphrase is the only protection against that.
"""

import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from crypto.at_rest import KEY_BYTES, AtRestKey
from crypto.errors import DecryptionError, KeyMaterialError, LimitError

SALT_BYTES: Final = 16
MAX_MEMORY_KIB: Final = 1024 * 1024
MAX_PASSES: Final = 16
MAX_LANES: Final = 16


@dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id's memory in KiB, passes and lanes. The default is RFC 9106's second recommendation."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        """A file says its own cost, and an absurd one must not take all memory before anything was verified."""
        within = 1 <= self.lanes <= MAX_LANES and 1 <= self.passes <= MAX_PASSES
        if not within or not 8 * self.lanes <= self.memory_kib <= MAX_MEMORY_KIB:
            bounds = f"8 KiB a lane to {MAX_MEMORY_KIB} KiB, {MAX_PASSES} passes, {MAX_LANES} lanes"
            raise LimitError(
                f"Argon2id costs beyond {bounds} are refused: {self.memory_kib} KiB, {self.passes}, {self.lanes}"
            )


def new_salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


@lru_cache(maxsize=16)
def derive(passphrase: bytes, salt: bytes, cost: Cost) -> AtRestKey:
    """The key of a passphrase; takes as long and as much memory as the cost says, once in a process for each salt."""
    try:
        function = Argon2id(
            salt=salt, length=KEY_BYTES, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
        )
        return AtRestKey(function.derive(passphrase))
    except (UnsupportedAlgorithm, MemoryError) as e:
        raise KeyMaterialError(f"Argon2id cannot run here: {e}") from e


def unlock(key: AtRestKey, sealed: bytes, place: bytes, what: str) -> bytes:
    """The secret; DecryptionError does not tell a wrong passphrase from an altered file, because it cannot."""
    try:
        return key.open(sealed, place)
    except (DecryptionError, InvalidTag) as e:
        raise DecryptionError(f"{what} does not open: the passphrase is another one, or the file was altered") from e
