"""Compares the event index with one that is built anew from the log, as gateway.index.check does."""

from chain.site import Folder
from gateway.events.follower import EventIndex
from gateway.index.check import Progress, check_any


def check_events(folder: Folder, progress: Progress = lambda what, done, total: None) -> int:
    """How many leaves the event index holds, all as the log has them; IndexMismatchError names the first false row.
    Where there is no such file it holds none."""
    if not folder.events.exists():
        return 0
    return check_any(folder, folder.events, lambda path: EventIndex(folder, path), progress)
