"""AES-256-GCM over chunks with nothing around it: no recipients, no commitment, no digest. What it writes nobody could
open safely; it is the least that any encryption in chunks must do. Reading and writing are as in the program."""

import os
from itertools import count
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK, TAG, BLOCK = 16 * 1024, 16, 64
KEY = bytes(32)


def nonce(chunk: int) -> bytes:
    return chunk.to_bytes(12, "big")


def in_memory(size: int, opens: bool) -> None:
    """Seal or open the same chunk again and again, `size` bytes of content."""
    cipher, plain, sealed = AESGCM(KEY), memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK + TAG))
    cipher.encrypt_into(nonce(0), plain, None, sealed)
    for n in range(size // CHUNK):
        if opens:
            cipher.decrypt_into(nonce(0), sealed, None, plain)
        else:
            cipher.encrypt_into(nonce(n), plain, None, sealed)


def file_to_file(opens: bool, source: Path, target: Path) -> None:
    """Seal or open a file, and sync what was written."""
    cipher = AESGCM(KEY)
    work, taken, given = (
        (cipher.decrypt_into, CHUNK + TAG, CHUNK) if opens else (cipher.encrypt_into, CHUNK, CHUNK + TAG)
    )
    with open(source, "rb") as reader, open(target, "wb") as writer:
        data, out = memoryview(bytearray(BLOCK * taken)), memoryview(bytearray(BLOCK * given))
        for number in count():
            got = reader.readinto(data)
            for n in range(-(-got // taken)):
                piece = data[n * taken : min(got, (n + 1) * taken)]
                work(nonce(number * BLOCK + n), piece, None, out[n * given : n * given + len(piece) + given - taken])
            writer.write(out[: got + -(-got // taken) * (given - taken)])
            if got < len(data):
                break
        _synced(writer)


def _synced(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
