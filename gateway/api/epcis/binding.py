"""The routes under /epcis, in the order in which they are tried; OPTIONS of all of them, and what no route does."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from gateway.api.auth import JobReader, PayloadReader
from gateway.api.epcis import capture, events, queries, socket, subscriptions
from gateway.api.epcis.answers import VERSION, answer
from gateway.api.services import Here
from gateway.enquiry.collections import Collection

__all__ = ["mount"]
_METHODS = ("GET", "POST", "DELETE")
router = APIRouter(prefix="/epcis", tags=["EPCIS"])


@router.delete("/nextPageToken/{token}", include_in_schema=False)
async def forget_token(token: str, who: PayloadReader) -> Response:
    """Always 501: a token holds its place by itself, so there is nothing here to give up."""
    raise HTTPException(501, "page tokens are not kept here, so there is nothing to invalidate; leave it unused")


@router.options("", include_in_schema=False)
@router.options("/{path:path}", include_in_schema=False)
async def discover(request: Request, who: JobReader, here: Here) -> Response:
    """Versions, formats and bounds of a resource. 404 for a path that is none; nothing is looked up."""
    headers = {
        "Allow": _allowed(request.scope), "GS1-EPCIS-Min": VERSION, "GS1-EPCIS-Max": VERSION,
        "GS1-CBV-Min": VERSION, "GS1-CBV-Max": VERSION, "GS1-EPC-Format": "Never_Translates",
        "GS1-Extensions": "sealtrail=urn:sealtrail:epcis:",
    }  # fmt: skip
    if request.url.path == "/epcis/capture":
        config = here.live.supply.capture.config
        headers |= {
            "GS1-EPCIS-Capture-Limit": str(config.max_document_events),
            "GS1-EPCIS-Capture-File-Size-Limit": str(config.max_document_bytes),
            "GS1-Capture-Error-Behaviour": "all",
        }  # fmt: skip
    return answer(status=204, headers=headers)


class _Refuse:
    """What no route before took: 405 with all that the path allows, or 404. No function, so that it gets any method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise HTTPException(405, headers={"Allow": _allowed(scope)})


def _allowed(scope: Scope) -> str:
    """The methods of a path, for the header Allow. HTTPException 404 where it has none."""
    found = [method for method in _METHODS if _is_route({**scope, "method": method})]
    if not found:
        raise HTTPException(404, "there is nothing of this path")
    return ", ".join(["OPTIONS", *found])


def _is_route(scope: Scope) -> bool:
    """Whether a route takes it; those of collections take any name, and refuse what is none themselves."""
    for route in _ROUTES:
        match, found = route.matches(scope)
        if match is Match.FULL:
            return found["path_params"].get("collection", Collection.EPCS) in list(Collection)
    return False


_PARTS = (capture, queries, subscriptions, events)
_ROUTES = [route for part in _PARTS for route in part.router.routes]


def mount(app: FastAPI) -> None:
    """`events` comes last of the parts: its paths hold others. What none of them does follows."""
    app.router.routes.append(WebSocketRoute("/epcis/queries/{name}/events", socket.stream))
    for part in _PARTS:
        app.include_router(part.router)
    app.include_router(router)
    app.router.routes.append(Route("/epcis{path:path}", _Refuse()))
