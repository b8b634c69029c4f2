"""Alarms from this site's own alerts: readings out of range, gaps, overdue seals, broken seals, lost deliveries."""

import sqlite3
from contextlib import closing
from typing import Any

from chain.errors import StoreError
from chain.site import Folder
from chain.store.database import Database
from chain.store.notices import Alert
from gateway.alarms.alarm import Alarm, What

MOST = 500  # at once


class FromSite:
    """Blocking; used by one thread at a time. `origin` makes the keys of two sites differ."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def newest(self) -> int:
        """The id of the newest alert, 0 where there is none."""
        return int(self._read("SELECT COALESCE(MAX(id), 0) FROM alert")[0][0])

    def after(self, number: int) -> list[Alarm]:
        """Of the alerts behind this one, oldest first, without ids yet."""
        columns = "id, at_us, kind, source, text, leaf"
        rows = self._read(f"SELECT {columns} FROM alert WHERE id > ? ORDER BY id LIMIT {MOST}", number)
        return [_alarm(Alert(*row)) for row in rows]

    def _read(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            with closing(Database(self._folder.database, readonly=True)) as db:
                return db.connection.execute(query, values).fetchall()
        except sqlite3.Error as e:
            raise StoreError(f"the alerts in {self._folder.database.name} cannot be read: {e}") from e


def number_of(alarm: Alarm) -> int:
    """The id of the alert that an alarm is of."""
    return int(alarm.numbers["alert"])


def _alarm(alert: Alert) -> Alarm:
    links = {} if alert.leaf is None else {"record": f"/records/{alert.leaf}"}
    numbers = {"alert": alert.id, "kind": alert.kind, "record": alert.leaf, "count": 1}
    text = f"{alert.source}: {alert.kind}, {alert.text}"
    return Alarm(0, f"alert {alert.id} {alert.at_us}", alert.at_us, What.SITE, alert.source, text, numbers, links)
