"""Finds the events that a query asks for, a page at a time, each as its exact bytes."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.enquiry import tokens
from gateway.enquiry.clauses import Clause, Filter, Selection
from gateway.enquiry.errors import TooComplexError, TooLargeResultError
from gateway.enquiry.query import Order, Query
from gateway.enquiry.tokens import Place
from gateway.events.view import EventsView
from gateway.query.errors import BusyError, NotFoundError

STRETCH = 50_000  # records that one look of a subscription goes through, whatever matches
PAGE_BYTES = 8 * 2**20  # then a page ends, though more would be allowed
_SORT_KEY = "(SELECT COALESCE(x.number, x.value) FROM fact x WHERE x.leaf = e.leaf AND x.name ="
_OF_FIELD = f"{_SORT_KEY} (SELECT id FROM word WHERE text = ?) LIMIT 1)"


@dataclass(frozen=True, slots=True)
class Found:
    """An event: its record in the log, when the gateway received it, in microseconds, and its bytes."""

    leaf: int
    received_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """`token` leads to the next page; None at the end."""

    events: tuple[Found, ...]
    token: str | None


def page(view: EventsView, query: Query, nbytes: int = PAGE_BYTES) -> Page:
    """One page; blocking. It ends with the event that fills `nbytes`, if not before.

    Raises:
        TooLargeResultError: more than maxEventCount match.
        TooComplexError: it would take longer than five seconds.
        ParameterError: the token is none of this query.
    """
    try:
        with view.bounded(), view.events.snapshot() as db:
            return _page(view, db, query, nbytes)
    except BusyError as e:
        raise TooComplexError(f"{e}; narrow it by a time, a thing or a place") from e


def between(
    view: EventsView, query: Query, start: int, stop: int, limit: int, nbytes: int = PAGE_BYTES
) -> Page:  # fmt: skip
    """The first matching events of the records from `start` to before `stop`, in the order of the log; for
    subscriptions. The page ends at `limit` events or with the one that fills `nbytes`; its token is only there to say
    that there are more. Raises as `page` does."""
    within: tuple[Clause, ...] = (Filter("e.leaf >= ?", (start,)), Filter("e.leaf < ?", (stop,)))
    stretch = replace(query, clauses=(*query.clauses, *within), order=Order.LOG, descending=False, limit=None,
                      most=None, per_page=limit, token=None)  # fmt: skip
    return page(view, stretch, nbytes)


def since(query: Query, initial_us: int | None) -> Query:
    """Only what was recorded since then."""
    if initial_us is None:
        return query
    return replace(query, clauses=(*query.clauses, Filter("+e.record_us >= ?", (initial_us,))))


def first_since(view: EventsView, initial_us: int, stop: int) -> int:
    """The first record before `stop` that was received at this time or later; `stop` where there is none. Raises as
    `page` does."""
    query = "SELECT MIN(leaf) FROM event INDEXED BY event_record WHERE record_us >= ?"
    try:
        with view.bounded():
            (first,) = view.events.connection.execute(query, (initial_us,)).fetchone()
    except BusyError as e:
        raise TooComplexError(str(e)) from e
    return stop if first is None else min(first, stop)


def _page(view: EventsView, db: sqlite3.Connection, query: Query, nbytes: int) -> Page:
    place = tokens.decode(query.text, query.token) if query.token else Place(view.indexed(), 0, 0, 0)
    clauses = (*query.clauses, Filter("e.leaf < ?", (place.upto,)))
    selection = Selection.of(db, clauses)
    if query.most is not None and not query.token:
        _require_at_most(db, selection, query.most)
    wanted = query.per_page if query.limit is None else min(query.per_page, query.limit - place.given)
    rows = _rows(db, selection, query, place, wanted + 1)
    events, size = list[Found](), 0
    last = place
    for leaf, received_us, key in rows[:wanted]:
        if size > nbytes:
            break
        last = replace(last, key=key, leaf=leaf, given=last.given + 1)
        for payload in _payload(view, leaf):
            size += len(payload)
            events.append(Found(leaf, received_us, payload))
    more = len(rows) > last.given - place.given and (query.limit is None or last.given < query.limit)
    return Page(tuple(events), tokens.encode(query.text, last) if more else None)


def _payload(view: EventsView, leaf: int) -> Iterator[bytes]:
    try:
        yield view.payload(leaf)
    except NotFoundError:  # erased a moment ago: the index will forget it
        return


def _require_at_most(db: sqlite3.Connection, selection: Selection, most: int) -> None:
    query = f"SELECT COUNT(*) FROM (SELECT 1 {selection.sql} LIMIT ?)"
    if db.execute(query, (*selection.values, most + 1)).fetchone()[0] > most:
        raise TooLargeResultError(f"more than {most:,} events match, which is maxEventCount; narrow the query")


def _rows(db: sqlite3.Connection, selection: Selection, query: Query, place: Place, count: int
          ) -> Sequence[tuple[int, int, int]]:  # fmt: skip
    """(leaf, received, key) behind the place. Times and the log are gone on with by their key; extension fields, which
    may be missing or of any type, by counting."""
    way = "DESC" if query.descending else "ASC"
    sign = "<" if query.descending else ">"
    if query.order is Order.FIELD:
        values = (*selection.values, f"field:{query.field}", count, place.given)
        sql = f"SELECT e.leaf, e.record_us, 0 {selection.sql} ORDER BY {_OF_FIELD} {way}, e.leaf {way} LIMIT ? OFFSET ?"
        return db.execute(sql, values).fetchall()
    if query.order is Order.LOG:
        behind, given, order, key = f"e.leaf {sign} ?", [place.leaf], f"e.leaf {way}", "0"
    else:
        key = query.order.value
        behind, given = f"({key}, e.leaf) {sign} (?, ?)", [place.key, place.leaf]
        order = f"{key} {way}, e.leaf {way}"
    if not query.token:
        behind, given = "TRUE", []
    sql = f"SELECT e.leaf, e.record_us, {key} {selection.sql} AND {behind} ORDER BY {order} LIMIT ?"
    return db.execute(sql, (*selection.values, *given, count)).fetchall()
