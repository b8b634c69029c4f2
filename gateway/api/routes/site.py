"""The site as a whole: status, anchors, dead letters, alerts, excursions, policy, schemas, health, metrics."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from crypto.errors import SealtrailError
from crypto.flat import MAX_NUMBER
from gateway.api.auth import Operator, PayloadReader, Reader, WhoeverCalls
from gateway.api.metrics import CONTENT_TYPE, exposition
from gateway.api.parameters import FromTime, Number, SourceName, Text, ToTime
from gateway.api.problems import documented
from gateway.api.services import AView, Here, Services
from gateway.api.site_models import AlertOut, AnchorOut, DeadLetterOut, ExcursionOut, ReadyOut, StatusOut
from gateway.delivery.outbox import QueueState
from gateway.live import LiveStatus
from gateway.preprocess.errors import UnknownKindError
from gateway.preprocess.kinds import by_name
from gateway.query.anchors import MAX_PAGE, anchored_checkpoints, with_ledger
from gateway.query.readings import MAX_EXCURSIONS, excursions
from gateway.query.records import indexed_size
from gateway.query.sources import totals
from gateway.query.view import View

router = APIRouter(tags=["site"])
MAX_NOTICES = 500
_PRIVATE = (
    "received", "stored", "duplicates", "rejected", "queued_bytes", "connected", "disk_bytes", "disk_limit_bytes",
    "problems", "doubtful", "tls", "groups", "sessions", "handshakes", "handshakes_refused",
)  # fmt: skip

Before = Annotated[Number | None, Query(description="go on with those before this id")]
NoticeLimit = Annotated[int, Query(ge=1, le=MAX_NOTICES)]


@router.get("/v1/status", summary="State of the gateway", responses=documented(401))
def status(who: WhoeverCalls, here: Here, view: AView) -> StatusOut:
    """Public in short; with any token in full."""
    return status_out(here.live.status(), totals(view)[0], full=who.reads)


def status_out(now: LiveStatus, events: int, *, full: bool) -> StatusOut:
    """A status for those who may see all of it, or for everybody."""
    said: dict[str, Any] = {
        "origin": now.origin, "now_us": time.time_ns() // 1000, "started_us": now.started_us,
        "log_size": now.log_size, "checkpoint_size": now.checkpoint_size, "anchored_size": now.anchored_size,
        "anchored_us": now.anchored_us, "events": events, "ready": not now.problems,
    }  # fmt: skip
    said |= {name: getattr(now, name) for name in _PRIVATE} if full else {}
    return StatusOut.model_validate(said)


@router.get("/v1/anchors", summary="Anchored checkpoints", responses=documented(401, 403))
async def anchors(
    who: Reader, here: Here, view: AView, limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    below: Annotated[Number | None, Query(description="go on with sizes below this")] = None,
) -> list[AnchorOut]:  # fmt: skip
    """The newest first, with what the ledger itself says of each. The site keeps the newest 1,000 checkpoints."""
    found = await run_in_threadpool(anchored_checkpoints, view, limit, below)
    return [AnchorOut.model_validate(a) for a in await with_ledger(found, here.ledger, here.folder.origin)]


@router.get("/v1/dead-letters", summary="Refused input", responses=documented(401, 403))
def dead_letters(who: Operator, view: AView, before: Before = None, limit: NoticeLimit = 100) -> list[DeadLetterOut]:
    """What was refused and why, the newest first. At most 10,000 are kept; dropped ones are counted."""
    return [DeadLetterOut.model_validate(d) for d in view.site.notices.dead_letters(before=before, limit=limit)]


@router.get("/v1/alerts", summary="What needs a person", responses=documented(401, 403))
def alerts(who: PayloadReader, view: AView, before: Before = None, limit: NoticeLimit = 100) -> list[AlertOut]:
    """Excursions, gaps, broken seals, conflicts and forks, the newest first."""
    found = view.site.notices.alerts(before=before, limit=limit)
    return [
        AlertOut(id=a.id, at_us=a.at_us, kind=a.kind, source=a.source, text=a.text,
                 record=None if a.leaf is None else str(a.leaf))
        for a in found
    ]  # fmt: skip


@router.get("/v1/excursions", summary="Readings out of range", responses=documented(401, 403))
def list_excursions(
    who: PayloadReader, view: AView, source: Annotated[SourceName | None, Query()] = None,
    series: Annotated[Text | None, Query()] = None, since: FromTime = None, until: ToTime = None,
    limit: Annotated[int, Query(ge=1, le=MAX_EXCURSIONS)] = 100,
) -> list[ExcursionOut]:  # fmt: skip
    """Runs of consecutive readings outside their limits, the one that ended last first."""
    low, high = since or 0, MAX_NUMBER if until is None else until
    if low > high:
        raise HTTPException(422, "the time range is empty: its end lies before its start")
    return [
        ExcursionOut(
            source=e.source, series=e.series, unit=e.unit, first_us=e.first_us, last_us=e.last_us, count=e.count,
            low=e.low, high=e.high, record=str(e.leaf), ongoing=e.ongoing,
        )
        for e in excursions(view, source, series, low, high, limit)
    ]  # fmt: skip


@router.get("/v1/policy", summary="This site's own trust policy", response_class=PlainTextResponse,
            responses=documented())  # fmt: skip
def policy(here: Here) -> Response:
    """A policy file (c2sp.org/tlog-policy) with the keys of this log and ledger. Get it from someone you trust and
    compare: a policy that comes from the gateway alone proves nothing about the gateway."""
    return PlainTextResponse(here.policy.to_text().encode("utf-8", "surrogateescape"))


@router.get("/schemas/{kind}", summary="JSON Schema of a kind's payload", response_class=JSONResponse,
            responses={200: {"content": {"application/schema+json": {}}}, **documented(404)})  # fmt: skip
def schema(kind: str) -> Response:
    """Draft 2020-12."""
    try:
        found = by_name(kind).json_schema()
    except UnknownKindError as e:
        raise HTTPException(404, str(e)) from e
    return JSONResponse(found, media_type="application/schema+json", headers={"Cache-Control": "public, max-age=3600"})


@router.get("/healthz", summary="Is the process alive?", responses=documented(), response_class=PlainTextResponse)
async def healthz() -> Response:
    """Always 200 while the gateway answers at all."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="Does the gateway work?", responses={**documented(), 503: {"model": ReadyOut}})
async def readyz(here: Here) -> Response:
    """200, or 503 with the problems in words."""
    problems = list(here.live.status().problems) + await run_in_threadpool(_index_problem, here)
    content = ReadyOut(ready=not problems, problems=problems).model_dump()
    return JSONResponse(content, 503 if problems else 200)


def _index_problem(here: Services) -> list[str]:
    """Why the store and the index cannot be read, if they cannot."""
    try:
        View.open(here.folder).close()
    except SealtrailError as e:
        return [f"reading: {e}"]
    return []


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse,
            responses=documented(401, 403))  # fmt: skip
async def metrics(who: Operator, here: Here, view: AView) -> Response:
    """Text exposition format."""
    queues = await here.live.supply.outbox.states()
    return Response(await run_in_threadpool(_metrics, here, view, queues), media_type=CONTENT_TYPE)


def _metrics(here: Services, view: View, queues: list[QueueState]) -> bytes:
    return exposition(here.live.status(), view.site.notices.counts(), indexed_size(view), queues)
