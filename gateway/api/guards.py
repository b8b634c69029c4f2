"""What stands before every route: security headers, rates, sizes, and a last word for unforeseen faults.

Pure ASGI, so that bodies are counted while they come in and nothing is buffered here.
"""

import logging
from collections.abc import Mapping
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from math import ceil
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.epcis.exceptions import problem_type
from gateway.api.problems import problem
from gateway.api.ratelimit import Buckets, RateLimits, address_key

MAX_BODY_BYTES = 64 * 1024
MAX_TARGET_BYTES = 8 * 1024
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_log = logging.getLogger(__name__)


class Guards:
    """The outermost of the application's own layers."""

    def __init__(
        self, app: ASGIApp, limits: RateLimits, cookie: str, large: Mapping[tuple[str, str], int] = MappingProxyType({})
    ) -> None:
        """`cookie`: the name of the pages' one. `large`: method and path of the requests whose bodies may be larger,
        and how large."""
        self._app, self._cookie, self._large = app, cookie, large
        self._buckets = Buckets(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_secured(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _secure(MutableHeaders(scope=message))
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_secured)
            return
        try:
            await self._app(scope, _counted(receive, self._most(scope)), send_secured)
        except HTTPException as e:
            if started:
                raise
            await _problem(scope, e.status_code, e.detail)(scope, receive, send_secured)
        except Exception:
            # The outermost boundary: whatever was not foreseen becomes one plain answer and one log entry.
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            await _problem(scope, 500, "a fault of the gateway; its log says more")(scope, receive, send_secured)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A handshake counts as a request does; it is refused as one, before there is a WebSocket."""
        refusal = self._refusal({**scope, "method": "GET"})
        if refusal is None:
            await self._app(scope, receive, send)
            return

        async def send_refusal(message: Message) -> None:
            if message["type"] == "websocket.http.response.start":
                _secure(MutableHeaders(raw=message["headers"]))
            await send(message)

        await refusal(scope, receive, send_refusal)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        """The answer to a request that is refused by its head alone."""
        headers = Headers(scope=scope)
        wait = self._wait(scope, headers)
        if wait:
            return problem(429, "too many requests", headers={"Retry-After": str(ceil(wait))})
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
            return _problem(scope, 414, f"a request target has at most {MAX_TARGET_BYTES} bytes")
        length = headers.get("content-length", "")
        most = self._most(scope)
        if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > most):
            return _problem(scope, 413, _too_large(most))
        return None

    def _most(self, scope: Scope) -> int:
        """Bytes that this request's body may have."""
        return self._large.get((scope["method"], scope["path"]), MAX_BODY_BYTES)

    def _wait(self, scope: Scope, headers: Headers) -> float:
        client = scope.get("client")
        wait = self._buckets.take("address " + address_key(client[0] if client else ""))
        token = presented_token(headers, self._cookie)
        if token and not wait:
            wait = self._buckets.take("token " + sha256(token.encode()).hexdigest())
        return wait


def cookie_name(origin: str) -> str:
    """What the cookie of a gateway's pages is called. Browsers send cookies to all ports of a host: two gateways of one
    machine would take each other's."""
    return "sealtrail_token_" + sha256(origin.encode()).hexdigest()[:12]


def presented_token(headers: Headers, cookie: str | None) -> str | None:
    """The bearer token of a request, from its Authorization header or, where it may, the pages' cookie of this name."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme:
        return token.strip() if scheme.lower() == "bearer" else ""
    if cookie is None or "cookie" not in headers:
        return None
    try:
        found = SimpleCookie(headers["cookie"]).get(cookie)
    except CookieError:
        return None
    return found.value if found else None


def _secure(headers: MutableHeaders) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


def _problem(scope: Scope, status: int, detail: str) -> ASGIApp:
    said, _ = problem_type(scope["path"], scope["method"], status)
    return problem(status, detail, type_=said)


def _too_large(most: int) -> str:
    return f"a request body has at most {most} bytes"


def _counted(receive: Receive, most: int) -> Receive:
    """Counts the body while it comes in, for clients that do not say its length."""
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body") or b"")
        if received > most:
            raise HTTPException(413, _too_large(most))
        return message

    return receive_counted
