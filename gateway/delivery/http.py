"""Carries deliveries by HTTP: one POST each, signed, over TLS that agrees on keys as the rest of the gateway does.

Trust boundary: the receiver. Redirects are not followed, of its answer the status and Retry-After are read, and no
proxy of the environment is used. All 2xx mean that it took it.
"""

import contextlib
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any

import httpcore

from crypto.tls.client import TlsClient, for_httpx
from gateway.delivery.addresses import AddressRule
from gateway.delivery.errors import AddressError, SendError
from gateway.delivery.signing import signed_headers
from gateway.delivery.target import Delivery, Target

REFUSALS = frozenset({400, 413, 415, 422})  # the receiver read it and will not want it in another hour either
MAX_WAIT_S = 3600.0
_CONNECT_S = 5.0  # which nobody can cut short, so the gateway's end may wait for it
_KEPT_S = 15.0  # a connection that nobody uses
_AGENT = "sealtrail"


class HttpCarrier:
    """Opens lines to http and https URLs."""

    def __init__(self, rule: AddressRule, *, tls_ca: Path | None = None, timeout_s: float = 15.0) -> None:
        """`tls_ca`: the authorities to believe in place of the public ones (PEM)."""
        self._rule, self._timeout_s = rule, timeout_s
        self._tls: Any = TlsClient(tls_ca) if tls_ca else for_httpx()
        self._own: dict[str, TlsClient] = {}  # by the file of a target's own authority

    def __call__(self, target: Target) -> "HttpLine":
        self._rule.require_url(target.url, configured=target.configured)
        tls = self._tls
        if target.tls_ca:
            tls = self._own[target.tls_ca] = self._own.get(target.tls_ca) or TlsClient(Path(target.tls_ca))
        return HttpLine(target, self._rule, tls, self._timeout_s)


class HttpLine:
    """Implements carriers.Line."""

    def __init__(self, target: Target, rule: AddressRule, tls: Any, timeout_s: float) -> None:
        self._target, self._sockets = target, _Sockets(rule, configured=target.configured)
        self._timeouts = dict.fromkeys(("read", "write", "pool"), timeout_s) | {"connect": min(timeout_s, _CONNECT_S)}
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls, max_connections=1, keepalive_expiry=_KEPT_S, network_backend=self._sockets
        )

    def send(self, delivery: Delivery) -> None:
        own = signed_headers(self._target.secret, delivery.message, int(time.time()), delivery.body)
        headers = {"content-type": "application/json", "user-agent": _AGENT}
        for more in (self._target.headers, delivery.headers, own):
            headers |= {name.lower(): value for name, value in more.items()}
        try:
            with self._pool.stream(
                "POST", self._target.url, headers=list(headers.items()), content=delivery.body,
                extensions={"timeout": self._timeouts},
            ) as answer:  # fmt: skip
                status, said = answer.status, dict(answer.headers)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, AddressError, OSError) as e:
            raise SendError(f"{self._host} cannot be reached: {e or type(e).__name__}") from e
        if not 200 <= status < 300:
            what = "redirects, which are not followed" if 300 <= status < 400 else f"answers {status}"
            raise SendError(f"{self._host} {what}", refused=status in REFUSALS, wait_s=_wait_s(said))

    @property
    def _host(self) -> str:
        return f"{self._target.url.partition('://')[2].partition('/')[0]:.100}"

    def cut(self) -> None:
        self._sockets.cut()

    def close(self) -> None:
        self._sockets.cut()
        self._pool.close()


class _Sockets(httpcore.SyncBackend):
    """Connects to addresses that the rule allows, and knows the socket in use."""

    def __init__(self, rule: AddressRule, *, configured: bool) -> None:
        self._rule, self._configured = rule, configured
        self._lock, self._open = Lock(), list[socket.socket]()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        failed: Exception | None = None
        for address in self._rule.addresses(host, port, configured=self._configured):
            try:
                stream = super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.NetworkError, httpcore.TimeoutException) as e:
                failed = e
                continue
            with self._lock:
                self._open = [s for s in self._open if s.fileno() >= 0] + [stream.get_extra_info("socket")]
            return stream
        raise failed or httpcore.ConnectError(f"{host} has no address")

    def cut(self) -> None:
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._open.clear()


def _wait_s(headers: dict[bytes, bytes]) -> float:
    """Seconds of Retry-After (RFC 9110 section 10.2.3); a date there is not read."""
    value = {name.lower(): value for name, value in headers.items()}.get(b"retry-after", b"")
    return min(float(value), MAX_WAIT_S) if value.isdigit() and len(value) < 10 else 0.0
