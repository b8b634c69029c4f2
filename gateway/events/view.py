"""Reading connections to a site and its event index, for one question at a time.

Answers come from one snapshot of the index; the payload of an event is read from the site.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chain.errors import StoreError
from chain.site import Folder, SiteReader
from chain.store.database import Database
from crypto import cbor
from crypto.errors import DecryptionError
from gateway.query.errors import NotFoundError, NotIndexedError
from gateway.query.view import MAX_QUERY_S, Pool, bounded


@dataclass(frozen=True, slots=True)
class EventsView:
    """One site's store and its event index, read-only, for one thread at a time."""

    site: SiteReader
    events: Database

    @classmethod
    def open(cls, folder: Folder) -> "EventsView":
        if not folder.events.exists():
            raise NotIndexedError("the event index is not built yet; try again in a few seconds")
        site = SiteReader.open(folder)
        try:
            return cls(site, Database(folder.events, readonly=True))
        except StoreError:
            site.close()
            raise

    @contextmanager
    def bounded(self, seconds: float = MAX_QUERY_S) -> Iterator["EventsView"]:
        """Questions to the index inside this block are stopped after so many seconds: BusyError."""
        with bounded(self.events, "event index", seconds):
            yield self

    def indexed(self) -> int:
        """How many leaves of the log the index holds."""
        row = self.events.connection.execute("SELECT next_leaf FROM position").fetchone()
        return int(row[0]) if row else 0

    def payload(self, leaf: int) -> bytes:
        """The exact bytes of the event that this leaf records. NotFoundError where they are gone or sealed."""
        try:
            segment = self.site.payloads.segment_of(leaf)
        except DecryptionError as e:
            raise NotFoundError(f"the payload of record {leaf} does not open: it was erased, or sealed") from e
        if segment is None:
            raise NotFoundError(f"record {leaf} has no payload")
        payload: bytes = cbor.unpack(segment.events[leaf - segment.first_leaf].event)[9]
        return payload

    def close(self) -> None:
        self.site.close()
        self.events.close()


class EventsViews(Pool[EventsView]):
    """Keeps views of one folder for the next question."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(lambda: EventsView.open(folder))
