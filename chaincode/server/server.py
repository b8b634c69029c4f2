"""The gRPC server that peers connect to ("chaincode as a service"), with its TLS, bounds and way to stop.

Without TLS whoever reaches the port can play a peer. That endorses nothing, since only real peers' signatures
count, but it costs work: listen on loopback or demand certificates.
"""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from chaincode import contract
from chaincode.server.answer import Contract
from chaincode.server.errors import ServeError
from chaincode.server.link import Limits, PeerLink
from chaincode.server.wire import ChaincodeID, Servicer, add_servicer

log = logging.getLogger(__name__)
MAX_STREAMS = 16  # a peer holds one
MAX_PACKAGE_ID = 256
_MESSAGE_BYTES = 100 * 1024 * 1024  # a peer's own bound: no message that it takes from a client may cut the stream
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    # Peers ping every 60 s, also where nothing happens; gRPC's default takes that for an attack and hangs up.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # We ping too, or the stream of a machine that died would keep its place for ever; the longer timeout counts.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.so_reuseport", 0),  # a second server on the same port is a mistake
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the server's certificate chain and key, and the CA whose clients alone may connect (None: any)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class ChaincodeServer(Servicer):  # type: ignore[misc]
    """Serves `invoke` under a chaincode package's id. `start`, then `stop`."""

    def __init__(
        self, package_id: str, *, invoke: Contract = contract.invoke, limits: Limits | None = None
    ) -> None:  # fmt: skip
        if not 1 <= len(package_id.encode()) <= MAX_PACKAGE_ID:
            raise ServeError(f"a package id is LABEL:HASH, of 1 to {MAX_PACKAGE_ID} bytes, got {package_id[:40]!r}")
        self._name = ChaincodeID(name=package_id).SerializeToString()
        self._invoke, self._limits = invoke, limits or Limits()
        self._links: dict[PeerLink, None] = {}
        self._server: Any = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MAX_STREAMS)
        add_servicer(self, self._server)

    async def start(self, address: str, tls: TlsFiles | None = None) -> int:
        """Listen on `address` (HOST:PORT, port 0: any free one). Returns the port; ServeError where it cannot."""
        try:
            if tls is None:
                port: int = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError as e:
            raise ServeError(f"cannot listen on {address}: {e}") from e
        await self._server.start()
        fields = {"port": port, "tls": tls is not None, "client_certificates": bool(tls and tls.client_ca)}
        log.info("listening", extra={"fields": fields})
        return port

    async def Connect(self, request_iterator: Any, context: Any) -> None:  # noqa: N802 - the service's name for it
        """protos.Chaincode/Connect: one peer's stream."""
        link = PeerLink(self._name, self._invoke, self._limits)
        self._links[link] = None
        log.info("peer connected", extra={"fields": {"peer": context.peer()}})
        try:
            await link.run(request_iterator, context.write)
        finally:
            del self._links[link]

    async def stop(self, seconds: float) -> None:
        """Take no streams or transactions any more, end those at work within `seconds`, then cut what is left."""
        log.info("stopping", extra={"fields": {"peers": len(self._links)}})
        stopped = asyncio.create_task(self._server.stop(seconds))
        drained = [asyncio.create_task(link.drain()) for link in self._links]
        await stopped
        for task in drained:
            task.cancel()
        await asyncio.gather(*drained, return_exceptions=True)
        log.info("stopped", extra={"fields": {}})


def _credentials(tls: TlsFiles) -> Any:
    """Read once, so renewed certificates need a restart: gRPC's credentials that are read anew for each connection
    crash the process when a client hangs up during the handshake (grpcio 1.85.3, SIGSEGV in every third start)."""
    try:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        client_ca = tls.client_ca.read_bytes() if tls.client_ca else None
    except OSError as e:
        raise ServeError(f"cannot read the TLS files: {e}") from e
    return grpc.ssl_server_credentials([pair], client_ca, client_ca is not None)
