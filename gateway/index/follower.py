"""The record index, index.db: follows the log as gateway.index.following says."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from chain.record import parts
from chain.site import Folder, SiteReader
from gateway.access import SourceSettings
from gateway.index.following import BATCH, LogIndex, Write, first_events
from gateway.index.rows import RowWriter
from gateway.index.schema import SCHEMA, TABLES, VERSION

__all__ = ["BATCH", "Index", "Settings", "forget_index"]

Settings = Callable[[], Mapping[str, SourceSettings]]


class Index(LogIndex):
    """The one writer of a site's record index. Use it from one thread at a time."""

    what, schema, tables, version = "record index", SCHEMA, TABLES, VERSION

    def __init__(self, folder: Folder, settings: Settings = dict, path: Path | None = None) -> None:
        """`settings` gives the sources' present limits: they tell which series of a flagged pack was outside.
        `path` is another place than the folder's index.db."""
        super().__init__(folder, path or folder.index)
        self._settings = settings

    def read(self, reader: SiteReader, start: int, stop: int) -> tuple[int, Write]:
        events, stop = first_events(reader, range(start, stop), stop)
        records = [parts(entry) for entry in reader.entries.entries(start, stop)]
        fields = {leaf: stored.fields for leaf, stored in events}

        def write(tx: sqlite3.Connection) -> None:
            rows = RowWriter(tx, self._settings)
            for leaf, (source, numbers) in enumerate(records, start):
                rows.add(leaf, source, numbers, fields.get(leaf))
            rows.finish()

        return stop, write


def forget_index(folder: Folder) -> None:
    """Empty the record index of a site that nobody follows now, where there is one; it is built again later."""
    if folder.index.exists():
        index = Index(folder)
        try:
            index.rebuild()
        finally:
            index.close()
