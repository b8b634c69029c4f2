"""The event index, events.db: follows the log as gateway.index.following says. A log without EPCIS events costs it a
look at each record's kind."""

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from chain.errors import StoreError
from chain.record import parts
from chain.site import Folder, Lock, SiteReader
from chain.store.segment import StoredEvent
from crypto import cbor
from crypto.errors import FormatError
from gateway.epcis.event import read_event
from gateway.events.rows import Logged, hash_of_id, write_events
from gateway.events.schema import SCHEMA, TABLES, VERSION
from gateway.index.following import BATCH, LogIndex, Write, first_events

__all__ = ["BATCH", "EPCIS_KIND", "EventIndex", "bring_up_to_date", "forget_events"]

log = logging.getLogger(__name__)
EPCIS_KIND = 7


class EventIndex(LogIndex):
    """The one writer of a site's event index. Use it from one thread at a time."""

    what, schema, tables, version = "event index", SCHEMA, TABLES, VERSION

    def __init__(self, folder: Folder, path: Path | None = None) -> None:
        """`path` is another place than the folder's events.db."""
        super().__init__(folder, path or folder.events)

    def read(self, reader: SiteReader, start: int, stop: int) -> tuple[int, Write]:
        received: dict[int, tuple[str, int]] = {}
        for leaf, entry in enumerate(reader.entries.entries(start, stop), start):
            source, (kind, _, _, _, received_us, *_) = parts(entry)
            if kind == EPCIS_KIND:
                received[leaf] = source, received_us

        events, stop = first_events(reader, received, stop)

        def write(tx: sqlite3.Connection) -> None:
            write_events(tx, list(_opened(events, received)))

        return stop, write


def _opened(events: Iterable[tuple[int, StoredEvent]], received: dict[int, tuple[str, int]]) -> Iterator[Logged]:
    for leaf, stored in events:
        try:
            digest = hash_of_id(str(dict(stored.fields)["hash"]))
            source, received_us = received[leaf]
            yield Logged(leaf, received_us, read_event(cbor.unpack(stored.event)[9], digest), source)
        except FormatError as e:  # it was checked before it was logged: by an earlier version, or not by this program
            log.warning("record %d is not indexed as an EPCIS event: %s", leaf, e)


def bring_up_to_date(folder: Folder) -> None:
    """Index what is not indexed yet, unless a running gateway does so."""
    try:
        lock = Lock(folder.root)
    except StoreError:
        return
    with lock, closing(SiteReader.open(folder)) as reader, closing(EventIndex(folder)) as index:
        while index.follow(reader):
            pass


def forget_events(folder: Folder) -> None:
    """Empty the event index of a site that nobody follows now, where there is one; it is built again later."""
    if folder.events.exists():
        index = EventIndex(folder)
        try:
            index.rebuild()
        finally:
            index.close()
