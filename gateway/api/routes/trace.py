"""Where a thing came from and where it went."""

import time
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from gateway.api.auth import Partaker, PayloadReader
from gateway.api.parameters import TEXT_PATTERN
from gateway.api.problems import documented
from gateway.api.services import AnEventsView, Here
from gateway.custody.partners import gln_of
from gateway.trace.federation import with_partners
from gateway.trace.forms import TraceOut, TracesOut
from gateway.trace.identify import MAX_CHARS
from gateway.trace.model import DEFAULT_THINGS, MAX_THINGS
from gateway.trace.sharing import MAX_SHARED, questions, shared
from gateway.trace.tracing import WALK_S, Question, trace

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
async def trace_it(
    who: PayloadReader, here: Here, view: AnEventsView,
    identifier: Annotated[Identifier, Query(
        alias="id", description="Digital Link, EPC URN, element strings, SSCC, or the URI of an event's thing; a GTIN"
        " alone finds only what events name by product",
        examples=["(01)09506000134352(21)1"])],
    direction: Annotated[Literal["up", "down", "both"], Query()] = "both",
    limit: Annotated[int, Query(ge=1, le=MAX_THINGS, description="things in each direction")] = DEFAULT_THINGS,
    after: Annotated[Identifier | None, Query(description="go on after this relative of it")] = None,
    local: Annotated[bool, Query(description="ask no partner")] = False,
) -> Response:  # fmt: skip
    """Up to every material it was made of, down to every place and product, by the events in this gateway's log and
    by the times that they name: what lay in a case was where the case was while it lay there. Where it came from a
    partner or went to one, that partner's gateway is asked; what it tells is marked with its name."""
    found = await run_in_threadpool(trace, view, Question.of(identifier, direction, limit, after or ""))
    if not local:
        found = await with_partners(found, here.live.supply.custody.partners)
    return Response(msgspec.json.encode(found), media_type="application/json")


class SharedIn(BaseModel):
    """What a partner asks about."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Identifier] = Field(min_length=1, max_length=MAX_SHARED)
    direction: Literal["up", "down"]


@router.post("/shared", summary="What passed between us", response_class=Response,
             responses={200: {"model": TracesOut}, **documented(400, 401, 403)})  # fmt: skip
def what_passed(body: SharedIn, who: Partaker, here: Here, view: AnEventsView) -> Response:
    """For a partner's gateway, whose organisation is the token's label: traces of the things that passed between it and
    us, without anybody else's name. Things that did not are left out."""
    partner = here.live.supply.custody.partners.get(who.label)
    glns = partner.parties if partner else frozenset()
    asked = questions(list(body.ids), body.direction)
    end = time.monotonic() + WALK_S  # of all together
    traces = [found for one in asked if (found := shared(view, one, lambda uri: gln_of(uri) in glns, end))]
    return Response(msgspec.json.encode({"traces": traces}), media_type="application/json")
