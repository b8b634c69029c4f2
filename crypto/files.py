"""Files that must survive a crash and stay private: keys, tokens, receipts.

Written to a temporary name, synced, renamed, and the folder synced: either the old or the whole new content
is there after a power cut. Private files have mode 0600.
"""

import contextlib
import os
from pathlib import Path

from crypto.errors import FileError, KeyMaterialError
from crypto.keys import Algorithm, PrivateKey


def write_durably(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the file at `path` with `content`, atomically and durably.

    Raises:
        FileError: it could not be written; what was there is still there.
    """
    try:
        _replace(path, content, mode)
    except OSError as e:
        mend = "see whether the disk is full or read-only, and whose the folder is"
        raise FileError(f"cannot write {path}: {e.strerror}; {mend}") from e


def _replace(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private_key(path: Path) -> PrivateKey:
    """Read a PKCS#8 PEM key; refuse one that other users may read."""
    return PrivateKey.from_pem(read_private(path))


def private_key_at(path: Path, algorithm: Algorithm) -> PrivateKey:
    """The private key in this file, made new on first use; the algorithm must match."""
    if not path.exists():
        write_durably(path, PrivateKey.generate(algorithm).to_pem(), mode=0o600)
    key = read_private_key(path)
    if key.public.algorithm is not algorithm:
        raise KeyMaterialError(f"{path.name}: expected a key of {algorithm}, got {key.public.algorithm}")
    return key


def secret_at(path: Path, length: int) -> bytes:
    """The random secret of `length` bytes in this file, made new on first use."""
    if not path.exists():
        write_durably(path, os.urandom(length), mode=0o600)
    secret = read_private(path)
    if len(secret) != length:
        raise KeyMaterialError(f"{path.name}: expected {length} bytes, got {len(secret)}")
    return secret


def read_private(path: Path) -> bytes:
    """A file's content; refused where other users may read it."""
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as e:
        raise KeyMaterialError(f"cannot read the private file {path.name}: {e.strerror}") from e
    if mode & 0o077:
        raise KeyMaterialError(f"private file {path.name} may be read by others; chmod 600 it")
    return content
