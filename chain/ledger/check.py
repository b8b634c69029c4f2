"""Fsck of an embedded ledger: nothing in its file is believed but what the ledger's public keys vouch for.

Rehashes every leaf and tile, verifies every caller's signature, and replays every transaction's writes against
the tables of state and history. Finds altered, removed, added and doubled leaves and rows. An old copy of the
whole file it cannot tell from a young ledger: kept checkpoints show that. Nor does it run the contract again: that
each write follows from the contract's rules is the word of whoever holds the ledger's keys.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

from chain.errors import FsckError
from chain.ledger.transaction_leaf import TransactionLeaf, open_leaf
from chain.log.reader import LogReader
from chain.log.rebuild import RebuiltTree, require_no_more
from chain.store.database import Database
from crypto.checkpoint import Checkpoint, open_checkpoint
from crypto.errors import SealtrailError
from crypto.merkle import EMPTY_ROOT, leaf_hash
from crypto.note import VerifierKey

_SCRATCH = (
    "CREATE TABLE expected (key TEXT PRIMARY KEY, hash BLOB NOT NULL, leaf INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE written (key TEXT, leaf INTEGER, PRIMARY KEY (key, leaf)) WITHOUT ROWID",
    "CREATE TABLE seen (tx_id TEXT PRIMARY KEY) WITHOUT ROWID",
)


def check_file(path: Path, name: str, keys: Sequence[VerifierKey]) -> int:
    """Check a ledger file without its private keys, while nobody or somebody else uses it."""
    db = Database(path, readonly=True)
    try:
        return check_database(db, name, keys)
    finally:
        db.close()


def check_database(db: Database, name: str, keys: Sequence[VerifierKey]) -> int:
    """Number of transactions, all of them true; FsckError names the first false place."""
    try:
        # An unnamed SQLite database spills to a temporary file: memory stays bounded however long the ledger is.
        with db.snapshot() as connection, closing(sqlite3.connect("")) as scratch:
            for statement in _SCRATCH:
                scratch.execute(statement)
            # 1. The checkpoint is signed by every key of the ledger.
            head = _head(connection, name, keys)
            # 2. The leaves are transactions of this ledger, each there once; leaves, tiles and root agree.
            length = _check_leaves(LogReader(db), scratch, head)
            _require_no_more(connection, head.size, length)
            # 3. The state is what the transactions wrote, no more and no less.
            _check_state(connection, scratch)
            # 4. The history names every write, and no other.
            _check_history(connection, scratch)
            return head.size
    except (sqlite3.Error, TypeError) as e:  # TypeError: a column was given a value of another type
        raise FsckError(f"the ledger's database cannot be read: {e}") from e


def _head(connection: sqlite3.Connection, name: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    rows = connection.execute("SELECT id, note FROM ledger_head").fetchall()
    if not rows:
        return Checkpoint(name, 0, EMPTY_ROOT)
    if [number for number, _ in rows] != [0]:
        raise FsckError("ledger_head: it must hold one row, number 0")
    try:
        head = open_checkpoint(rows[0][1], keys).checkpoint
    except SealtrailError as e:
        raise FsckError(f"ledger checkpoint: {e}") from e
    if head.origin != name:
        raise FsckError(f"ledger checkpoint: it is of {head.origin}, expected {name}")
    return head


def _check_leaves(reader: LogReader, scratch: sqlite3.Connection, head: Checkpoint) -> int:
    """Returns the bytes of all leaves together."""
    size = reader.size()
    if size != head.size:
        raise FsckError(f"ledger log: {size} transactions are stored, the checkpoint is of {head.size}")
    tree, index, length = RebuiltTree(reader), 0, 0
    try:
        for index, entry in enumerate(reader.entries(0, size)):
            _replay(_leaf(entry, index, head.origin), index, scratch)
            tree.add(leaf_hash(entry))
            length += len(entry)
        root = tree.finish()
    except FsckError as e:
        raise FsckError(f"ledger, {e}") from e
    except SealtrailError as e:
        raise FsckError(f"ledger log, after transaction {index}: {e}") from e
    if root != head.root:
        raise FsckError(f"ledger log: its leaves have the root {root.hex()}, the checkpoint {head.root.hex()}")
    return length


def _require_no_more(connection: sqlite3.Connection, size: int, length: int) -> None:
    try:
        require_no_more(connection, size, length)
    except FsckError as e:
        raise FsckError(f"ledger, {e}") from e


def _leaf(entry: bytes, index: int, name: str) -> TransactionLeaf:
    try:
        leaf = open_leaf(entry)
    except SealtrailError as e:
        raise FsckError(f"transaction {index}: {e}") from e
    if leaf.request.ledger != name:
        raise FsckError(f"transaction {index} was signed for the ledger {leaf.request.ledger!r}, not for {name!r}")
    return leaf


def _replay(leaf: TransactionLeaf, index: int, scratch: sqlite3.Connection) -> None:
    try:
        scratch.execute("INSERT INTO seen VALUES (?)", (leaf.request.tx_id,))
    except sqlite3.IntegrityError as e:
        raise FsckError(f"transaction {index}: {leaf.request.tx_id} is on the ledger twice") from e
    writes = [(write.key, write.value_hash, index) for write in leaf.writes]
    scratch.executemany("INSERT OR REPLACE INTO expected VALUES (?, ?, ?)", writes)
    scratch.executemany("INSERT OR IGNORE INTO written VALUES (?, ?)", [(key, leaf) for key, _, leaf in writes])


def _check_state(connection: sqlite3.Connection, scratch: sqlite3.Connection) -> None:
    stored = connection.execute("SELECT key, value, leaf FROM state ORDER BY key")
    expected = scratch.execute("SELECT key, hash, leaf FROM expected ORDER BY key")
    for have, want in zip_longest(stored, expected):
        if have is not None and [type(column) for column in have] != [str, bytes, int]:
            raise FsckError(f"state key {have[0]!r}: it must be text, its value bytes, its transaction a number")
        if want is None or (have is not None and have[0] < want[0]):
            raise FsckError(f"state key {have[0]}: no transaction wrote it")
        if have is None or have[0] > want[0]:
            raise FsckError(f"state key {want[0]}: a transaction wrote it, but it is gone")
        if sha256(have[1]).digest() != want[1]:
            raise FsckError(f"state key {have[0]}: its value is not the one that was last written")
        if have[2] != want[2]:
            raise FsckError(f"state key {have[0]}: it says transaction {have[2]} wrote it last, but {want[2]} did")


def _check_history(connection: sqlite3.Connection, scratch: sqlite3.Connection) -> None:
    stored = connection.execute("SELECT key, leaf FROM history ORDER BY key, leaf")
    written = scratch.execute("SELECT key, leaf FROM written ORDER BY key, leaf")
    for have, want in zip_longest(stored, written):
        if have != want:
            raise FsckError(f"history: expected key and transaction {want}, found {have}")
