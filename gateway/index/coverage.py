"""Merged spans of event numbers: which of a boot are stored, which are sealed. Gaps are what lies between.

Spans are (first, last), both inside: a number may be 2^63-1, and one past it would not fit the database.
"""

import sqlite3
from collections.abc import Iterable

from crypto.flat import MAX_NUMBER

_TOUCHING = "SELECT first, last FROM span WHERE source = ? AND boot = ? AND what = ? AND first <= ? ORDER BY first DESC"
_DELETE = "DELETE FROM span WHERE source = ? AND boot = ? AND what = ? AND first = ?"


def runs(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in any order, joined where they touch or overlap, in order."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def cover(tx: sqlite3.Connection, key: tuple[int, int, int], first: int, last: int) -> None:
    """Add the numbers first … last to the spans of `key` = (source id, boot, what), joining what they touch."""
    touching = []
    for found_first, found_last in tx.execute(_TOUCHING, (*key, min(last + 1, MAX_NUMBER))):
        if found_last + 1 < first:  # spans are disjoint: all further ones end before this
            break
        touching.append((found_first, found_last))
    for found_first, _ in touching:
        tx.execute(_DELETE, (*key, found_first))
    low = min([first, *(span[0] for span in touching)])
    high = max([last, *(span[1] for span in touching)])
    tx.execute("INSERT INTO span VALUES (?, ?, ?, ?, ?)", (*key, low, high))
