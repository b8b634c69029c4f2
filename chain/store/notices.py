"""Dead letters and alerts: what was refused and why, and what needs a person. Both tables are bounded.

Beyond its bound a table drops its oldest rows and counts them, so nothing goes in silence.
"""

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from chain.store.database import Database

MAX_ROWS = 10_000
_QUOTED = re.compile(r", got |['\"`]")
KEPT_BYTES = 4096  # of a refused payload; its full length and digest are kept too
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS dead_letter (id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL,"
    " source TEXT NOT NULL, door TEXT NOT NULL, channel TEXT NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL,"
    " digest BLOB NOT NULL, head BLOB NOT NULL, times INTEGER NOT NULL DEFAULT 1, UNIQUE (source, digest, reason))",
    "CREATE TABLE IF NOT EXISTS alert (id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL,"
    " kind TEXT NOT NULL, source TEXT NOT NULL, text TEXT NOT NULL, leaf INTEGER)",
    "CREATE TABLE IF NOT EXISTS dropped (what TEXT PRIMARY KEY, count INTEGER NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Refused input: when it last came, from where, why, its size and digest, its first 4 KiB, how often."""

    id: int
    at_us: int
    source: str
    door: str
    channel: str
    reason: str
    size: int
    digest: bytes
    head: bytes
    times: int


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person should know: kind is excursion, gap, broken-seal, conflict or fault."""

    id: int
    at_us: int
    kind: str
    source: str
    text: str
    leaf: int | None


class Notices:
    """Reads and writes both tables over one database connection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def refuse(self, tx: sqlite3.Connection, at_us: int, source: str, door: str, channel: str, reason: str,
               payload: bytes, *, keep: bool = True) -> bool:  # fmt: skip
        """Keep a refused payload with its reason; the same one again only counts up. True where it is new. `keep`
        False: its size and digest only, and of the reason nothing that is quoted from it."""
        head, said = (payload[:KEPT_BYTES], reason) if keep else (b"", unquoted(reason))
        row = (at_us, source[:64], door, channel, said[:1000], len(payload), sha256(payload).digest(), head)
        cursor = tx.execute(
            "INSERT INTO dead_letter (at_us, source, door, channel, reason, size, digest, head)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET times = times + 1, at_us = excluded.at_us RETURNING times",
            row,
        )
        new = bool(cursor.fetchone()[0] == 1)
        _trim(tx, "dead_letter")
        return new

    def alert(self, tx: sqlite3.Connection, at_us: int, kind: str, source: str, text: str, leaf: int | None) -> None:
        row = (at_us, kind, source, text[:1000], leaf)
        tx.execute("INSERT INTO alert (at_us, kind, source, text, leaf) VALUES (?, ?, ?, ?, ?)", row)
        _trim(tx, "alert")

    def forget(self, tx: sqlite3.Connection, sources: Iterable[str], name: str) -> None:
        """Remove what may hold payloads of an erased subject: all dead letters of these sources, whatever they say,
        and every row that holds the name, if one is given. What is left is written anew, because SQLite keeps bytes of
        rows in pages that it once split. Wanted: secure_delete."""
        named = sorted(sources)
        rows = tx.execute("SELECT * FROM dead_letter").fetchall()
        tx.execute("DELETE FROM dead_letter")
        left = [row for row in rows if row[2] not in named and not _holds(row, name)]
        tx.executemany("INSERT INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", left)
        _count_dropped(tx, "dead_letter", len(rows) - len(left))
        alerts = tx.execute("SELECT * FROM alert").fetchall()
        tx.execute("DELETE FROM alert")
        tx.executemany("INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?)", [r for r in alerts if not _holds(r, name)])

    def dead_letters(self, *, before: int | None = None, limit: int = 100) -> list[DeadLetter]:
        """Newest first; `before` is the id to go on from."""
        return [DeadLetter(*row) for row in self._page("dead_letter", before, limit)]

    def alerts(self, *, before: int | None = None, limit: int = 100) -> list[Alert]:
        return [Alert(*row) for row in self._page("alert", before, limit)]

    def counts(self) -> dict[str, int]:
        """Rows kept and rows dropped, for metrics: dead_letter, alert, dropped_dead_letter, dropped_alert."""
        run = self._db.connection.execute
        kept = {table: run(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("dead_letter", "alert")}
        return kept | dict(run("SELECT what, count FROM dropped").fetchall())

    def refused(self) -> int:
        """How many refusals are kept, repeats counted."""
        row = self._db.connection.execute("SELECT COALESCE(SUM(times), 0) FROM dead_letter").fetchone()
        return int(row[0])

    def _page(self, table: str, before: int | None, limit: int) -> Iterable[tuple[Any, ...]]:
        query = f"SELECT * FROM {table} WHERE id < ? ORDER BY id DESC LIMIT ?"
        return self._db.connection.execute(query, (2**63 - 1 if before is None else before, limit))


def unquoted(reason: str) -> str:
    """As much of a reason as holds nothing of what was refused: up to the first quotation or number that came."""
    return _QUOTED.split(reason, maxsplit=1)[0]


def _trim(tx: sqlite3.Connection, table: str) -> None:
    """Drop the oldest rows over the bound, counting them. Ids only grow, so the span bounds the count. Two queries:
    SQLite finds one end of the index at once, but reads the whole table when asked for both."""
    low, high = tx.execute(f"SELECT (SELECT MIN(id) FROM {table}), (SELECT MAX(id) FROM {table})").fetchone()
    if high - low < MAX_ROWS:
        return
    _count_dropped(tx, table, tx.execute(f"DELETE FROM {table} WHERE id <= ?", (high - MAX_ROWS,)).rowcount)


def _holds(row: tuple[Any, ...], name: str) -> bool:
    """Whether a row names an erased subject anywhere."""
    found = [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return bool(name) and any(name.encode() in value for value in found)


def _count_dropped(tx: sqlite3.Connection, table: str, gone: int) -> None:
    tx.execute(
        "INSERT INTO dropped VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        (f"dropped_{table}", gone),
    )
