"""The embedded ledger's tables of state and history, and a contract transaction over it.

Reads see the committed state only, as on Fabric; writes are collected and applied by the ledger, together with
the transaction's leaf, once the contract has succeeded. The database is trusted to be ours.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from hashlib import sha256
from typing import Any, TypeVar

from chain.errors import LedgerError
from chain.ledger.transaction_leaf import Write, open_leaf
from chaincode.transaction import Caller, Version

SCHEMA = (
    # leaf is the index of the transaction that last wrote the key: where a receipt's evidence is found.
    "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL, leaf INTEGER NOT NULL) WITHOUT ROWID",
    # Every transaction that ever wrote the key.
    "CREATE TABLE IF NOT EXISTS history (key TEXT, leaf INTEGER, PRIMARY KEY (key, leaf)) WITHOUT ROWID",
)
_T = TypeVar("_T")


class StateTransaction:
    """chaincode.transaction.Transaction over SQLite. Its methods never suspend, so no event loop is needed.
    `entry` gives the transaction leaf of an index."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        entry: Callable[[int], bytes],
        tx_id: str,
        caller: Caller,
        timestamp_us: int,
    ) -> None:
        self._connection = connection
        self._entry = entry
        self.id = tx_id
        self.caller = caller
        self.timestamp_us = timestamp_us
        self.values: dict[str, bytes] = {}
        self.event: tuple[str, bytes] | None = None

    async def get(self, key: str) -> bytes | None:
        row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    async def put(self, key: str, value: bytes) -> None:
        if not key or not value:
            raise LedgerError(f"state keys and values are never empty, got one for {key!r}")  # Fabric's rule too
        self.values[key] = value

    async def range(self, start: str, end: str) -> AsyncIterator[tuple[str, bytes]]:
        query = "SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key"
        for key, value in self._connection.execute(query, (start, end)):
            yield key, value

    async def history(self, key: str) -> AsyncIterator[Version]:
        query = "SELECT leaf FROM history WHERE key = ? ORDER BY leaf DESC"
        for (index,) in self._connection.execute(query, (key,)):
            yield _version(self._entry(index), index, key)

    def set_event(self, name: str, payload: bytes) -> None:
        self.event = (name, payload)

    def writes(self) -> tuple[Write, ...]:
        """What is written, in the order of first mention."""
        return tuple(Write(key, sha256(value).digest()) for key, value in self.values.items())

    def apply(self, leaf: int) -> None:
        """Put the writes of the transaction with index `leaf` into the tables, inside the open database transaction."""
        rows, places = [(key, value, leaf) for key, value in self.values.items()], [(key, leaf) for key in self.values]
        self._connection.executemany("INSERT OR REPLACE INTO state (key, value, leaf) VALUES (?, ?, ?)", rows)
        self._connection.executemany("INSERT INTO history (key, leaf) VALUES (?, ?)", places)


def _version(entry: bytes, index: int, key: str) -> Version:
    leaf = open_leaf(entry)
    for write in leaf.writes:
        if write.key == key:
            return Version(leaf.request.tx_id, leaf.request.time_us, write.value_hash)
    raise LedgerError(f"transaction {index} did not write {key}, though the history says so; run fsck")


def run_to_end(call: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that awaits nothing but a StateTransaction, in the current thread."""
    try:
        call.send(None)
    except StopIteration as e:
        result: _T = e.value
        return result
    call.close()
    raise LedgerError("the contract awaited something other than its transaction")
