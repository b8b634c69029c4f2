"""Alarms over REST: a page, a stream of server-sent events, and who has seen to them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from crypto.flat import MAX_NUMBER
from gateway.access import Access, AccessError
from gateway.alarms.errors import AlarmError
from gateway.alarms.parts import Alarms
from gateway.api.alarm_models import AcknowledgeIn
from gateway.api.auth import PAYLOADS, Operator, PayloadReader
from gateway.api.guards import presented_token
from gateway.api.parameters import Number
from gateway.api.problems import RETRY_AFTER, documented
from gateway.api.services import Here

router = APIRouter(prefix="/v1/alarms", tags=["alarms"])
MAX_PAGE = 500
MAX_STREAMS = 64
QUIET_S = 15.0  # then a comment says that the stream lives
SEND_S = 30.0
EVENTS = "text/event-stream"
log = logging.getLogger(__name__)
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
    who: PayloadReader, here: Here, request: Request,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20, pattern="^[0-9]*$")] = None,
    after: Annotated[Number | None, Query(description="begin behind this id; Last-Event-ID goes before it")] = None,
) -> StreamingResponse:  # fmt: skip
    """Server-sent events (WHATWG HTML section 9.2), one for each alarm; its id is the alarm's. Without an id it begins
    with the next alarm. It ends with the token, and when nobody reads for half a minute."""
    if len(_open) >= MAX_STREAMS:
        raise HTTPException(503, f"{MAX_STREAMS} streams are open; try again in a while", RETRY_AFTER)
    alarms = here.live.supply.alarms
    start = min(int(last), MAX_NUMBER) if last else after
    begin = await alarms.newest() if start is None else start
    token = presented_token(request.headers, here.cookie) or ""
    events = _events(alarms, begin, lambda: _may_read(here.access, token))
    return AlarmStream(events, media_type=EVENTS, headers={"Cache-Control": "no-store"})


class AlarmStream(StreamingResponse):
    """Has one of the places of streams until it ends. Each part of it must get through in time: who reads nothing any
    more and keeps the line open has no place for ever."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_S):
                await send(message)

        _open.add(id(self))
        try:
            await super().__call__(scope, receive, in_time)
        except (TimeoutError, ClientDisconnect):
            log.info("a stream of alarms ends: nobody reads it")
        finally:
            _open.discard(id(self))


async def _events(alarms: Alarms, after: int, allowed: Callable[[], bool]) -> AsyncIterator[str]:
    yield ": alarms of this gateway\n\n"
    async for found in alarms.stream(after, QUIET_S):
        if not await asyncio.to_thread(allowed):
            return
        yield "".join(_event(alarms, alarm.id, alarm.shown(alarms.origin)) for alarm in found) or ": quiet\n\n"


def _may_read(access: Access, token: str) -> bool:
    """Whether the token still is one: it may have been revoked."""
    try:
        return bool(access.token(token).scopes & PAYLOADS)
    except AccessError:
        return False


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
