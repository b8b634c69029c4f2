"""Files that must survive a crash and stay private: keys, tokens, receipts.

Written to a temporary name, synced, renamed, and the folder synced: either the old or the whole new content
is there after a power cut. Private files have mode 0600, and are locked where their folder is (crypto.keystore.vault).
"""

import contextlib
import os
from pathlib import Path

from crypto.errors import FileError, KeyMaterialError
from crypto.keys import Algorithm, PrivateKey

MAX_PRIVATE_BYTES = 64 * 1024 * 1024  # a backup of a full key folder fits


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
    return PrivateKey.from_pem(read_secret(path))


def private_key_at(path: Path, algorithm: Algorithm) -> PrivateKey:
    """The private key in this file, made new on first use; the algorithm must match."""
    if not path.exists():
        write_secret(path, PrivateKey.generate(algorithm).to_pem())
    key = read_private_key(path)
    if key.public.algorithm is not algorithm:
        raise KeyMaterialError(f"{path.name}: expected a key of {algorithm}, got {key.public.algorithm}")
    return key


def secret_at(path: Path, length: int) -> bytes:
    """The random secret of `length` bytes in this file, made new on first use."""
    if not path.exists():
        write_secret(path, os.urandom(length))
    secret = read_secret(path)
    if len(secret) != length:
        raise KeyMaterialError(f"{path.name}: expected {length} bytes, got {len(secret)}")
    return secret


def write_secret(path: Path, content: bytes) -> None:
    """Write a private file: locked where its folder is, or where the folder is new and there is a passphrase."""
    from crypto.keystore.vault import protected  # not above: it needs this module

    write_durably(path, protected(path, content), mode=0o600)


def read_secret(path: Path) -> bytes:
    """A private file's content, unlocked; refused where other users may read the file."""
    from crypto.keystore.vault import revealed

    return revealed(path, read_private(path))


def read_private(path: Path) -> bytes:
    """A file's content; refused where other users may read it."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PRIVATE_BYTES + 1)
        mode = path.stat().st_mode
    except OSError as e:
        raise KeyMaterialError(f"cannot read the private file {path.name}: {e.strerror}") from e
    if mode & 0o077:
        raise KeyMaterialError(f"private file {path.name} may be read by others; chmod 600 it")
    if len(content) > MAX_PRIVATE_BYTES:
        raise KeyMaterialError(f"private file {path.name} is over {MAX_PRIVATE_BYTES} bytes; is it the right one?")
    return content
