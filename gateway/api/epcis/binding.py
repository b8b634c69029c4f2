"""The routes under /epcis, in the order in which they are tried, and OPTIONS of all of them."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, WebSocketRoute

from gateway.api.auth import JobReader
from gateway.api.epcis import capture, events, queries, socket, subscriptions
from gateway.api.epcis.answers import VERSION, answer
from gateway.api.services import Here

__all__ = ["mount"]
_METHODS = ("GET", "POST", "DELETE")
router = APIRouter(prefix="/epcis", tags=["EPCIS"])


@router.options("", include_in_schema=False)
@router.options("/{path:path}", include_in_schema=False)
async def discover(request: Request, who: JobReader, here: Here) -> Response:
    """Versions, formats and bounds of a resource. 404 for a path that is none; nothing is looked up."""
    allowed = [method for method in _METHODS if _is_route(request, method)]
    if not allowed:
        raise HTTPException(404, "there is nothing of this path")
    headers = {
        "Allow": ", ".join(["OPTIONS", *allowed]), "GS1-EPCIS-Min": VERSION, "GS1-EPCIS-Max": VERSION,
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


def _is_route(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in _ROUTES)


_PARTS = (capture, queries, subscriptions, events)
_ROUTES = [route for part in _PARTS for route in part.router.routes]


def mount(app: FastAPI) -> None:
    """`events` comes last: its paths hold others."""
    app.router.routes.append(WebSocketRoute("/epcis/queries/{name}/events", socket.stream))
    app.include_router(router)
    for part in _PARTS:
        app.include_router(part.router)
