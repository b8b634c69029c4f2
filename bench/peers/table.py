"""A plain table: an INSERT and a durable COMMIT for each event, nothing that anyone could prove."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path


def rate(folder: Path, events: Sequence[bytes]) -> float:
    """Events a second into SQLite with WAL and synchronous=FULL."""
    with closing(sqlite3.connect(folder / "table.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE event (source TEXT, boot INTEGER, seq INTEGER, body BLOB, UNIQUE (source, boot, seq))")
        began = time.perf_counter()
        for seq, event in enumerate(events):
            db.execute("INSERT INTO event VALUES ('logger', 1, ?, ?)", (seq, event))
        return len(events) / (time.perf_counter() - began)
