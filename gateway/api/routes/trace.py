"""Where a thing came from and where it went."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import StringConstraints

from gateway.api.auth import PayloadReader
from gateway.api.parameters import TEXT_PATTERN
from gateway.api.problems import documented
from gateway.api.services import AnEventsView
from gateway.api.trace_models import TraceOut
from gateway.trace.identify import MAX_CHARS
from gateway.trace.model import DEFAULT_THINGS, MAX_THINGS
from gateway.trace.tracing import Question, trace

router = APIRouter(prefix="/v1/trace", tags=["trace"])
# An element string may hold FNC1 as a scanner sends it, which is a control character.
Identifier = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=MAX_CHARS, pattern=TEXT_PATTERN.replace("\\x00-\\x1f", "\\x00-\\x1c\\x1e-\\x1f")
    ),
]


@router.get("", summary="Trace a thing up and down", response_class=Response,
            responses={200: {"model": TraceOut}, **documented(401, 403, 404)})  # fmt: skip
def trace_it(
    who: PayloadReader, view: AnEventsView,
    identifier: Annotated[Identifier, Query(
        alias="id", description="Digital Link, EPC URN, element strings, SSCC, GTIN, or the URI of an event's thing",
        examples=["(01)09506000134352(21)1"])],
    direction: Annotated[Literal["up", "down", "both"], Query()] = "both",
    limit: Annotated[int, Query(ge=1, le=MAX_THINGS, description="things in each direction")] = DEFAULT_THINGS,
    after: Annotated[Identifier | None, Query(description="go on after this relative of it")] = None,
) -> Response:  # fmt: skip
    """Up to every material it was made of, down to every place and product, by the events in this gateway's log and
    by the times that they name: what lay in a case was where the case was while it lay there."""
    found = trace(view, Question.of(identifier, direction, limit, after or ""))
    return Response(msgspec.json.encode(found), media_type="application/json")
