"""A query: what its parameters ask for, and in which order and portions.

Source: EPCIS 2.0 sections 8.2.5 and 8.2.7.1.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.enquiry.clauses import Clause, Member
from gateway.enquiry.errors import ParameterError
from gateway.enquiry.fixed import FIXED, Prefixes
from gateway.enquiry.flexible import field_name, flexible
from gateway.enquiry.values import Given, one, whole

PER_PAGE, MAX_PER_PAGE = 30, 1000
MAX_COUNT = 1_000_000
MAX_PARAMETERS = 64
_CONTROLS = frozenset({"orderBy", "orderDirection", "eventCountLimit", "maxEventCount", "perPage", "nextPageToken"})


class Order(Enum):
    """What the events are in order of: as they were recorded in the log, a time, or an extension field."""

    LOG = "e.leaf"
    EVENT_TIME = "e.time_us"
    RECORD_TIME = "e.record_us"
    FIELD = "field"


@dataclass(frozen=True, slots=True)
class Query:
    """`text` is the same for queries that ask the same, whatever portion of the answer they want."""

    text: str
    clauses: tuple[Clause, ...]
    order: Order
    field: str  # of Order.FIELD, as gateway.events.facts names it
    descending: bool
    limit: int | None  # eventCountLimit: no more than these
    most: int | None  # maxEventCount: rather none than more
    per_page: int
    token: str | None


def parsed(given: Given, prefixes: Prefixes, *, fixed: Mapping[str, str] | None = None) -> Query:
    """The query of these parameters; `fixed` are of the path, and may not be given once more.

    Raises:
        ParameterError: a parameter is unknown or malformed, or contradicts another one.
    """
    if len(given) > MAX_PARAMETERS:
        raise ParameterError(f"expected at most {MAX_PARAMETERS} parameters, got {len(given)}")
    twice = [name for name in fixed or {} if name in given]
    if twice:
        raise ParameterError(f"{twice[0]} is in the path already; leave it out, or ask /epcis/events")
    asked = dict(given) | {name: (value,) for name, value in (fixed or {}).items()}
    clauses = tuple(_clause(name, values, prefixes) for name, values in asked.items() if name not in _CONTROLS)
    order, field = _order(asked, prefixes)
    limit, most = _count(given, "eventCountLimit"), _count(given, "maxEventCount")
    _check_counts(given)
    per_page = whole("perPage", given["perPage"], MAX_PER_PAGE) if "perPage" in given else PER_PAGE
    token = one("nextPageToken", given["nextPageToken"]) if "nextPageToken" in given else None
    return Query(_text(asked), clauses, order, field, _descending(given), limit, most, per_page, token)


def of_clause(clause: Clause) -> Query:
    """All events of one condition."""
    return Query(json.dumps([clause.table if isinstance(clause, Member) else clause.sql, *map(str, clause.values)]),
                 (clause,), Order.LOG, "", False, None, None, MAX_PER_PAGE, None)  # fmt: skip


def _clause(name: str, values: Sequence[str], prefixes: Prefixes) -> Clause:
    make = FIXED.get(name)
    found = make(name, values, prefixes) if make else flexible(name, values, prefixes)
    if found is None:
        raise ParameterError(f"unknown query parameter {name!r:.80}; see EPCIS 2.0 section 8.2.7.1")
    return found


def _order(asked: Given, prefixes: Prefixes) -> tuple[Order, str]:
    """Where none is asked for: by the time that is narrowed, which an index gives for nothing; else as logged."""
    if "orderBy" not in asked:
        if "GE_eventTime" in asked or "LT_eventTime" in asked:
            return Order.EVENT_TIME, ""
        recorded = "GE_recordTime" in asked or "LT_recordTime" in asked
        return Order.RECORD_TIME if recorded else Order.LOG, ""
    by = one("orderBy", asked["orderBy"])
    if by in ("eventTime", "recordTime"):
        return Order.EVENT_TIME if by == "eventTime" else Order.RECORD_TIME, ""
    if ":" not in by:
        raise ParameterError(f"orderBy: expected eventTime, recordTime or an extension field, got {by!r:.60}")
    return Order.FIELD, field_name(by, "", False, prefixes)


def _descending(given: Given) -> bool:
    """Descending where nothing else is said, as the standard has it, if an order is asked for."""
    if "orderDirection" not in given:
        return "orderBy" in given
    direction = one("orderDirection", given["orderDirection"])
    if direction not in ("ASC", "DESC") or "orderBy" not in given:
        raise ParameterError("orderDirection is ASC or DESC, and needs orderBy")
    return direction == "DESC"


def _count(given: Given, name: str) -> int | None:
    return whole(name, given[name], MAX_COUNT) if name in given else None


def _check_counts(given: Given) -> None:
    if "eventCountLimit" in given and "maxEventCount" in given:
        raise ParameterError("eventCountLimit and maxEventCount exclude each other")
    if "eventCountLimit" in given and "orderBy" not in given:
        raise ParameterError("eventCountLimit needs orderBy, which says which events are the first")


def _text(asked: Given) -> str:
    portions = ("perPage", "nextPageToken")
    return json.dumps(sorted((name, list(values)) for name, values in asked.items() if name not in portions))
