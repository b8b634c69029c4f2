"""Files that appear whole or not at all: content that was opened, objects that were sealed.

What is written goes to a private file without a name, in the folder of the result. It gets its name once all of it was
verified and is on disk. So a failure, a full disk, a kill or a power cut leaves nothing of it. Where the filesystem has
no files without a name it is a temporary one, which a kill leaves behind.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from crypto.errors import FileError
from crypto.files import sync_folder

MODE = 0o600
_OPEN_FILES = Path("/proc/self/fd")


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the name `path` when the block ends well, durably; else nothing is left of it.

    Raises:
        FileError: it cannot be written: no room, no folder, no right. What was at `path` is still there.
    """
    if path.exists() and not path.is_file():
        raise FileError(f"cannot write {path}: it is there and not a regular file; name another one")
    temporary = path.with_name(f".{secrets.token_hex(16)}.tmp")
    try:
        descriptor, unnamed = _create(temporary)
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
                if unnamed:
                    _name(descriptor, temporary)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    except OSError as e:
        mend = "see whether the disk is full or read-only, and whose the folder is"
        raise FileError(f"cannot write {path}: {e.strerror or e}; nothing of it is left; {mend}") from e


def _create(temporary: Path) -> tuple[int, bool]:
    """A descriptor, and whether its file has no name yet."""
    if hasattr(os, "O_TMPFILE") and _OPEN_FILES.is_dir():
        with contextlib.suppress(OSError):  # not on this filesystem
            return os.open(temporary.parent, os.O_WRONLY | os.O_TMPFILE, MODE), True
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), False


def _name(descriptor: int, path: Path) -> None:
    """Give an open file its name. Only with a folder's descriptor does Python follow the link to the file itself."""
    folder = os.open(_OPEN_FILES, os.O_RDONLY)
    try:
        os.link(str(descriptor), path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
