"""Ids of texts in a table of names, looked up and given for a whole batch at once."""

import json
import sqlite3
from collections.abc import Iterable

_NUL = "\0"  # SQLite's JSON ends a text there


class Names:
    """The ids of some texts. New texts get the next ids, in the order in which they are given."""

    def __init__(self, tx: sqlite3.Connection, table: str, column: str, texts: Iterable[str]) -> None:
        wanted = dict.fromkeys(texts)
        self._ids = _known(tx, table, column, list(wanted))
        missing = [text for text in wanted if text not in self._ids]
        if missing:
            first = int(tx.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table}").fetchone()[0])
            if any(_NUL in text for text in missing):
                tx.executemany(f"INSERT INTO {table} VALUES (?, ?)", list(enumerate(missing, first)))
            else:  # one statement for all: between two, this thread may wait for the interpreter's lock
                rows = f"INSERT INTO {table} SELECT ? + key, value FROM json_each(?)"
                tx.execute(rows, (first, json.dumps(missing)))
            self._ids |= {text: number for number, text in enumerate(missing, first)}

    def __getitem__(self, text: str) -> int:
        return self._ids[text]

    def get(self, text: str | None) -> int | None:
        """The id of a text that may be missing."""
        return self._ids[text] if text else None


def _known(tx: sqlite3.Connection, table: str, column: str, texts: list[str]) -> dict[str, int]:
    query = f"SELECT t.{column}, t.id FROM json_each(?) j CROSS JOIN {table} t ON t.{column} = j.value"
    found = dict(tx.execute(query, (json.dumps([text for text in texts if _NUL not in text]),)))
    for text in texts:
        if _NUL in text and (row := tx.execute(f"SELECT id FROM {table} WHERE {column} = ?", (text,)).fetchone()):
            found[text] = row[0]
    return found
