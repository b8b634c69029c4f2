"""The book of scans: which pack was asked for when, and from which coarse place; scans.db, mode 0600.

It serves one purpose: to tell the first scan of a pack from later ones, and two that are far apart from one. It never
changes what is said of a pack itself, so nobody can make a good pack look false by scanning it.

What is kept, and for how long:
1. Of each known pack: time of the first and of the newest scan and their number. The pack is named by a keyed hash.
2. For two days: one row for each pack, day and place, with the time of its first and newest scan. A place is 8 bytes
   of HMAC-SHA256 over the network's prefix (IPv4 /24, IPv6 /48) under a random salt of that day. The salt is deleted
   with the rows, and no address is ever stored: afterwards nobody, the operator included, can tell a place.
Bounds: 1,000,000 packs, the ones that were quiet longest go; 24 places for a pack and day, later ones are not kept.
Scans of one place within a minute count once: a page that is loaded again is no second scan.
"""

import hmac
import ipaddress
import os
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Final

from chain.store.database import Database

FILE: Final = "scans.db"
MINUTE_US: Final = 60_000_000
DAY_US: Final = 1440 * MINUTE_US
WINDOW_US: Final = 60 * MINUTE_US  # two places within an hour are two places at once
MANY_PLACES: Final = 4  # of a day: more than one person's networks
MAX_PLACES, MAX_PACKS, MAX_COUNT = 24, 1_000_000, 1_000_000
KEPT_DAYS: Final = 2
PACK_BYTES, PLACE_BYTES = 16, 8
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS pack (id BLOB PRIMARY KEY, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
    " count INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS pack_last ON pack (last_us)",
    "CREATE TABLE IF NOT EXISTS place (pack BLOB NOT NULL, day INTEGER NOT NULL, place BLOB NOT NULL,"
    " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, PRIMARY KEY (pack, day, place)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS salt (day INTEGER PRIMARY KEY, salt BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS secret (one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL)",
)


class Scanned(StrEnum):
    """What the book says of one more scan."""

    FIRST = "first"
    AGAIN = "again"  # here, or elsewhere but not lately
    ELSEWHERE = "elsewhere"  # from another network within the last hour
    MANY = "many"  # from at least four networks within a day


@dataclass(frozen=True, slots=True)
class Scan:
    """`before`: earlier scans that counted; `first_us`: when the first one was."""

    what: Scanned
    before: int
    first_us: int


class Scans:
    """Safe to call from several threads."""

    def __init__(self, folder: Path, most_packs: int = MAX_PACKS) -> None:
        """Open or make `folder`/scans.db. Raises StoreError."""
        self._db, self._lock, self._most = Database(folder / FILE, _SCHEMA, private=True), Lock(), most_packs
        self._db.connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
        with self._db.transaction() as tx:
            tx.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (os.urandom(32),))
            self._key = bytes(tx.execute("SELECT key FROM secret").fetchone()[0])

    def scan(self, uri: str, address: str, now_us: int) -> Scan:
        """Note one scan of a known pack, and say what it is beside the earlier ones."""
        pack = hmac.digest(self._key, uri.encode(), "sha256")[:PACK_BYTES]
        with self._lock, self._db.transaction() as tx:
            day = now_us // DAY_US
            self._forget(tx, day)
            others = self._others(tx, pack, day, address, now_us)
            repeated = self._note_place(tx, pack, day, address, now_us)
            before, first_us = self._note_pack(tx, pack, now_us, repeated=repeated)
        return Scan(_judged(before, others, now_us), before, first_us)

    def forget(self, now_us: int) -> None:
        """Drop salts and places of days that are over, on the disk too. Call it at least each hour.
        StoreError where the disk does not take it now."""
        with self._lock:
            with self._db.transaction() as tx:
                self._forget(tx, now_us // DAY_US)
            self._db.empty_journal()

    def _forget(self, tx: sqlite3.Connection, day: int) -> None:
        """Salts and places of days that are over."""
        if tx.execute("DELETE FROM salt WHERE day <= ? OR day > ?", (day - KEPT_DAYS, day + 1)).rowcount:
            tx.execute("DELETE FROM place WHERE day <= ? OR day > ?", (day - KEPT_DAYS, day + 1))

    def _others(self, tx: sqlite3.Connection, pack: bytes, day: int, address: str, now_us: int) -> list[int]:
        """Newest times of this pack's scans from other places within a day."""
        found = []
        for of_day in (day - 1, day):
            here = self._place(tx, of_day, address, make=False)
            query = "SELECT place, last_us FROM place WHERE pack = ? AND day = ? AND last_us > ?"
            found += [
                int(last) for place, last in tx.execute(query, (pack, of_day, now_us - DAY_US)) if bytes(place) != here
            ]
        return found

    def _note_place(self, tx: sqlite3.Connection, pack: bytes, day: int, address: str, now_us: int) -> bool:
        """True for one that was scanned here less than a minute ago."""
        place = self._place(tx, day, address, make=True)
        key = (pack, day, place)
        known = tx.execute("SELECT last_us FROM place WHERE pack = ? AND day = ? AND place = ?", key).fetchone()
        if known is not None:
            tx.execute("UPDATE place SET last_us = ? WHERE pack = ? AND day = ? AND place = ?", (now_us, *key))
            return 0 <= now_us - int(known[0]) < MINUTE_US
        count = tx.execute("SELECT COUNT(*) FROM place WHERE pack = ? AND day = ?", (pack, day)).fetchone()[0]
        if count < MAX_PLACES:
            tx.execute("INSERT INTO place VALUES (?, ?, ?, ?, ?)", (*key, now_us, now_us))
        return False

    def _note_pack(self, tx: sqlite3.Connection, pack: bytes, now_us: int, *, repeated: bool) -> tuple[int, int]:
        """Earlier scans, and when the first was."""
        row = tx.execute("SELECT first_us, count FROM pack WHERE id = ?", (pack,)).fetchone()
        if row is None:
            tx.execute("INSERT INTO pack VALUES (?, ?, ?, 1)", (pack, now_us, now_us))
            self._make_room(tx)
            return 0, now_us
        first_us, count = int(row[0]), int(row[1])
        counted = min(count + (not repeated), MAX_COUNT)
        tx.execute("UPDATE pack SET last_us = ?, count = ? WHERE id = ?", (now_us, counted, pack))
        return counted - 1, first_us

    def _make_room(self, tx: sqlite3.Connection) -> None:
        if tx.execute("SELECT COUNT(*) FROM pack").fetchone()[0] <= self._most:
            return
        (gone,) = tx.execute("SELECT id FROM pack ORDER BY last_us LIMIT 1").fetchone()
        tx.execute("DELETE FROM pack WHERE id = ?", (gone,))
        tx.execute("DELETE FROM place WHERE pack = ?", (gone,))

    def _place(self, tx: sqlite3.Connection, day: int, address: str, *, make: bool) -> bytes:
        row = tx.execute("SELECT salt FROM salt WHERE day = ?", (day,)).fetchone()
        if row is None:
            if not make:
                return b""
            row = (os.urandom(32),)
            tx.execute("INSERT INTO salt VALUES (?, ?)", (day, row[0]))
        return hmac.digest(bytes(row[0]), network_of(address).encode(), "sha256")[:PLACE_BYTES]

    def close(self) -> None:
        with self._lock:
            self._db.close()


def network_of(address: str) -> str:
    """The network that an address is of, coarsely; the text itself where it is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "?"
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))


def _judged(before: int, others: list[int], now_us: int) -> Scanned:
    if len(others) + 1 >= MANY_PLACES:
        return Scanned.MANY
    if any(now_us - WINDOW_US < last for last in others):
        return Scanned.ELSEWHERE
    return Scanned.AGAIN if before else Scanned.FIRST
