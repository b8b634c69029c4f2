"""Copies of a data directory: one of the site, which may be running, and from that one a fresh one for each alteration.

The site itself is opened for reading only. Its databases are copied as SQLite's backup does it, log and ledger as of
one moment. Copies hold the site's keys: they lie in folders that only this user may enter.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from chain.errors import StoreError
from chain.site import Folder

Progress = Callable[[str, int, int], None]
_TRIES = 100
_PAGES = 4096  # copied between two reports of progress
_PLAIN = ("origin", "witness.policy")


def copy_site(folder: Folder, to: Path, progress: Progress) -> Folder:
    """A consistent copy of a site's data directory.

    Raises:
        StoreError: a database cannot be read, or the ledger never rests.
    """
    to.mkdir(mode=0o700)
    shutil.copytree(folder.keys, to / "keys", copy_function=_copy_file)
    for name in _PLAIN:
        if (folder.root / name).exists():
            _copy_file(str(folder.root / name), str(to / name))
    try:
        # The indexes before the log, which they never may be ahead of.
        for path in (folder.access, folder.index, folder.events):
            if path.exists():
                with closing(_reading(path)) as source:
                    _backup(source, to / path.name, progress)
        _copy_evidence(folder, to, progress)
    except sqlite3.Error as e:
        raise StoreError(f"the databases in {folder.root} cannot be copied: {e}; run sealtrail fsck") from e
    return Folder(to)


def _copy_evidence(folder: Folder, to: Path, progress: Progress) -> None:
    """Ledger and log as of one moment: an anchor that came between them would make one of them look old."""
    if folder.shared_ledger is not None:
        raise StoreError(
            f"{folder.root} shares its ledger with other sites; the drill alters sites with one of their own"
        )
    (to / folder.ledger.name).mkdir(mode=0o700)
    ledgers = sorted(folder.ledger.glob("*.db"))
    with ExitStack() as stack:
        probes = [stack.enter_context(closing(_reading(path))) for path in ledgers]
        sources = [stack.enter_context(closing(_reading(path))) for path in (*ledgers, folder.database)]
        _hold_one_moment(sources, probes)
        for source, path in zip(sources, (*ledgers, folder.database), strict=True):
            _backup(source, to / path.relative_to(folder.root), progress)


def _hold_one_moment(sources: list[sqlite3.Connection], probes: list[sqlite3.Connection]) -> None:
    """Begin to read each source; repeat where a ledger changed meanwhile."""
    for _ in range(_TRIES):
        before = [probe.execute("PRAGMA data_version").fetchone() for probe in probes]
        for source in sources:
            source.execute("BEGIN")
            source.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if before == [probe.execute("PRAGMA data_version").fetchone() for probe in probes]:
            return
        for source in sources:
            source.execute("COMMIT")
    raise StoreError(f"the ledger changed at each of {_TRIES} tries to copy it together with the log; try again")


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _backup(source: sqlite3.Connection, to: Path, progress: Progress) -> None:
    os.close(os.open(to, os.O_CREAT | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(to)) as target:
        source.backup(
            target, pages=_PAGES, progress=lambda _, left, total: progress(f"copy of {to.name}", total - left, total)
        )


def copy_folder(folder: Folder, to: Path) -> Folder:
    """A copy of a folder that nobody uses; by reference where the file system can."""
    return Folder(Path(shutil.copytree(folder.root, to, copy_function=_copy_file)))


def put_back(path: Path, older: Path) -> None:
    """Replace a database by an older copy of it, and what SQLite kept beside it."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.unlink()
    _copy_file(str(older), str(path))


def _copy_file(source: str, target: str) -> str:
    with open(source, "rb") as old, open(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as new:
        try:
            while os.copy_file_range(old.fileno(), new.fileno(), 2**30):
                pass
        except OSError:  # not between these file systems
            old.seek(0)
            new.truncate(0)
            new.seek(0)
            shutil.copyfileobj(old, new)
    shutil.copymode(source, target)
    return target
