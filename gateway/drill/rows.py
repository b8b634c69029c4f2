"""Alters rows of a SQLite table: one byte, a row removed, two swapped, one inserted, a column of times shifted.

Places are chosen by chance. Works on any table: keys and constraints are read from the database, and CHECK constraints
are passed over, as whoever means harm would.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from gateway.drill.alteration import NotApplicableError

HOUR_US = 3_600_000_000
_TRIES = 50
_FAR = 1000  # an inserted row's number lies this far behind the last


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database for writing, committed at the end."""
    if not path.exists():
        raise NotApplicableError(f"no {path.name}")
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        with connection:
            yield connection
    finally:
        connection.close()


def flip(db: sqlite3.Connection, table: str, columns: Sequence[str], rows: str, chance: Random) -> str:
    """Change one byte of one column of one row."""
    names, key = _names(db, table), _key(db, table)
    where = " AND ".join(f"{name} IS ?" for name in key)
    for _ in range(_TRIES):
        row, column = _row(db, table, rows, chance), chance.choice(columns)
        if row[names.index(column)] in (None, "", b""):
            continue
        value, place = _altered(row[names.index(column)], chance)
        try:
            places = [row[names.index(name)] for name in key]
            db.execute(f'UPDATE "{table}" SET {column} = ? WHERE {where}', [value, *places])
        except sqlite3.IntegrityError:  # another row has this key: another place will do
            continue
        return f"{column}{place} of {_shown(db, table, row)}"
    raise NotApplicableError(f"nothing in {table}")


def remove(db: sqlite3.Connection, table: str, rows: str, chance: Random) -> str:
    row = _row(db, table, rows, chance)
    _replace(db, table, [row], [])
    return _shown(db, table, row)


def swap(db: sqlite3.Connection, table: str, rows: str, chance: Random) -> str:
    """Exchange the keys of two rows that say different things."""
    names, key = _names(db, table), _key(db, table)
    others = [name for name in names if name not in key]
    a = _row(db, table, rows, chance)
    same = " AND ".join(["1", *(f"{name} IS ?" for name in others)])
    try:
        b = _row(db, table, f"{rows} AND NOT ({same})", chance, [a[names.index(name)] for name in others])
    except NotApplicableError as e:
        raise NotApplicableError(f"no two rows of {table} that could change places") from e
    mixed = [[x if name in key else y for name, x, y in zip(names, *two, strict=True)] for two in ((a, b), (b, a))]
    _replace(db, table, [a, b], mixed)
    return f"{_shown(db, table, a)} and {_shown(db, table, b)}"


def insert(db: sqlite3.Connection, table: str, rows: str, chance: Random) -> str:
    """Add a copy of a row under keys that are free."""
    row, names = list(_row(db, table, rows, chance)), _names(db, table)
    for unique in (_key(db, table), *_unique(db, table)):
        at = names.index(unique[-1])
        row[at] = _free(db, table, unique[-1], row[at])
    _replace(db, table, [], [row])
    return _shown(db, table, row)


def shift(db: sqlite3.Connection, table: str, column: str) -> str:
    """Move every time of a column by an hour, as if a clock had been wrong; backwards, so that no row meets another."""
    ordered = db.execute(f'SELECT * FROM "{table}" WHERE {column} IS NOT NULL ORDER BY {column}').fetchall()
    if not ordered:
        raise NotApplicableError(f"nothing in {table}")
    at = _names(db, table).index(column)
    for row in ordered:
        _replace(db, table, [row], [[old - HOUR_US if n == at else old for n, old in enumerate(row)]])
    return f"{column} of {len(ordered):,} rows"


def _names(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]


def _key(db: sqlite3.Connection, table: str) -> list[str]:
    found = sorted((row[5], row[1]) for row in db.execute(f'PRAGMA table_info("{table}")') if row[5])
    return [name for _, name in found]


def _unique(db: sqlite3.Connection, table: str) -> list[list[str]]:
    """Columns of the further unique constraints."""
    names = [row[1] for row in db.execute(f'PRAGMA index_list("{table}")') if row[2] and row[3] != "pk"]
    return [[row[2] for row in db.execute(f'PRAGMA index_info("{name}")')] for name in names]


def _row(db: sqlite3.Connection, table: str, rows: str, chance: Random, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    count = db.execute(f'SELECT COUNT(*) FROM "{table}" WHERE {rows}', values).fetchone()[0]
    if not count:
        raise NotApplicableError(f"nothing in {table}")
    query = f'SELECT * FROM "{table}" WHERE {rows} LIMIT 1 OFFSET ?'
    found: tuple[Any, ...] = db.execute(query, [*values, chance.randrange(count)]).fetchone()
    return found


def _replace(db: sqlite3.Connection, table: str, old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> None:
    """Take rows out and put others in; all of them out first, so that none stands in another's way."""
    names, key = _names(db, table), _key(db, table)
    where = " AND ".join(f"{name} IS ?" for name in key)
    for row in old:
        db.execute(f'DELETE FROM "{table}" WHERE {where}', [row[names.index(name)] for name in key])
    try:
        for row in new:
            db.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})', row)
    except (sqlite3.IntegrityError, OverflowError) as e:
        raise NotApplicableError(f"the database refuses such a row: {e}") from e


def _altered(value: Any, chance: Random) -> tuple[Any, str]:
    """The value with one byte changed, and which."""
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(8), ""
    if isinstance(value, float):
        return value + chance.choice((-1.0, 1.0)) * max(abs(value), 1.0) / 256, ""
    at = chance.randrange(len(value))
    if isinstance(value, bytes):
        return value[:at] + bytes([value[at] ^ 1 << chance.randrange(8)]) + value[at + 1 :], f" byte {at}"
    other = chance.choice([c for c in "abcdefghijklmnopqrstuvwxyz0123456789" if c != value[at]])
    return value[:at] + other + value[at + 1 :], f" character {at}"


def _free(db: sqlite3.Connection, table: str, column: str, value: Any) -> Any:
    if isinstance(value, int):
        return db.execute(f'SELECT MAX({column}) FROM "{table}"').fetchone()[0] + _FAR
    return value + ("~" if isinstance(value, str) else b"~")


def _shown(db: sqlite3.Connection, table: str, row: Sequence[Any]) -> str:
    names = _names(db, table)
    return "row " + ", ".join(f"{name} {row[names.index(name)]!r:.60}" for name in _key(db, table))
