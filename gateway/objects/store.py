"""Where ciphertexts lie: files named by their SHA-256 in a folder, or objects of an S3-compatible store.

What is read back is believed by nobody before its digest was compared. Whatever comes in goes to a file in `incoming`
first, so that a cut upload, a full disk or a kill leaves nothing under a digest's name.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from crypto.files import sync_folder
from gateway.objects.errors import ObjectError, ObjectRoomError, UnknownObjectError

PIECE_BYTES = 1 << 20


class Store(Protocol):
    """Ciphertexts by digest. All methods block: call them in a thread."""

    def put(self, digest: bytes, file: Path) -> None:
        """Take over a finished file that is on disk; durable when this returns."""

    def read(self, digest: bytes, start: int, stop: int) -> Iterator[bytes]:
        """The bytes start … stop-1 in pieces; UnknownObjectError where there is no such ciphertext."""


class FolderStore:
    """Files `<first two hex digits>/<digest>` in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, digest: bytes, file: Path) -> None:
        place = self._place(digest)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.replace(file, place)
        sync_folder(place.parent)
        sync_folder(self._root)

    def read(self, digest: bytes, start: int, stop: int) -> Iterator[bytes]:
        try:
            file = self._place(digest).open("rb")
        except OSError as e:
            raise UnknownObjectError(f"the ciphertext {digest.hex()[:16]}… cannot be read: {e.strerror}") from e
        return _pieces(file, start, stop)

    def _place(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._root / name[:2] / name


def _pieces(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop and (piece := file.read(min(PIECE_BYTES, stop - start))):
            start += len(piece)
            yield piece


class Incoming:
    """Uploads on their way: at most `most_bytes` each, and never into the disk's reserve."""

    def __init__(self, folder: Path, most_bytes: int, reserve_bytes: int) -> None:
        self._folder, self.most_bytes, self._reserve_bytes = folder, most_bytes, reserve_bytes
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.iterdir():  # by a process that was killed
            with suppress(OSError):
                left.unlink()

    @contextmanager
    def file(self) -> Iterator["IncomingFile"]:
        """A file that is gone when the block ends, unless a store took it over."""
        path = self._folder / secrets.token_hex(16)
        try:
            with path.open("xb") as opened:
                os.chmod(path, 0o600)
                yield IncomingFile(path, opened, self)
        except OSError as e:
            raise ObjectRoomError(f"the object store cannot be written: {e.strerror or e}") from e
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def require_room(self, size: int) -> None:
        if size > self.most_bytes:
            raise ObjectError(f"an object has at most {self.most_bytes:,} bytes; see objects.max_object_bytes")
        free = shutil.disk_usage(self._folder).free
        if free < self._reserve_bytes:
            raise ObjectRoomError(f"the disk has {free:,} bytes free, and {self._reserve_bytes:,} stay in reserve")


class IncomingFile:
    """One upload. `write` and `finish` block."""

    def __init__(self, path: Path, opened: BinaryIO, incoming: Incoming) -> None:
        self.path, self._opened, self._incoming = path, opened, incoming
        self.size = 0

    def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self._incoming.require_room(self.size)
        self._opened.write(piece)

    def finish(self) -> None:
        """All of it is on disk when this returns."""
        self._opened.flush()
        os.fsync(self._opened.fileno())
