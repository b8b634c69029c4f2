"""The conditions of a query as SQL over the event index, and how they are put together.

A Filter looks at an event's own row. A Member is a row of another table that the event must have; it can be read both
ways: from the rows to their events, which is quick where there are few, or from an event to its rows, which is quick
where many events have one. Which of them leads is decided by counting, up to FEW.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

FEW = 2000


@dataclass(frozen=True, slots=True)
class Filter:
    """`sql` over the alias e of the table event. Its columns stand behind a plus sign where no index shall be used."""

    sql: str
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """`where` over the alias x of `table`, which has a column leaf."""

    table: str
    where: str
    values: tuple[object, ...] = ()

    def count(self, db: sqlite3.Connection) -> int:
        """How many rows, up to FEW + 1."""
        query = f"SELECT COUNT(*) FROM (SELECT 1 FROM {self.table} x WHERE {self.where} LIMIT {FEW + 1})"
        return int(db.execute(query, self.values).fetchone()[0])

    @property
    def probe(self) -> Filter:
        return Filter(f"EXISTS (SELECT 1 FROM {self.table} x WHERE x.leaf = e.leaf AND {self.where})", self.values)

    @property
    def leading(self) -> tuple[str, tuple[object, ...]]:
        """A table of the leaves."""
        return f"(SELECT DISTINCT x.leaf FROM {self.table} x WHERE {self.where})", self.values


Clause = Filter | Member


@dataclass(frozen=True, slots=True)
class Selection:
    """FROM and WHERE with their values."""

    sql: str
    values: tuple[object, ...] = field(default=())

    @classmethod
    def of(cls, db: sqlite3.Connection, clauses: Sequence[Clause]) -> "Selection":
        """The rarest member leads, where one is rare."""
        members = [clause for clause in clauses if isinstance(clause, Member)]
        counted = sorted(((member.count(db), at) for at, member in enumerate(members)), key=lambda pair: pair[0])
        leads = members[counted[0][1]] if counted and counted[0][0] <= FEW else None
        filters = [c if isinstance(c, Filter) else c.probe for c in clauses if c is not leads]
        table, values = "event e", tuple[object, ...]()
        if leads is not None:
            source, values = leads.leading
            table = f"{source} d CROSS JOIN event e ON e.leaf = d.leaf"
        where = " AND ".join(f.sql for f in filters) or "TRUE"
        return cls(f"FROM {table} WHERE {where}", (*values, *(v for f in filters for v in f.values)))


def marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
