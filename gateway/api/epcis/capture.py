"""POST /epcis/capture and /epcis/events, and the capture jobs.

The standard's capture is asynchronous; here the answer comes when all is durable and in the log, so a job that a client
sees has finished. A body is read within bounds of size, number and time before anything of it is parsed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.api.auth import Capturer, JobReader
from gateway.api.epcis.answers import MEDIA_TYPES, answer, negotiate
from gateway.api.epcis.exceptions import EpcisProblem
from gateway.api.problems import RETRY_AFTER, documented
from gateway.api.services import Here
from gateway.capture.errors import BusyCaptureError, TooLargeError, UnknownJobError
from gateway.capture.intake import Intake, taken_in
from gateway.capture.jobs import Job, new_job
from gateway.capture.parts import Captures
from gateway.epcis.errors import EpcisError
from gateway.epcis.rules import TYPES
from gateway.events.times import rfc3339
from gateway.query.cursor import decode_cursor, encode_cursor

router = APIRouter(prefix="/epcis", tags=["EPCIS"], dependencies=[Depends(negotiate)])
BODY_WITHIN_S = 60.0
WAIT_S = 5.0
MAX_PAGE = 100
_JOBS = "epcis capture jobs of "
Behaviour = Annotated[
    Literal["rollback", "proceed"],
    Header(alias="GS1-Capture-Error-Behaviour", description="all events or none, or all that hold"),
]
_BODY = {"requestBody": {"required": True, "content": {
    MEDIA_TYPES[0]: {"schema": {"type": ["object", "array"], "description": "EPCIS document, event, or list of events"}}
}}}  # fmt: skip
_EVENT_BODY = {"requestBody": {"required": True, "content": {
    MEDIA_TYPES[0]: {"schema": {"type": "object", "description": "one EPCIS event with its @context"}}
}}}  # fmt: skip


@router.post("/capture", status_code=202, summary="Capture events", response_class=Response,
             responses=documented(400, 401, 403, 406, 415), openapi_extra=_BODY)  # fmt: skip
async def capture(request: Request, who: Capturer, here: Here, behaviour: Behaviour = "rollback") -> Response:
    """An EPCISDocument, an EPCISQueryDocument, a lone event, or a list of events that each have an @context. Answers
    when every event is on disk and in the log; what is there already is not stored twice. With `rollback`, one event
    that does not hold refuses all (400); with `proceed` the others are stored, and the job says which were not."""
    captures, proceed = here.live.supply.capture, behaviour == "proceed"
    found = await _intake(request, captures, proceed=proceed)
    new = new_job(who.label, found.total, proceed=proceed, refused=found.refused)
    done = await _stored(captures, new, found)
    told = job_json(done.job) | {"verdicts": [list(one) for one in done.records]}
    return answer(told, 202, {"Location": f"/epcis/capture/{done.job.id}"})


@router.post("/events", status_code=201, summary="Capture one event", response_class=Response,
             responses={200: {"description": "it was captured before"}, **documented(400, 401, 403, 406, 415)},
             openapi_extra=_EVENT_BODY)  # fmt: skip
async def capture_event(request: Request, who: Capturer, here: Here) -> Response:
    """One event. 201 when it is on disk and in the log; 200 when it was there already. The body is the event as it was
    brought, `Location` its address, `Sealtrail-Record` its place in the log."""
    captures = here.live.supply.capture
    found = await _intake(request, captures, proceed=False)
    if found.kind not in TYPES:
        raise EpcisProblem(400, "ValidationException", "expected one event; send documents to /epcis/capture")
    done = await _stored(captures, new_job(who.label, 1, proceed=False), found)
    (leaf, known), (event,) = done.records[0], found.candidates
    headers = {"Location": f"/epcis/events/{quote(event.name, safe='')}", "Sealtrail-Record": str(leaf)}
    return answer(event.payload, 200 if known else 201, headers)


@router.get("/capture", summary="List capture jobs", response_class=Response, responses=documented(400, 401, 403, 406))
async def jobs(
    who: JobReader, here: Here,
    per_page: Annotated[int, Query(alias="perPage", ge=1, le=MAX_PAGE)] = 30,
    token: Annotated[str | None, Query(alias="nextPageToken", min_length=1, max_length=64)] = None,
) -> Response:  # fmt: skip
    """Newest first; those of the own token, or with an operator's or auditor's token all."""
    by = None if who.sees_payloads else who.label
    question = f"{_JOBS}{by!r}"
    before = decode_cursor(question, token) if token else None
    found = await asyncio.to_thread(here.live.supply.capture.jobs.page, by, before, per_page + 1)
    headers = {}
    if len(found) > per_page:
        found = found[:per_page]
        following = encode_cursor(question, found[-1].number)
        headers["Link"] = f'</epcis/capture?perPage={per_page}&nextPageToken={following}>; rel="next"'
    return answer([job_json(one) for one in found], headers=headers)


@router.get("/capture/{id}", summary="One capture job", response_class=Response,
            responses=documented(400, 401, 403, 404, 406))  # fmt: skip
async def job(
    job_id: Annotated[str, Path(alias="id", pattern="^[0-9a-f]{32}$")], who: JobReader, here: Here
) -> Response:  # fmt: skip
    """What came of a capture: `success`, `errors` with event number, place and reason; `records` are the log indexes of
    what it stored, as [first, count]."""
    by = None if who.sees_payloads else who.label
    try:
        return answer(job_json(await asyncio.to_thread(here.live.supply.capture.jobs.job, job_id, by)))
    except UnknownJobError as e:
        raise HTTPException(404, str(e)) from e


def job_json(job: Job) -> dict[str, Any]:
    """The standard's members, then our own."""
    return {
        "captureID": job.id,
        "createdAt": rfc3339(job.created_us),
        **({} if job.finished_us is None else {"finishedAt": rfc3339(job.finished_us)}),
        "running": job.finished_us is None,
        "success": job.success,
        "captureErrorBehaviour": "proceed" if job.proceed else "rollback",
        "errors": [
            {"type": "epcisException:ValidationException", "title": "An event was refused", "status": 400,
             "detail": f"{one.place}: {one.reason}" if one.place else one.reason, "event": one.event,
             "place": one.place, "reason": one.reason}
            for one in job.refused
        ],
        "capturedBy": job.by,
        "events": job.events,
        "stored": job.stored,
        "duplicates": job.duplicates,
        "records": [list(span) for span in job.spans],
    }  # fmt: skip


async def _intake(request: Request, captures: Captures, *, proceed: bool) -> Intake:
    """What was sent, opened. What waits to be stored is bounded by gateway.capture, so the body is let go here."""
    async with _body(request, captures) as data:
        return await _opened(data, captures, proceed=proceed)


async def _opened(data: bytes, captures: Captures, *, proceed: bool) -> Intake:
    bounds = captures.config.max_document_bytes, captures.config.max_document_events
    try:
        return await asyncio.to_thread(taken_in, data, *bounds, proceed=proceed)
    except TooLargeError as e:
        raise EpcisProblem(413, "CaptureLimitExceededException", str(e)) from e
    except EpcisError as e:
        raise EpcisProblem(400, "ValidationException", str(e)) from e


async def _stored(captures: Captures, new: Job, found: Intake) -> Any:
    try:
        return await captures.capture.take(new, found.candidates)
    except BusyCaptureError as e:
        raise EpcisProblem(503, "ImplementationException", str(e), RETRY_AFTER) from e


@asynccontextmanager
async def _body(request: Request, captures: Captures) -> AsyncIterator[bytes]:
    """The body, within the number of bodies that are in memory at once. 415 for what is no JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in MEDIA_TYPES:
        raise EpcisProblem(415, "UnsupportedMediaTypeException", f"send {' or '.join(MEDIA_TYPES)}, got {kind!r:.60}")
    try:
        async with asyncio.timeout(WAIT_S):
            await captures.gate.acquire()
    except TimeoutError as e:
        said = "too many captures at once; try again in a few seconds"
        raise EpcisProblem(503, "ImplementationException", said, RETRY_AFTER) from e
    try:
        async with asyncio.timeout(BODY_WITHIN_S) as limit:
            data = b"".join([chunk async for chunk in request.stream()])  # which keeps no copy
            limit.reschedule(None)  # from here on it is ours to end
            yield data
    except ClientDisconnect as e:
        raise HTTPException(400, "the request broke off; nothing of it is kept") from e
    except TimeoutError as e:
        raise HTTPException(400, f"the body did not come within {BODY_WITHIN_S:g} s; nothing of it is kept") from e
    finally:
        captures.gate.release()
