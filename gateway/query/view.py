"""Reading connections to a site: one set a question, taken from a bounded pool.

SQLite connections may pass from thread to thread as long as one uses them at a time; the pool sees to that.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, LifoQueue
from threading import Lock

from chain.errors import StoreError
from chain.site import Folder, SiteReader
from chain.store.database import Database
from gateway.query.errors import BusyError, NotIndexedError

MAX_VIEWS = 8
WAIT_S = 5.0
MAX_QUERY_S = 5.0
_STEPS_BETWEEN_LOOKS = 20_000  # of SQLite's virtual machine, well below a millisecond each


@dataclass(frozen=True, slots=True)
class View:
    """One site's store and its index, read-only, for one thread at a time."""

    site: SiteReader
    index: Database

    @classmethod
    def open(cls, folder: Folder) -> "View":
        if not folder.index.exists():
            raise NotIndexedError("the record index is not built yet; try again in a few seconds")
        site = SiteReader.open(folder)
        try:
            return cls(site, Database(folder.index, readonly=True))
        except StoreError:
            site.close()
            raise

    @contextmanager
    def bounded(self) -> Iterator["View"]:
        """Questions to the index inside this block are stopped after five seconds."""
        end = time.monotonic() + MAX_QUERY_S
        self.index.connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
        try:
            yield self
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise BusyError("this would take too long; ask for a shorter time range or fewer filters") from e
            raise NotIndexedError(f"the record index cannot be read: {e}") from e
        finally:
            self.index.connection.set_progress_handler(None, 0)

    def close(self) -> None:
        self.site.close()
        self.index.close()


class Views:
    """A pool of views of one folder. Views are opened when first needed and used again."""

    def __init__(self, folder: Folder, bound: int = MAX_VIEWS) -> None:
        self._folder = folder
        self._free: LifoQueue[View | None] = LifoQueue()
        for _ in range(bound):
            self._free.put(None)
        self._lock = Lock()
        self._closed = False

    @contextmanager
    def view(self) -> Iterator[View]:
        """A view for the calling thread alone. BusyError where none gets free within five seconds."""
        try:
            taken = self._free.get(timeout=WAIT_S)
        except Empty as e:
            raise BusyError("too many questions at once; try again in a few seconds") from e
        view = taken
        try:
            view = view or View.open(self._folder)
            with view.bounded():
                yield view
        finally:
            self._give_back(view)

    def close(self) -> None:
        """Close the views that are free; those in use close when they come back."""
        with self._lock:
            self._closed = True
        while True:
            try:
                view = self._free.get_nowait()
            except Empty:
                return
            if view:
                view.close()

    def _give_back(self, view: View | None) -> None:
        with self._lock:
            closed = self._closed
        if closed and view:
            view.close()
        elif not closed:
            self._free.put(view)
