"""Reading connections to a site: one set for each question, kept for the next one.

SQLite connections may pass from thread to thread as long as one uses them at a time.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Generic, Protocol, TypeVar

from chain.errors import StoreError
from chain.site import Folder, SiteReader
from chain.store.database import Database
from gateway.query.errors import BusyError, NotIndexedError

MAX_VIEWS = 8
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
        with bounded(self.index, "record index"):
            yield self

    def close(self) -> None:
        self.site.close()
        self.index.close()


@contextmanager
def bounded(index: Database, what: str, seconds: float = MAX_QUERY_S) -> Iterator[None]:
    """Questions to this database inside the block are stopped after so many seconds.

    Raises:
        BusyError: one took longer.
        NotIndexedError: the index cannot be read, or is being built again.
    """
    end = time.monotonic() + seconds
    index.connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError as e:
        if e.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise BusyError("this would take too long; ask for a shorter time range or fewer filters") from e
        raise NotIndexedError(f"the {what} cannot be read: {e}") from e
    finally:
        index.connection.set_progress_handler(None, 0)


class Closes(Protocol):
    """What ends with `close`."""

    def close(self) -> None: ...


V = TypeVar("V", bound=Closes)


class Pool(Generic[V]):
    """Keeps views for the next question. How many are out at once is for the caller to bound."""

    def __init__(self, opened: Callable[[], V]) -> None:
        self._opened = opened
        self._free: list[V] = []
        self._lock = Lock()
        self._closed = False
        self._age = 0  # how often everything was to be opened anew
        self._out: dict[int, int] = {}  # views that are out, by id, and of which age

    def take(self) -> V:
        """A view for the calling thread alone, until it is given back. Blocking: it may open files."""
        with self._lock:
            age, view = self._age, self._free.pop() if self._free else None
        view = view or self._opened()
        with self._lock:
            self._out[id(view)] = age
        return view

    def give_back(self, view: V) -> None:
        with self._lock:
            current = self._out.pop(id(view), self._age) == self._age
            if current and not self._closed and len(self._free) < MAX_VIEWS:
                self._free.append(view)
                return
        view.close()

    def renew(self) -> None:
        """Open everything anew, what is out when it comes back: views remember payloads, and some were erased."""
        with self._lock:
            self._age += 1
            free, self._free = self._free, []
        for view in free:
            view.close()

    def close(self) -> None:
        """Close what is free now, and what is out when it comes back."""
        with self._lock:
            self._closed, free, self._free = True, self._free, []
        for view in free:
            view.close()


class Views(Pool[View]):
    """Keeps views of one folder for the next question."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(lambda: View.open(folder))
