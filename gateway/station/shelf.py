"""Where images lie: taken from a folder in the order in which they came, put into `accepted` or `rejects` beside it.

Trust boundary: whoever may write into the folder may hand in images. Only plain files are taken, never links, and
none that is still being written: its name ends in .part or .tmp or begins with a dot, or it changed just now.
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Final

from gateway.station.errors import StationError
from gateway.station.image import MAX_FILE_BYTES

ACCEPTED, REJECTS = "accepted", "rejects"
UNFINISHED: Final = (".part", ".tmp")
SETTLE_NS: Final = 300_000_000
AT_ONCE: Final = 256  # looked up in one listing
MAX_REJECTS: Final = 20_000  # files; then somebody has to carry them away
KEEP_ACCEPTED: Final = 10_000  # images; beyond, the oldest are deleted
NAME_BYTES: Final = 180  # of an image's name that are kept where it is moved: a file's name has 255 at most


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that is to be looked at. `stamp` tells it from a later one of the same name."""

    path: Path
    stamp: str


def waiting(folder: Path) -> list[Waiting]:
    """The oldest files, oldest first; of one moment by name."""
    now = time.time_ns()
    try:
        return [Waiting(path, stamp) for _, _, path, stamp in nsmallest(AT_ONCE, _files(folder, now))]
    except OSError as e:
        raise StationError(f"cannot read the folder {folder}: {e.strerror}") from e


def unsettled(folder: Path) -> bool:
    """Whether a file has come just now, or is being written."""
    with os.scandir(folder) as entries:
        return any(entry.is_file(follow_symlinks=False) and not entry.name.startswith(".") for entry in entries)


def _files(folder: Path, now: int) -> Iterator[tuple[int, str, Path, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower().endswith(UNFINISHED):
                continue
            try:
                about = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(about.st_mode) and about.st_mtime_ns + SETTLE_NS <= now:
                yield about.st_mtime_ns, entry.name, Path(entry.path), _stamp(about)


def stamp(path: Path) -> str | None:
    """Of the file that lies there now, None if there is none."""
    try:
        return _stamp(path.lstat())
    except OSError:
        return None


def _stamp(about: os.stat_result) -> str:
    return f"{about.st_ino}-{about.st_mtime_ns}-{about.st_size}"


def read(path: Path) -> bytes:
    """At most one byte more than an image may have: more is refused as too large anyway."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise StationError(f"cannot read {path}: {e.strerror}; the station needs to read and move its images") from e


def shown(path: Path) -> str:
    """The name of an image for people and programs: whatever bytes it has, they become text."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def accept(path: Path, number: str) -> None:
    """Move an image into `accepted`, and delete the oldest there beyond the bound."""
    folder = _beside(path, ACCEPTED)
    _move(path, folder / _numbered(path, number))
    kept = list(folder.iterdir())
    if len(kept) > KEEP_ACCEPTED * 1.02:  # not at every pack
        for old in nsmallest(len(kept) - KEEP_ACCEPTED, kept, key=lambda file: file.lstat().st_mtime_ns):
            old.unlink(missing_ok=True)


def reject(path: Path, number: str, why: bytes) -> Path:
    """Move an image into `rejects`, its reason beside it as JSON, written first. Where it lies now."""
    folder = _beside(path, REJECTS)
    target = folder / _numbered(path, number)
    beside = target.with_name(target.name + ".json")
    unfinished = beside.with_name(beside.name + ".tmp")
    with unfinished.open("wb") as file:
        file.write(why + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(beside)
    _move(path, target)
    return target


def check_room(folder: Path) -> None:
    """Raises StationError where the rejects are too many: the line stands until they are carried away."""
    rejects = folder / REJECTS
    if rejects.is_dir() and sum(1 for _ in os.scandir(rejects)) >= MAX_REJECTS:
        raise StationError(f"{rejects} holds {MAX_REJECTS:,} files; carry them away, then start the station again")


def _numbered(path: Path, number: str) -> str:
    """A name of its own, with the end of the image's, which has the suffix."""
    return f"{number}-{os.fsdecode(os.fsencode(path.name)[-NAME_BYTES:])}"


def _beside(path: Path, name: str) -> Path:
    folder = path.parent / name
    folder.mkdir(exist_ok=True)
    return folder


def _move(path: Path, target: Path) -> None:
    try:
        path.rename(target)
    except OSError as e:
        raise StationError(f"cannot move {path} to {target.parent}: {e.strerror}") from e
    for folder in (target.parent, path.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
