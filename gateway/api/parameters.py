"""Parameters of requests, strict: one spelling for every number, bounded texts, nothing unknown, nothing twice."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from chain.event import SOURCE_NAME
from crypto.flat import MAX_NUMBER

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXT_PATTERN = r"^[^\x00-\x1f\x7f]+$"


def _number(value: Any) -> Any:
    """A decimal number without sign, spaces, leading zeros or digits of other scripts."""
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise ValueError("expected a decimal number from 0 to 2^63-1 without leading zeros")
        return int(value)
    return value


def _moment(value: Any) -> Any:
    """Microseconds since the Unix epoch, given as such or as RFC 3339."""
    if not isinstance(value, str) or _DECIMAL.fullmatch(value):
        return _number(value)
    try:
        if not _MOMENT.fullmatch(value):
            raise ValueError("not RFC 3339")
        us = (datetime.fromisoformat(value.upper()) - _EPOCH) // timedelta(microseconds=1)
        if us < 0:
            raise ValueError("before 1970")
    except (ValueError, OverflowError) as e:
        raise ValueError("expected a time like 2026-11-23T18:00:00Z, or microseconds since 1970") from e
    return us


# The bounds stand inside the validator: outside of it pydantic leaves them out of the schema.
Number = Annotated[int, Field(ge=0, le=MAX_NUMBER), BeforeValidator(_number)]
Moment = Annotated[int, Field(ge=0, le=MAX_NUMBER), BeforeValidator(_moment), WithJsonSchema({
    "type": "string", "description": "RFC 3339 time with offset, or microseconds since 1970",
    "pattern": f"^({_DECIMAL.pattern}|{_MOMENT.pattern})$".replace(r"\d", "[0-9]"),
    "examples": ["2026-11-23T18:00:00Z"],
})]  # fmt: skip
Text = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=TEXT_PATTERN)]
SourceName = Annotated[str, StringConstraints(pattern=f"^{SOURCE_NAME.pattern}$")]

RecordId = Annotated[Number, Path(alias="id", description="index of the record in the log, decimal", examples=[12])]
SourcePath = Annotated[SourceName, Path(description="name of the source", examples=["cold-1"])]
FromTime = Annotated[Moment | None, Query(alias="from", description="sensed at or after")]
ToTime = Annotated[Moment | None, Query(alias="to", description="sensed at or before")]


def strict_query(request: Request) -> None:
    """Refuse query parameters that the route does not know (a misspelt filter would show everything), and ones
    given twice where one is meant."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    if any(parses_all(dependency.call) for dependency in _all(route.dependant)):
        return
    known = _query_names(route.dependant)
    given = [name for name, _ in request.query_params.multi_items()]
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(known) or "none"
        raise HTTPException(422, f"unknown query parameter {unknown[0]!r:.80}; this path takes {names}")
    repeated = [name for name in given if given.count(name) > 1 and name not in ("disclose", "flag")]
    if repeated or len(given) > 64:
        raise HTTPException(422, f"query parameter {(repeated or given)[0]!r:.80} was given too often")


def parses_all(call: object) -> bool:
    """Whether a dependency takes all query parameters itself, and refuses what it does not know: the names of EPCIS's
    are not a list."""
    return getattr(call, "parses_all_parameters", False) is True


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for inner in dependant.dependencies:
        yield inner
        yield from _all(inner)


def _query_names(dependant: Dependant) -> list[str]:
    """Names of the query parameters of a route and of all that it depends on."""
    names = [field.alias for field in dependant.query_params]
    for inner in dependant.dependencies:
        names += _query_names(inner)
    return names
