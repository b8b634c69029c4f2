"""Ids of texts in a table of names, looked up and given for a whole batch at once."""

import json
import sqlite3
from collections.abc import Iterable


class Names:
    """The ids of some texts. New texts get the next ids, in the order in which they are given."""

    def __init__(self, tx: sqlite3.Connection, table: str, column: str, texts: Iterable[str]) -> None:
        wanted = dict.fromkeys(texts)
        self._ids = _known(tx, table, column, list(wanted))
        missing = [text for text in wanted if text not in self._ids]
        if missing:
            first = int(tx.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table}").fetchone()[0])
            rows = list(enumerate(missing, first))
            tx.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows)
            self._ids |= {text: number for number, text in rows}

    def __getitem__(self, text: str) -> int:
        return self._ids[text]

    def get(self, text: str | None) -> int | None:
        """The id of a text that may be missing."""
        return self._ids[text] if text else None


def _known(tx: sqlite3.Connection, table: str, column: str, texts: list[str]) -> dict[str, int]:
    query = f"SELECT t.{column}, t.id FROM json_each(?) j CROSS JOIN {table} t ON t.{column} = j.value"
    return dict(tx.execute(query, (json.dumps(texts),)))
