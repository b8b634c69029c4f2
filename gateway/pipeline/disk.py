"""The bound on the site's disk: when it is reached new events are refused and evidence is never overwritten."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LOOK_EVERY_S = 1.0
MIN_FREE_BYTES = 8 * 2**20  # for the largest commit, the ledger and the index, whatever the reserve says


class DiskBound:
    """Compares what the data directory holds with its limit, and the disk's free room with a reserve. Commits wait for
    it, so a folder of a million files is not walked: whoever has one says how much it holds."""

    def __init__(self, root: Path, limit_bytes: int, reserve_bytes: int) -> None:
        self._root = root
        self._apart: tuple[str, Callable[[], int]] = ("", lambda: 0)
        self.limit_bytes = limit_bytes
        self._reserve_bytes = max(reserve_bytes, MIN_FREE_BYTES)
        self.used_bytes = 0
        self._free_bytes = 0
        self._looked = 0.0

    def exceeded(self) -> bool:
        """True while no more events may be taken; looks at the disk at most once a second."""
        now = time.monotonic()
        if not self._looked or now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            with contextlib.suppress(OSError):  # a file that goes meanwhile, no descriptor left: the next look tells
                self.used_bytes = self._apart[1]() + sum(file.stat().st_size for file in self._files())
                self._free_bytes = shutil.disk_usage(self._root).free
        return self.used_bytes > self.limit_bytes or self._free_bytes < self._reserve_bytes

    def _files(self) -> Iterator[Path]:
        for top in self._root.iterdir():
            if top.is_file():
                yield top
            elif top.name != self._apart[0]:
                yield from (file for file in top.rglob("*") if file.is_file())

    def count_apart(self, folder: str, held: Callable[[], int]) -> None:
        """`held` says how many bytes this folder of the data directory holds."""
        self._apart = folder, held

    def look_again(self) -> None:
        """A write failed: what was seen before it is no longer true."""
        self._looked = 0.0

    def explain(self) -> str:
        """What is full and how to mend it."""
        if self.used_bytes > self.limit_bytes:
            return (
                f"the data directory holds {self.used_bytes:,} bytes, its limit is {self.limit_bytes:,}; raise"
                " storage.max_bytes or move the site to a larger disk. New events wait at their sources"
            )
        return (
            f"the disk has {self._free_bytes:,} bytes free, {self._reserve_bytes:,} are kept in reserve; free some."
            " New events wait at their sources"
        )
