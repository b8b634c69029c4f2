"""A folder whose private files are locked by one passphrase (docs/formats/keys.md): a gateway's keys, a device's.

`passphrase.lock` holds the cost and the salt, so Argon2id runs once in a process however many files there are. Where
that file is, every private file beside it is locked; a plain one among them is refused, since whoever may write in the
folder could have put it there. Locked files are bound to their names, so two that were exchanged do not open.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from crypto import cbor, labels
from crypto.at_rest import AtRestKey
from crypto.errors import DecryptionError, FormatError, KeyMaterialError
from crypto.files import read_private, write_durably
from crypto.keystore.locked import SALT_BYTES, Cost, derive, new_salt
from crypto.keystore.passphrase import Passphrase, configured

LOCK_FILE: Final = "passphrase.lock"
MAGIC: Final = b"sealtrail-locked/v1\n"
_VERSION: Final = 1
_MAX_LOCK_BYTES: Final = 256
_MEND: Final = "`sealtrail keys encrypt` locks what is there, if you know who put it there"


def protected(path: Path, content: bytes) -> bytes:
    """What to write into the private file at `path`: locked where the folder is, or where it is empty of private files
    and the environment or systemd gives a passphrase; else the content itself."""
    folder = path.parent
    if not is_locked(folder):
        if configured() is None or any(_private_files(folder)):
            return content
        make_lock(folder, Passphrase())
    return _locked(path, content)


def revealed(path: Path, stored: bytes) -> bytes:
    """The content of a private file.

    Raises:
        DecryptionError: another passphrase, or the file or passphrase.lock was altered.
        KeyMaterialError: nobody gives a passphrase, the lock is gone, or a plain file lies in a locked folder.
    """
    locked = stored.startswith(MAGIC)
    if not is_locked(path.parent):
        if locked:
            raise KeyMaterialError(f"{path.name} is locked and {LOCK_FILE} is gone from beside it: restore it")
        return stored
    if not locked:
        raise KeyMaterialError(f"{path.name} is not locked, but the folder is; {_MEND}")
    key = _key_of(path.parent)
    try:
        return key.open(stored[len(MAGIC) :], _place(path))
    except DecryptionError as e:
        raise DecryptionError(f"{path.name} was altered, or is another file under this name; restore it") from e


def is_locked(folder: Path) -> bool:
    return (folder / LOCK_FILE).exists()


def make_lock(folder: Path, passphrase: Passphrase, cost: Cost | None = None) -> None:
    """Choose the salt of a folder; what is written into it from now on is locked."""
    cost, salt = cost or Cost(), new_salt()
    key = derive(passphrase.get(new=True), salt, cost)
    head: list[cbor.CborValue] = [_VERSION, [cost.memory_kib, cost.passes, cost.lanes], salt]
    write_durably(folder / LOCK_FILE, cbor.encode([*head, key.seal(b"", _lock_place(head))]), mode=0o600)


def lock_all(folder: Path, passphrase: Passphrase, cost: Cost | None = None) -> list[str]:
    """Lock the plain private files of a folder that nobody uses meanwhile, and return their names. One that was cut
    short is completed by the next."""
    if not is_locked(folder):
        make_lock(folder, passphrase, cost)
    for left in folder.glob(".*.tmp"):  # of writes that a crash cut short: private keys in clear, maybe
        left.unlink()
    plain = [
        (path, content) for path in _private_files(folder) if not (content := read_private(path)).startswith(MAGIC)
    ]
    for path, content in plain:
        write_durably(path, _locked(path, content), mode=0o600)
    return [path.name for path, _ in plain]


def _private_files(folder: Path) -> Iterator[Path]:
    """What this program keeps private in such folders; ca.pem is an operator's, and public."""
    for path in sorted(folder.iterdir()):
        if (path.suffix in (".pem", ".key") and path.name != "ca.pem") or path.name == "password":
            yield path


def _locked(path: Path, content: bytes) -> bytes:
    return MAGIC + _key_of(path.parent).seal(content, _place(path))


def _place(path: Path) -> bytes:
    return labels.LOCKED_FILE + b"\x00" + path.name.encode()


def _lock_place(head: list[cbor.CborValue]) -> bytes:
    return labels.LOCKED_FOLDER + b"\x00" + cbor.encode(head)


def _key_of(folder: Path) -> AtRestKey:
    return _unlocked(folder.resolve(), read_private(folder / LOCK_FILE))


@lru_cache(maxsize=16)
def _unlocked(folder: Path, lock: bytes) -> AtRestKey:
    """The key of a folder; asked for and computed once in a process."""
    # 1. The lock's form, and a cost within bounds.
    try:
        head, proof = read_lock(lock)
    except FormatError as e:
        raise type(e)(f"{folder / LOCK_FILE}: {e}; restore it") from e
    # 2. The passphrase is the one that made it.
    key = derive(Passphrase().get(), head[2], Cost(*head[1]))
    try:
        key.open(proof, _lock_place(head))
    except DecryptionError as e:
        raise DecryptionError(f"the passphrase of {folder} is another one, or its {LOCK_FILE} was altered") from e
    return key


def read_lock(data: bytes) -> tuple[list[Any], bytes]:
    """([version, cost, salt], proof) of a passphrase.lock; FormatError or LimitError says what is wrong."""
    item = cbor.decode(data, _MAX_LOCK_BYTES)
    if type(item) is not list or list(map(type, item)) != [int, list, bytes, bytes] or item[0] != _VERSION:
        raise FormatError(f"a lock must be [{_VERSION}, cost, salt, proof]")
    if list(map(type, item[1])) != [int] * 3 or len(item[2]) != SALT_BYTES:
        raise FormatError(f"a lock must hold a cost of three numbers and a salt of {SALT_BYTES} bytes")
    Cost(*item[1])
    return item[:3], item[3]
