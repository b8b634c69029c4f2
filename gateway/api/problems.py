"""Refusals and failures as application/problem+json (RFC 9457), whatever went wrong and wherever.

A message tells what was expected and how to mend it. What the store or the program itself has to say goes to the
gateway's own log, not to the client.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from chain.errors import ErasureError, LedgerError, LogError, ReceiptError, StoreError
from chaincode.errors import Code, ContractError
from crypto.errors import FormatError, KeyMaterialError, SealtrailError, SignatureError
from gateway.access import AccessError
from gateway.api.epcis.exceptions import problem_type
from gateway.custody.errors import UnknownUnitError
from gateway.keychange.errors import MigrationError
from gateway.query.errors import BusyError, NotFoundError, NotIndexedError, QueryError
from gateway.recall.errors import RecallError, UnknownRecallError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "2"}
_MAX_FIELDS = 20
_log = logging.getLogger(__name__)
_CONFLICTS = frozenset({Code.IDENTITY_EXISTS, Code.KEY_IN_USE})


class FieldProblem(BaseModel):
    """One parameter that is not acceptable."""

    place: str = Field(examples=["query.limit"])
    problem: str = Field(examples=["Input should be less than or equal to 500"])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field("about:blank", description="about:blank: the status says the kind; under /epcis its exception")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no record 12; the log has 3 entries, numbered from 0"])
    errors: list[FieldProblem] | None = Field(None, description="the parameters that were refused, on 422")


_WORDS = {
    400: "The body is not JSON that can be read; under /epcis also what is not acceptable in it or in a parameter.",
    401: "No bearer token, or one that is unknown or revoked.",
    403: "The token's scopes do not allow this.",
    404: "There is no such thing here.",
    405: "The path is known, the method is not.",
    406: "The client wants another version, format or media type than there is.",
    409: "It cannot be done in the present state; the detail says which.",
    413: "The request body is larger than 64 KiB; of an object, than the bound of objects.",
    414: "The request target is longer than 8 KiB.",
    415: "The body is of another media type.",
    416: "The range lies behind the end.",
    422: "A parameter or field is not acceptable; `errors` says which.",
    429: "Too many requests for this token or address; Retry-After says when to come back.",
    500: "A fault of the gateway. Nothing was changed.",
    503: "The gateway cannot answer now; Retry-After says when to come back.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these statuses, and for those that any request may get."""
    schema = {"$ref": "#/components/schemas/Problem"}
    everywhere = {*statuses, 413, 414, 422, 429, 500, 503}
    return {s: {"description": _WORDS[s], "content": {MEDIA_TYPE: {"schema": schema}}} for s in sorted(everywhere)}


def problem(
    status: int, detail: str, *, errors: list[FieldProblem] | None = None, headers: dict[str, str] | None = None,
    type_: str = "about:blank",
) -> Response:  # fmt: skip
    """The response for one problem."""
    title = HTTPStatus(status).phrase
    body = Problem(type=type_, title=title, status=status, detail=_printable(detail), errors=errors)
    content = body.model_dump(exclude_none=True)
    return JSONResponse(content, status, media_type=MEDIA_TYPE, headers=headers)


def handle_problems(app: FastAPI, page: Callable[[Request, int, str], Response | None]) -> None:
    """Register the handlers of everything that is not a plain answer. `page` may give a page in its place, for
    people; programs always get problem details."""

    def refuse(request: Request, error: Exception) -> Response:
        found = _refusal(request, error)
        said, status = problem_type(request.url.path, request.method, found.status, error)
        return page(request, status, found.detail) or problem(
            status, found.detail, errors=found.errors, headers=found.headers, type_=said
        )

    for kind in (HTTPException, RequestValidationError, SealtrailError):
        app.add_exception_handler(kind, refuse)


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    detail: str
    errors: list[FieldProblem] | None = None
    headers: dict[str, str] | None = None


def _refusal(request: Request, error: Exception) -> _Refusal:
    if isinstance(error, HTTPException):
        plain = error.detail == HTTPStatus(error.status_code).phrase
        detail = _WORDS.get(error.status_code, "") if plain else error.detail
        return _Refusal(error.status_code, detail, headers=dict(error.headers or {}))
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    return _own(request, error)


def _invalid(error: RequestValidationError) -> _Refusal:
    found = [
        FieldProblem(place=_printable(".".join(map(str, e["loc"])))[:120], problem=_printable(str(e["msg"]))[:300])
        for e in error.errors()[:_MAX_FIELDS]
    ]
    return _Refusal(422, "; ".join(f"{e.place}: {e.problem}" for e in found), found)


def _own(request: Request, error: Exception) -> _Refusal:
    status = status_of(error)
    if status >= 500 and not isinstance(error, BusyError | NotIndexedError):
        _log.error("%s %s: %s", request.method, request.url.path, error)
    if status == 500:
        return _Refusal(500, "what is stored cannot be read as it should; the gateway's log and fsck say more")
    if isinstance(error, StoreError | LedgerError):
        return _Refusal(503, "the store or the ledger cannot be used now; try again soon", headers=RETRY_AFTER)
    return _Refusal(status, str(error), headers=RETRY_AFTER if status == 503 else None)


def status_of(error: Exception) -> int:
    """The HTTP status of one of our own errors."""
    if isinstance(error, ContractError):
        return 409 if error.code in _CONFLICTS else 404 if error.code is Code.UNKNOWN_IDENTITY else 422
    table: tuple[tuple[type[Exception] | tuple[type[Exception], ...], int], ...] = (
        ((NotFoundError, LogError, ErasureError, UnknownRecallError, UnknownUnitError), 404),
        ((QueryError, RecallError), 422),
        (AccessError, 403),
        ((ReceiptError, MigrationError), 409),
        ((BusyError, NotIndexedError, StoreError, LedgerError), 503),
    )
    return next((status for kinds, status in table if isinstance(error, kinds)), 500)


def refused_input(error: SealtrailError) -> HTTPException:
    """For handlers whose input itself is what a lower room refused: 422 in place of 500."""
    if isinstance(error, FormatError | KeyMaterialError | SignatureError):
        return HTTPException(422, str(error))
    return HTTPException(status_of(error), str(error))


def _printable(text: str) -> str:
    """Without control characters and lone surrogates, which no JSON text should carry on."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:2000]
