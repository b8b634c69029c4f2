"""Named queries: made and removed by operators, asked by whoever sees payloads."""

import asyncio
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field
from starlette.exceptions import HTTPException

from gateway.api.auth import Operator, PayloadReader
from gateway.api.bodies import In
from gateway.api.epcis.answers import answer, negotiate
from gateway.api.epcis.asking import events_answer, next_link, refused
from gateway.api.epcis.events import DOCUMENT
from gateway.api.problems import documented
from gateway.api.services import Here, Services
from gateway.enquiry.errors import EnquiryError
from gateway.enquiry.named import NAME, query_of, require_definition
from gateway.enquiry.query import MAX_PER_PAGE
from gateway.enquiry.standing import NamedQuery
from gateway.query.cursor import decode_cursor, encode_cursor

router = APIRouter(prefix="/epcis/queries", tags=["EPCIS"], dependencies=[Depends(negotiate)])
PerPage = Annotated[int, Query(alias="perPage", ge=1, le=MAX_PER_PAGE)]
Token = Annotated[str | None, Query(alias="nextPageToken", min_length=1, max_length=96)]
QueryName = Annotated[str, Path(alias="name", pattern=f"^{NAME.pattern}$")]
_QUESTION = "epcis queries"


class QueryIn(In):
    """A query and its name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$", examples=["shipments"])]
    query: dict[str, Any] = Field(
        description="parameters of EPCIS 2.0 section 8.2.7.1, lists as arrays; @context declares prefixes",
        examples=[{"eventType": ["ObjectEvent"], "EQ_bizStep": ["shipping"]}],
    )


@router.post("", status_code=201, summary="Name a query", response_class=Response,
             responses=documented(400, 401, 403, 406, 409))  # fmt: skip
async def create(body: Annotated[QueryIn, Body()], who: Operator, here: Here) -> Response:
    """Its events are at /epcis/queries/{name}/events, and can be subscribed to."""
    try:
        require_definition(body.name, body.query)
        standing = here.live.supply.enquiries.standing
        made = await asyncio.to_thread(standing.add_query, body.name, body.query, who.label)
    except EnquiryError as e:
        raise refused(e) from e
    return answer(_json(made), 201, {"Location": f"/epcis/queries/{quote(made.name)}"})


@router.get("", summary="List named queries", response_class=Response, responses=documented(400, 401, 403, 406))
async def queries(request: Request, who: PayloadReader, here: Here, per_page: PerPage = 30, token: Token = None
                  ) -> Response:  # fmt: skip
    """Oldest first."""
    behind = decode_cursor(_QUESTION, token) if token else 0
    found = await asyncio.to_thread(here.live.supply.enquiries.standing.queries, behind, per_page + 1)
    headers = {}
    if len(found) > per_page:
        found = found[:per_page]
        headers["Link"] = next_link(request, encode_cursor(_QUESTION, found[-1].number))
    return answer([_json(one) for one in found], headers=headers)


@router.get(
    "/{name}", summary="One named query", response_class=Response, responses=documented(400, 401, 403, 404, 406)
)
async def query(name: QueryName, who: PayloadReader, here: Here) -> Response:
    """Its definition as it was given."""
    return answer(_json(await named(here, name)))


@router.delete("/{name}", status_code=204, summary="Remove a named query", response_class=Response,
               responses=documented(400, 401, 403, 404, 406))  # fmt: skip
async def delete(name: QueryName, who: Operator, here: Here) -> Response:
    """Its subscriptions end with it, and what waits for their receivers is forgotten."""
    enquiries = here.live.supply.enquiries
    try:
        gone = await asyncio.to_thread(enquiries.standing.remove_query, name)
    except EnquiryError as e:
        raise refused(e) from e
    for subscription in gone:
        await enquiries.reports.forget(subscription)
    return answer(status=204)


@router.get("/{name}/events", summary="Events of a named query", response_class=Response,
            responses={**DOCUMENT, **documented(400, 401, 403, 404, 406)})  # fmt: skip
async def events(
    request: Request, name: QueryName, who: PayloadReader, here: Here, per_page: PerPage = 30, token: Token = None
) -> Response:  # fmt: skip
    """As an EPCISQueryDocument. With `Upgrade: websocket` and `stream=true` or a schedule it is a subscription over
    this connection: docs/rest.md."""
    if request.headers.get("upgrade", "").lower() == "websocket":
        raise HTTPException(400, "this is no WebSocket handshake as RFC 6455 has it")
    portion = {"perPage": str(per_page)} | ({"nextPageToken": token} if token else {})
    try:
        return await events_answer(request, here, query_of((await named(here, name)).definition, portion), name)
    except EnquiryError as e:
        raise refused(e) from e


async def named(here: Services, name: str) -> NamedQuery:
    """The query of this name; 404 where there is none."""
    try:
        return await asyncio.to_thread(here.live.supply.enquiries.standing.query, name)
    except EnquiryError as e:
        raise refused(e) from e


def _json(made: NamedQuery) -> dict[str, Any]:
    return {"name": made.name, "query": made.definition}
