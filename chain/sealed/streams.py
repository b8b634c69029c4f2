"""What commands read from and write to: files, or standard input and output, with their errors in our words."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from crypto.envelope.content import fill
from crypto.envelope.files import appearing
from crypto.envelope.objects import Progress, Target, silent
from crypto.errors import FileError

STANDARD = Path("-")
GRANT_START = b"\x88"  # a CBOR list of eight
MAX_WHOLE = 1 << 16


class Input:
    """A file that is read, unbuffered: between two reads Python sees that somebody pressed Ctrl-C. An error of reading
    is one of ours, so it is not taken for one of writing."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._held = b""  # looked at and not given yet

    def readinto(self, buffer: memoryview, /) -> int | None:
        if self._held:
            buffer[:1], self._held = self._held, b""
            return 1
        with self._errors():
            return self._file.readinto(buffer)  # type: ignore[attr-defined,no-any-return]

    def start(self) -> bytes:
        """The first byte, which is not taken by that; none of an empty file."""
        with self._errors():
            self._held = self._held or self._file.read(1)
        return self._held

    def all(self) -> bytes:
        """All of a small file; the beginning, over every bound, of a large one."""
        data = bytearray(MAX_WHOLE)
        return bytes(data[: fill(self, memoryview(data))])

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise FileError(f"cannot read {self._name}: {e.strerror or e}") from e


@contextlib.contextmanager
def reading(path: Path) -> Iterator[tuple[Input, Progress]]:
    """A file, or standard input for "-", and who is to be told of progress over it."""
    with contextlib.ExitStack() as stack:
        if path == STANDARD:
            yield (
                Input(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer), "standard input"),
                stack.enter_context(_progress(None)),
            )
            return
        try:
            file = stack.enter_context(path.open("rb", buffering=0))
            about = os.fstat(file.fileno())
        except OSError as e:
            raise FileError(f"cannot read {path}: {e.strerror or e}") from e
        total = about.st_size if stat.S_ISREG(about.st_mode) else None
        yield Input(file, str(path)), stack.enter_context(_progress(total))


def read_all(path: Path) -> bytes:
    """All of a small file."""
    with reading(path) as (source, _):
        return source.all()


@contextlib.contextmanager
def writing(path: Path, source: Path) -> Iterator[Target]:
    """A file that appears when all of it is there, or standard output for "-"."""
    if path == STANDARD:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except OSError as e:
            raise FileError(f"cannot write to standard output: {e.strerror or e}") from e
        return
    if path.exists() and source.exists() and path.samefile(source):
        raise FileError(f"{path} is the file that is read; name another one to write")
    with appearing(path) as file:
        yield file


@contextlib.contextmanager
def _progress(total: int | None) -> Iterator[Progress]:
    """A bar where somebody watches standard error."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)
