"""GET /epcis/events, one event, and what the repository knows: event types, EPCs, steps, places, dispositions."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.api.auth import PayloadReader
from gateway.api.epcis.answers import answer, collection, negotiate
from gateway.api.epcis.asking import AskedHere, asked_of_index, events_answer, next_link
from gateway.api.epcis.exceptions import EpcisProblem
from gateway.api.epcis.parameters import DOCUMENTED
from gateway.api.problems import documented
from gateway.api.services import Here
from gateway.enquiry.collections import Collection, known, page_of
from gateway.enquiry.errors import EnquiryError
from gateway.enquiry.fixed import event_ids
from gateway.enquiry.query import MAX_PER_PAGE, PER_PAGE, of_clause

router = APIRouter(prefix="/epcis", tags=["EPCIS"], dependencies=[Depends(negotiate)])
_ANSWER = {"content": {"application/json": {"schema": {"type": "object"}}}}
DOCUMENT: dict[int | str, dict[str, Any]] = {200: {"description": "an EPCISQueryDocument", **_ANSWER}}
_COLLECTION: dict[int | str, dict[str, Any]] = {200: {"description": "a Collection", **_ANSWER}}
TOP = ["queries", "capture", "events", "eventTypes", "epcs", "readPoints", "bizLocations", "dispositions", "bizSteps"]
Value = Annotated[str, Path(min_length=1, description="URL-encoded")]
PerPage = Annotated[int, Query(alias="perPage", ge=1, le=MAX_PER_PAGE)]
Token = Annotated[str | None, Query(alias="nextPageToken", min_length=1, max_length=96)]


def _named(name: Annotated[str, Path(alias="collection", json_schema_extra={"enum": list(Collection)})]) -> Collection:
    try:
        return Collection(name)
    except ValueError as e:
        raise HTTPException(404, f"there is no {name!r:.60}; see /epcis") from e


Named = Annotated[Collection, Depends(_named)]


@router.get("", summary="Top-level resources", response_class=Response,
            responses={**_COLLECTION, **documented(401, 403, 406)})  # fmt: skip
async def top(who: PayloadReader) -> Response:
    """What there is under /epcis."""
    return answer(collection(TOP))


@router.get("/events", summary="Query events", response_class=Response, openapi_extra=DOCUMENTED,
            responses={**DOCUMENT, **documented(400, 401, 403, 406)})  # fmt: skip
async def events(request: Request, asked: AskedHere, who: PayloadReader, here: Here) -> Response:
    """Events by the parameters of EPCIS 2.0 section 8.2.7.1; several values are written with `|` between them. Events
    that were declared erroneous are given like all others, and so are their declarations. `Prefer: sealtrail-recorded`
    adds recordTime, eventID and the record in the log."""
    return await events_answer(request, here, asked.query())


@router.get("/events/{id:path}", summary="One event", response_class=Response,
            responses={**DOCUMENT, **documented(400, 401, 403, 404, 406)})  # fmt: skip
async def event(
    request: Request, event_id: Annotated[Value, Path(alias="id")], who: PayloadReader, here: Here
) -> Response:
    """By its eventID, URL-encoded, or by its hash as ni:///sha-256;…?ver=CBV2.0; with the declarations that it was
    erroneous."""
    try:
        query = of_clause(event_ids("eventID", [event_id]))
    except EnquiryError as e:
        raise EpcisProblem(404, "NoSuchNameException", str(e)) from e
    return await events_answer(request, here, query, missing=f"no event {event_id!r:.120} is recorded here")


@router.get("/{collection}", summary="What the repository knows of", response_class=Response,
            responses={**_COLLECTION, **documented(400, 401, 403, 404, 406)})  # fmt: skip
async def members(
    request: Request, name: Named, who: PayloadReader, here: Here,
    per_page: PerPage = PER_PAGE, token: Token = None,
) -> Response:  # fmt: skip
    """Event types, EPCs, steps, places or dispositions of the events here; identifiers in canonical form."""
    found, following = await asked_of_index(here, lambda view: page_of(view, name, token, per_page))
    return answer(collection(found), headers={"Link": next_link(request, following)} if following else {})


@router.get("/{collection}/{value:path}/events", summary="Events of one of them", response_class=Response,
            openapi_extra=DOCUMENTED, responses={**DOCUMENT, **documented(400, 401, 403, 404, 406)})  # fmt: skip
async def events_of(
    request: Request, name: Named, value: Value, asked: AskedHere, who: PayloadReader, here: Here,
) -> Response:  # fmt: skip
    """Like /epcis/events, narrowed by the path."""
    return await events_answer(request, here, asked.query(**{name.parameter: value}))


@router.get("/{collection}/{value:path}", summary="One of them", response_class=Response,
            responses={**_COLLECTION, **documented(400, 401, 403, 404, 406)})  # fmt: skip
async def member(
    name: Named, value: Value, who: PayloadReader, here: Here
) -> Response:  # fmt: skip
    """Its sub-resources, which are its events; 404 where no event is of it."""
    try:
        there = await asked_of_index(here, lambda view: known(view, name, value))
    except EpcisProblem as e:  # what cannot be one is not there
        raise HTTPException(404, e.detail) from e
    if not there:
        raise HTTPException(404, f"no event here has {value!r:.120} among its {name}")
    return answer(collection(["events"]))
