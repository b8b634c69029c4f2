"""The log itself, public, as C2SP tlog-tiles: whoever wants can mirror and check all of it.

Only what a published checkpoint covers is served: bytes that caches may keep for ever must never be ones that
nobody has signed for.
"""

import gzip

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from chain.log.paths import serve
from chain.log.reader import LogReader
from crypto.errors import FormatError
from gateway.api.problems import documented
from gateway.api.services import AView
from gateway.query.view import View

router = APIRouter(prefix="/log", tags=["log"])
IMMUTABLE = "public, max-age=31536000, immutable"
BRIEFLY = "public, max-age=1"


class PublishedReader(LogReader):
    """The log up to its newest published checkpoint."""

    def __init__(self, view: View) -> None:
        super().__init__(view.site.db)
        newest = view.site.checkpoints.latest()
        self._published = newest.size if newest else 0

    def size(self) -> int:
        return self._published


@router.get("/checkpoint", summary="The newest signed checkpoint", response_class=Response,
            responses={200: {"content": {"text/plain": {}}}, **documented(404)})  # fmt: skip
def checkpoint(view: AView) -> Response:
    """A signed note (c2sp.org/tlog-checkpoint)."""
    newest = view.site.checkpoints.latest()
    if newest is None:
        raise HTTPException(404, "the log has not signed a checkpoint yet")
    return Response(newest.note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": BRIEFLY})


@router.get("/tile/{path:path}", summary="A tile or an entry bundle", response_class=Response,
            responses={200: {"content": {"application/octet-stream": {}}}, **documented(404)})  # fmt: skip
def tile(path: str, view: AView, request: Request) -> Response:
    """`/log/tile/<L>/<N>[.p/<W>]` and `/log/tile/entries/<N>[.p/<W>]` (c2sp.org/tlog-tiles)."""
    try:
        served = serve(PublishedReader(view), f"tile/{path}")
    except FormatError as e:
        raise HTTPException(404, str(e)) from e
    headers = {"Cache-Control": IMMUTABLE if served.immutable else BRIEFLY, "Access-Control-Allow-Origin": "*",
               "Cross-Origin-Resource-Policy": "cross-origin"}  # fmt: skip
    if not path.startswith("entries/"):
        return Response(served.body, media_type=served.content_type, headers=headers)
    headers["Vary"] = "Accept-Encoding"  # hashes do not compress, entries do
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(gzip.compress(served.body, 6, mtime=0), media_type=served.content_type, headers=headers)
    return Response(served.body, media_type=served.content_type, headers=headers)
