"""Alarms over REST: a page, a stream of server-sent events, and who has seen to them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Path, Query
from fastapi.responses import StreamingResponse

from crypto.flat import MAX_NUMBER
from gateway.alarms.errors import AlarmError
from gateway.alarms.parts import Alarms
from gateway.api.alarm_models import AcknowledgeIn
from gateway.api.auth import Operator, PayloadReader
from gateway.api.parameters import Number
from gateway.api.problems import RETRY_AFTER, documented
from gateway.api.services import Here

router = APIRouter(prefix="/v1/alarms", tags=["alarms"])
MAX_PAGE = 500
MAX_STREAMS = 64
QUIET_S = 15.0  # then a comment says that the stream lives
EVENTS = "text/event-stream"
_open: set[int] = set()  # streams of this process
AlarmId = Annotated[int, Path(alias="id", ge=1, le=MAX_NUMBER)]


@router.get("", summary="List alarms", responses=documented(401, 403))
async def listing(
    who: PayloadReader, here: Here, limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    before: Annotated[Number | None, Query(description="go on with those before this id")] = None,
    pending: Annotated[bool, Query(description="only those that nobody has acknowledged")] = False,
) -> dict[str, Any]:  # fmt: skip
    """Newest first, with how many are kept, pending, and fell out of the table."""
    alarms = here.live.supply.alarms
    found = await alarms.page(before, limit, pending=pending)
    kept, waiting, dropped = await alarms.counts()
    shown = [alarm.shown(alarms.origin) for alarm in found]
    return {"alarms": shown, "kept": kept, "pending": waiting, "dropped": dropped}


@router.get("/stream", summary="Alarms as they are raised", response_class=StreamingResponse,
            responses={200: {"content": {EVENTS: {}}}, **documented(401, 403)})  # fmt: skip
async def stream(
    who: PayloadReader, here: Here,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20, pattern="^[0-9]*$")] = None,
    after: Annotated[Number | None, Query(description="begin behind this id; Last-Event-ID goes before it")] = None,
) -> StreamingResponse:  # fmt: skip
    """Server-sent events (WHATWG HTML section 9.2), one for each alarm; its id is the alarm's. Without an id it begins
    with the next alarm."""
    if len(_open) >= MAX_STREAMS:
        raise HTTPException(503, f"{MAX_STREAMS} streams are open; try again in a while", RETRY_AFTER)
    alarms = here.live.supply.alarms
    start = min(int(last), MAX_NUMBER) if last else after
    begin = await alarms.newest() if start is None else start
    return StreamingResponse(_events(alarms, begin), media_type=EVENTS, headers={"Cache-Control": "no-store"})


async def _events(alarms: Alarms, after: int) -> AsyncIterator[str]:
    mark = id(asyncio.current_task())
    _open.add(mark)
    try:
        yield ": alarms of this gateway\n\n"
        async for found in alarms.stream(after, QUIET_S):
            yield "".join(_event(alarms, alarm.id, alarm.shown(alarms.origin)) for alarm in found) or ": quiet\n\n"
    finally:
        _open.discard(mark)


def _event(alarms: Alarms, number: int, shown: dict[str, Any]) -> str:
    return f"id: {number}\nevent: alarm\ndata: {json.dumps(shown, ensure_ascii=False)}\n\n"


@router.post("/{id}/acknowledge", summary="Acknowledge an alarm", responses=documented(400, 401, 403, 404))
async def acknowledge(number: AlarmId, body: AcknowledgeIn, who: Operator, here: Here) -> dict[str, Any]:
    """A person has seen to it. Who came first stays."""
    alarms = here.live.supply.alarms
    try:
        done = await alarms.acknowledge(number, body.by, body.reason)
    except AlarmError as e:
        raise HTTPException(404, str(e)) from e
    return done.shown(alarms.origin)
