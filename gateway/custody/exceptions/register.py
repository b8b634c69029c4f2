"""Exceptions as this company knows them: durable, with what was compared in words, until they are resolved."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from chaincode.lots.exception_records import Kind
from crypto import cbor
from gateway.custody.database import Store
from gateway.custody.tasks import now_us

OPEN, ANSWERED, RESOLVED = "open", "answered", "resolved"
STATES = (OPEN, ANSWERED, RESOLVED)
MAX_THINGS = 1000  # that are listed; more are counted in words
MAX_NAME = 256  # characters of one thing
MAX_WORDS = 4000  # characters of what was compared
MAX_TEXT = 2000  # of an answer or a remark
MAX_FACTS_BYTES = 2 * 2**20  # of all of it, four bytes a character
AND = " and "  # between two organisations that are asked; no name has spaces
BY_CONTRACT = {
    "duplicate": Kind.DUPLICATE_SERIAL, "recalled": Kind.RECALLED_PRODUCT, "quarantined": Kind.QUARANTINED_PRODUCT,
}  # fmt: skip


class Alert(Protocol):
    """Tells people, each text on its own."""

    async def __call__(self, kind: str, source: str, *texts: str) -> None: ...


_COLUMNS = (
    "id, kind, state, owner, organisation, facts, leaf, ledger_id, opened_us, changed_us, deadline_us, answer,"
    " resolution, remark, trouble, cause"
)


@dataclass(frozen=True, slots=True)
class ExceptionCase:
    """`kind` as on the ledger. `owner`: the organisation that resolves it; `organisation`: the other one, empty where
    there is none. `things`: what it is about, by URI; `records`: events in this log; `compared`: what was expected and
    what was found. `leaf`: the record that evidences it. `trouble`: why the ledger refused what was said last, empty
    where it did not. Times are microseconds since 1970."""

    id: int
    kind: str
    state: str
    owner: str
    organisation: str
    things: tuple[str, ...]
    records: tuple[int, ...]
    compared: str
    leaf: int
    ledger_id: bytes | None
    opened_us: int
    changed_us: int
    deadline_us: int
    answer: str
    resolution: str
    remark: str
    trouble: str
    cause: str


class Register:
    """The table of exceptions. Safe to call from several threads; calls block for moments."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(
        self, kind: str, owner: str, organisation: str, things: Sequence[str], records: Sequence[int], compared: str,
        leaf: int, cause: str, deadline_us: int, ledger_id: bytes | None = None,
    ) -> int | None:  # fmt: skip
        """Note a new one; its number, None where this cause has one already."""
        facts = _facts(things, records, compared)
        row = (kind, OPEN, owner, organisation, facts, leaf, ledger_id, now_us(), now_us(), deadline_us, cause)
        columns = "kind, state, owner, organisation, facts, leaf, ledger_id, opened_us, changed_us, deadline_us, cause"
        with self._store.transaction() as tx:
            cursor = tx.execute(f"INSERT OR IGNORE INTO exception ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
            return int(cursor.lastrowid or 0) if cursor.rowcount == 1 else None

    def get(self, number: int) -> ExceptionCase | None:
        return self._one("id = ?", number)

    def on_ledger(self, ledger_id: bytes) -> ExceptionCase | None:
        return self._one("ledger_id = ?", ledger_id)

    def named(self, number: int, ledger_id: bytes) -> None:
        """The ledger has it under this id."""
        with self._store.transaction() as tx:
            tx.execute("UPDATE OR IGNORE exception SET ledger_id = ? WHERE id = ?", (ledger_id, number))

    def owned(self, number: int, owner: str, organisation: str) -> None:
        """Who resolves it is known now, and with that who the other one is, where nobody was."""
        with self._store.transaction() as tx:
            query = """UPDATE exception SET owner = ?, organisation = CASE organisation WHEN '' THEN ?
                ELSE organisation END WHERE id = ?"""
            tx.execute(query, (owner, organisation, number))

    def described(self, number: int, things: Sequence[str], records: Sequence[int], compared: str, leaf: int) -> None:
        """What it is about is known better now."""
        facts = _facts(things, records, compared)
        with self._store.transaction() as tx:
            tx.execute("UPDATE exception SET facts = ?, leaf = ? WHERE id = ?", (facts, leaf, number))

    def change(self, number: int, state: str, **columns: str) -> None:
        """Set the state and any of answer, resolution, remark, trouble."""
        sets = ", ".join(f"{name} = ?" for name in columns)
        with self._store.transaction() as tx:
            query = f"UPDATE exception SET state = ?, changed_us = ?{', ' if sets else ''}{sets} WHERE id = ?"
            tx.execute(query, (state, now_us(), *columns.values(), number))

    def page(self, state: str | None, after: int, limit: int) -> list[ExceptionCase]:
        """In the order of their numbers, behind `after`; of one state, or all."""
        where, values = ("state = ? AND id > ?", (state, after)) if state else ("id > ?", (after,))
        with self._store.reading() as db:
            query = f"SELECT {_COLUMNS} FROM exception WHERE {where} ORDER BY id LIMIT ?"
            return [_case(row) for row in db.execute(query, (*values, limit)).fetchall()]

    def newest(self, state: str | None, before: int, limit: int) -> list[ExceptionCase]:
        """The newest first, of lower numbers than `before`; of one state, or all."""
        where, values = ("state = ? AND id < ?", (state, before)) if state else ("id < ?", (before,))
        with self._store.reading() as db:
            query = f"SELECT {_COLUMNS} FROM exception WHERE {where} ORDER BY id DESC LIMIT ?"
            return [_case(row) for row in db.execute(query, (*values, limit)).fetchall()]

    def counts(self) -> dict[str, int]:
        with self._store.reading() as db:
            rows = dict(db.execute("SELECT state, COUNT(*) FROM exception GROUP BY state").fetchall())
        return {state: int(rows.get(state, 0)) for state in STATES}

    def unresolved(self, most: int) -> tuple[bool, int]:
        """Whether there ever was one, and how many are open, counted up to `most`. Quick however many."""
        with self._store.reading() as db:
            some = db.execute("SELECT 1 FROM exception LIMIT 1").fetchone() is not None
            query = "SELECT COUNT(*) FROM (SELECT 1 FROM exception WHERE state = ? LIMIT ?)"
            return some, int(db.execute(query, (OPEN, most)).fetchone()[0])

    def caused_by(self, cause: str) -> ExceptionCase | None:
        return self._one("cause = ?", cause)

    def _one(self, where: str, value: object) -> ExceptionCase | None:
        with self._store.reading() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM exception WHERE {where}", (value,)).fetchone()
        return None if row is None else _case(row)


def hash_of(kind: str, things: Sequence[str], compared: str) -> bytes:
    """The hash of an exception's words, which the ledger has."""
    return sha256(cbor.encode([kind, list(things), compared])).digest()


def _facts(things: Sequence[str], records: Sequence[int], compared: str) -> bytes:
    """What is written here can be read again, whatever it is."""
    named = [thing[:MAX_NAME] for thing in things[:MAX_THINGS]]
    return cbor.encode([named, list(records[:MAX_THINGS]), compared[:MAX_WORDS]])


def _case(row: tuple[Any, ...]) -> ExceptionCase:
    things, records, compared = cbor.decode(row[5], MAX_FACTS_BYTES)
    values: tuple[Any, ...] = (*row[:5], tuple(things), tuple(records), compared, *row[6:])
    return ExceptionCase(*values)
