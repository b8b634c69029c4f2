"""One AES-GCM ciphertext with one tag for many keys: the attack itself, after "Fast Message Franking" (Dodis, Grubbs,
Ristenpart, Woodage 2018) and "Partitioning Oracle Attacks" (Len, Grubbs, Ristenpart 2021).

A tag is linear in the ciphertext's blocks over GF(2^128): for n keys, n blocks can be chosen such that all tags agree.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 16
_R = 0xE1 << 120


def multiply(x: int, y: int) -> int:
    """In GCM's field (NIST SP 800-38D section 6.3): the first bit of a block is its most significant one."""
    z = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            z ^= y
        y = y >> 1 ^ (_R if y & 1 else 0)
    return z


def inverse(x: int) -> int:
    """x^(2^128 - 2)."""
    result = 1 << 127
    for bit in range(127, -1, -1):
        result = multiply(result, result)
        if bit:
            result = multiply(result, x)
    return result


@dataclass(frozen=True, slots=True)
class GcmKey:
    """An AES key, and the 12-byte nonce that goes with it."""

    key: bytes
    nonce: bytes

    def keystream(self, block: int) -> bytes:
        """Of the content's block with this number from 0; of the tag for -1."""
        encryptor = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        return encryptor.update(self.nonce + (block + 2).to_bytes(4, "big"))

    @property
    def hash_key(self) -> int:
        encryptor = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        return int.from_bytes(encryptor.update(bytes(BLOCK)), "big")


def collide(keys: Sequence[GcmKey], fixed: Sequence[bytes]) -> bytes:
    """Ciphertext ‖ tag that opens under every key: the fixed blocks, then one for each key that makes it so."""
    tag, blocks = secrets.randbits(128), len(fixed) + len(keys)
    length = blocks * BLOCK * 8
    rows, wanted = [], []
    for key in keys:
        h, powers = key.hash_key, [1 << 127]
        for _ in range(blocks + 1):
            powers.append(multiply(powers[-1], h))
        known = multiply(length, powers[1])
        for n, block in enumerate(fixed):
            known ^= multiply(int.from_bytes(block, "big"), powers[blocks + 1 - n])
        rows.append([powers[blocks + 1 - n] for n in range(len(fixed), blocks)])
        wanted.append(tag ^ known ^ int.from_bytes(key.keystream(-1), "big"))
    chosen = _solve(rows, wanted)
    return b"".join(fixed) + b"".join(x.to_bytes(BLOCK, "big") for x in (*chosen, tag))


def _solve(rows: list[list[int]], wanted: list[int]) -> list[int]:
    """Gauss and Jordan over the field; the hash keys differ, so there is one solution."""
    matrix = [[*row, value] for row, value in zip(rows, wanted, strict=True)]
    for n in range(len(matrix)):
        pivot = next(m for m in range(n, len(matrix)) if matrix[m][n])
        matrix[n], matrix[pivot] = matrix[pivot], matrix[n]
        scale = inverse(matrix[n][n])
        matrix[n] = [multiply(scale, x) for x in matrix[n]]
        for m, row in enumerate(matrix):
            if m != n and (factor := row[n]):
                matrix[m] = [x ^ multiply(factor, y) for x, y in zip(row, matrix[n], strict=True)]
    return [row[-1] for row in matrix]
