"""How routes under /epcis ask the event index: parameters, waiting for it, pages as documents."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.access import now_us
from gateway.api.epcis.answers import answer, prefixes
from gateway.api.epcis.exceptions import EpcisProblem
from gateway.api.services import Services, events_view
from gateway.enquiry.errors import (
    DestinationError,
    DuplicateNameError,
    EnquiryError,
    NoSuchNameError,
    TooComplexError,
    TooLargeResultError,
)
from gateway.enquiry.query import Query, parsed
from gateway.enquiry.recorded import recorded
from gateway.enquiry.search import Page, page
from gateway.enquiry.values import Given, from_query_string
from gateway.epcis.document import query_document
from gateway.events.times import rfc3339
from gateway.events.view import EventsView

T = TypeVar("T")
RECORDED = "sealtrail-recorded"  # a preference (RFC 7240): gateway.enquiry.recorded
FRESH_WITHIN_S = 2.0
_LOOK_S = 0.02
_STATUS: Mapping[type[EnquiryError], int] = {
    NoSuchNameError: 404, TooLargeResultError: 413, TooComplexError: 413, DuplicateNameError: 409,
    DestinationError: 403,
}  # fmt: skip


def refused(error: EnquiryError) -> EpcisProblem:
    return EpcisProblem(_STATUS.get(type(error), 400), error.kind, str(error))


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a request, all of them, and the prefixes that its headers declare."""

    given: Given
    prefixes: Mapping[str, str]

    def query(self, **fixed: str) -> Query:
        try:
            return parsed(self.given, self.prefixes, fixed=fixed)
        except EnquiryError as e:
            raise refused(e) from e


class _Parameters:
    """A dependency: all query parameters, none of which FastAPI knows. Whoever takes it must refuse unknown ones, as
    `parsed` does."""

    parses_all_parameters = True

    def __call__(self, request: Request) -> Asked:
        try:
            return Asked(from_query_string(request.query_params.multi_items()), prefixes(request))
        except EnquiryError as e:
            raise refused(e) from e


AskedHere = Annotated[Asked, Depends(_Parameters())]


async def asked_of_index(here: Services, question: Callable[[EventsView], T]) -> T:
    """The answer to a question to the index, when it holds all that was captured here before, or FRESH_WITHIN_S have
    passed. The number of questions at once is bounded. Waiting takes no view and no thread: the index needs one to go
    on."""
    size, end = here.live.supply.capture.capture.size, time.monotonic() + FRESH_WITHIN_S

    def fresh(view: EventsView) -> list[T]:
        return [question(view)] if view.indexed() >= size else []

    while time.monotonic() < end:
        if answers := await asked_at_once(here, fresh):
            return answers[0]
        await asyncio.sleep(_LOOK_S)
    return await asked_at_once(here, question)


async def asked_at_once(here: Services, question: Callable[[EventsView], T]) -> T:
    """The answer to a question to the index, whatever it holds now."""
    try:
        async with events_view(here) as view:
            return await asyncio.to_thread(question, view)
    except EnquiryError as e:
        raise refused(e) from e


async def events_answer(
    request: Request, here: Services, query: Query, name: str = "SimpleEventQuery", missing: str = ""
) -> Response:  # fmt: skip
    """A page of events as an EPCISQueryDocument. Where none are found and `missing` says what is missing, 404."""
    wanted = RECORDED in (part.strip() for part in request.headers.get("prefer", "").split(","))
    found: Page = await asked_of_index(here, lambda view: page(view, query))
    if missing and not found.events:
        raise HTTPException(404, missing)
    headers = {"Preference-Applied": RECORDED} if wanted else {}
    if found.token is not None:
        headers["Link"] = next_link(request, found.token)
    make = recorded if wanted else (lambda one: one.payload)
    return answer(query_document(map(make, found.events), rfc3339(now_us()), name), headers=headers)


def next_link(request: Request, token: str) -> str:
    """The Link header that leads to the next page of this very request."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "nextPageToken"]
    path = request.scope["raw_path"].decode("ascii", "replace")
    return f'<{path}?{urlencode([*kept, ("nextPageToken", token)])}>; rel="next"'
