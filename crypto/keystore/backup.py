"""All files of a key folder in one, as they are: each stays locked by its passphrase.

Untrusted when it is read: names that could lead elsewhere are refused, and each file must be a key file.
"""

from pathlib import Path
from typing import Final

from crypto import cbor
from crypto.errors import FormatError, KeyMaterialError
from crypto.files import read_private, write_durably
from crypto.keystore.file import KeyFile
from crypto.keystore.store import MAX_FILES, SUFFIX

VERSION: Final = 1
MAX_BACKUP_BYTES: Final = MAX_FILES * 8192 + 1024


def pack(folder: Path) -> bytes:
    """Canonical CBOR [1, [[file name, content], …]], sorted by name."""
    files = [[path.name, read_private(path)] for path in sorted(folder.glob(f"*{SUFFIX}"))]
    if not files:
        raise KeyMaterialError(f"{folder} holds no key; is it the right folder?")
    return cbor.encode([VERSION, files])


def restore(data: bytes, folder: Path) -> list[str]:
    """Write all files of a backup into a folder where none of them is, and return their names. Nothing is written
    unless all can be."""
    # 1. Every file is a key file and its name is its key's own.
    files = unpacked(data)
    # 2. Nothing is overwritten.
    if there := [name for name, _ in files if (folder / name).exists()]:
        raise KeyMaterialError(f"{folder / there[0]} is there already; restore into another folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files:
        write_durably(folder / name, content, mode=0o600)
    return [name for name, _ in files]


def unpacked(data: bytes) -> list[tuple[str, bytes]]:
    """(file name, content) of every key in a backup; FormatError, LimitError or KeyMaterialError says what is wrong."""
    item = cbor.decode(data, MAX_BACKUP_BYTES)
    if type(item) is not list or len(item) != 2 or item[0] != VERSION or type(item[1]) is not list:
        raise FormatError(f"a backup of keys is [{VERSION}, [[file name, content], …]]")
    return [_file(pair) for pair in item[1]]


def _file(pair: object) -> tuple[str, bytes]:
    if type(pair) is not list or list(map(type, pair)) != [str, bytes]:
        raise FormatError("every file of a backup is a pair of name and content")
    name, content = pair
    header = KeyFile.decode(content).header
    if name not in (f"{header.named.name}{SUFFIX}", f"{header.named.name}~{header.generation}{SUFFIX}"):
        raise FormatError(f"the backup calls the key {header.named.name} {name[:80]!r}, which is not its file name")
    return name, content
