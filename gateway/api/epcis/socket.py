"""Subscriptions over a WebSocket (RFC 6455): /epcis/queries/{name}/events?stream=true, or with a schedule.

Reports go out one by one, the next when the one before was taken, so a slow client costs a place in the log and no
memory. Who calls must show a bearer token in the handshake: a page's cookie does not count, since any site can make a
browser open a socket here. The token is asked for again before each report and at each look, so one that was revoked
gets nothing more. What a client sends is read and dropped.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress

from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from crypto.errors import SealtrailError
from gateway.access import AccessError, now_us
from gateway.api.auth import MAX_TOKEN_CHARS, PAYLOADS
from gateway.api.epcis.asking import asked_at_once
from gateway.api.epcis.exceptions import EpcisProblem
from gateway.api.guards import presented_token
from gateway.api.services import Services
from gateway.enquiry.errors import EnquiryError, ParameterError, ScheduleError
from gateway.enquiry.named import query_of
from gateway.enquiry.query import Query
from gateway.enquiry.reports import MAX_EVENTS
from gateway.enquiry.schedule import FIELDS, Schedule, parsed_schedule
from gateway.enquiry.search import STRETCH, Found, Page, between, first_since, since
from gateway.enquiry.values import from_query_string, moment, truth
from gateway.epcis.document import query_document
from gateway.events.times import rfc3339
from gateway.events.view import EventsView

LOOK_S = 0.2
TAKEN_WITHIN_S = 60.0
_AGAIN, _FORBIDDEN = 1013, 1008  # try again later; a rule is broken: RFC 6455 section 7.4.1


async def stream(socket: WebSocket) -> None:
    """The endpoint."""
    here: Services = socket.app.state.services
    try:
        _require_reader(socket, here)
        query, schedule, empty, start = await _asked(socket, here)
    except (SealtrailError, HTTPException) as e:
        await _refuse(socket, e)
        return
    sockets = here.live.supply.enquiries.sockets
    if sockets.locked():
        await _refuse(socket, HTTPException(503, "too many WebSockets; subscribe by webhook, or come later"))
        return
    async with sockets:
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):
            await _report(socket, here, query, schedule, empty=empty, start=start)


def _require_reader(socket: WebSocket, here: Services) -> None:
    token = presented_token(socket.headers, None)
    try:
        if token is None or not 0 < len(token) <= MAX_TOKEN_CHARS or not token.isascii():
            raise AccessError("send Authorization: Bearer <token>")
        found = here.access.token(token)
    except AccessError as e:
        raise HTTPException(401, str(e)) from e
    if not found.scopes & PAYLOADS:
        raise HTTPException(403, f"this needs a token of scope {' or '.join(sorted(PAYLOADS))}")


async def _asked(socket: WebSocket, here: Services) -> tuple[Query, Schedule | None, bool, int]:
    """The query, when it reports, whether empty ones too, and the record to begin with."""
    given = from_query_string(socket.query_params.multi_items())
    known = {*FIELDS, "stream", "reportIfEmpty", "initialRecordTime"}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ParameterError(
            f"unknown query parameter {unknown[0]!r:.80}; a WebSocket takes {', '.join(sorted(known))}"
        )
    when = {name: values[0] for name, values in given.items() if name in FIELDS}
    streamed = "stream" in given and truth("stream", given["stream"])
    if streamed == bool(when):
        raise ScheduleError("give either stream=true or a schedule")
    found = await asyncio.to_thread(here.live.supply.enquiries.standing.query, socket.path_params["name"])
    initial = moment("initialRecordTime", given["initialRecordTime"]) if "initialRecordTime" in given else None
    empty = "reportIfEmpty" in given and truth("reportIfEmpty", given["reportIfEmpty"])
    start = here.live.supply.ground.log_size()
    if initial is not None:
        start = await asked_at_once(here, lambda view: first_since(view, initial, view.indexed()))
    return since(query_of(found.definition), initial), parsed_schedule(when) if when else None, empty, start


async def _report(
    socket: WebSocket, here: Services, query: Query, schedule: Schedule | None, *, empty: bool, start: int
) -> None:  # fmt: skip
    gone = asyncio.create_task(_until_gone(socket))
    name, last = socket.path_params["name"], now_us()
    try:
        while not gone.done():
            await _still_allowed(socket, here)
            if schedule is None or schedule.next(last) <= now_us():
                last = now_us()
                start = await _report_from(socket, here, query, start, name, empty=empty and schedule is not None)
            await asyncio.wait([gone], timeout=LOOK_S)
    except (SealtrailError, HTTPException, sqlite3.Error) as e:
        code = _FORBIDDEN if isinstance(e, HTTPException) and e.status_code in (401, 403) else _AGAIN
        await socket.close(code, (e.detail if isinstance(e, HTTPException) else str(e))[:120])
    except TimeoutError:  # it does not take what it asked for
        await socket.close(_AGAIN, f"a report was not taken within {TAKEN_WITHIN_S:g} s")
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)


async def _report_from(
    socket: WebSocket, here: Services, query: Query, start: int, name: str, *, empty: bool
) -> int:  # fmt: skip
    """Send all that matches from record `start` on; the record up to which that is."""
    sent = False
    while True:
        stop = min(await asked_at_once(here, lambda view: view.indexed()), start + STRETCH)
        if start >= stop:
            break
        found = await asked_at_once(here, _stretch(query, start, stop))
        if found.events:
            await _still_allowed(socket, here)
            await _send(socket, name, found.events)
            sent = True
        start = found.events[-1].leaf + 1 if found.token and found.events else stop
    if empty and not sent:
        await _send(socket, name, ())
    return start


async def _still_allowed(socket: WebSocket, here: Services) -> None:
    """A stream ends with its token, and with its query."""

    def look() -> None:
        _require_reader(socket, here)
        here.live.supply.enquiries.standing.query(socket.path_params["name"])

    await asyncio.to_thread(look)


def _stretch(query: Query, start: int, stop: int) -> Callable[[EventsView], Page]:
    return lambda view: between(view, query, start, stop, MAX_EVENTS)


async def _send(socket: WebSocket, name: str, events: tuple[Found, ...]) -> None:
    body = query_document([one.payload for one in events], rfc3339(now_us()), name)
    async with asyncio.timeout(TAKEN_WITHIN_S):
        await socket.send_text(body.decode())


async def _until_gone(socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive()


async def _refuse(socket: WebSocket, error: Exception) -> None:
    """As an HTTP answer, before the handshake is done."""
    status, kind = 400, "ValidationException"
    if isinstance(error, EnquiryError):
        kind, status = error.kind, 404 if error.kind == "NoSuchNameException" else 400
    elif isinstance(error, HTTPException):
        status = error.status_code
        kind = error.kind if isinstance(error, EpcisProblem) else "SecurityException"
    detail = error.detail if isinstance(error, HTTPException) else str(error)
    said = {"type": f"epcisException:{kind}", "title": "Refused", "status": status, "detail": detail}
    headers = [(b"content-type", b"application/problem+json")]
    await socket.send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await socket.send({"type": "websocket.http.response.body", "body": json.dumps(said).encode()})
