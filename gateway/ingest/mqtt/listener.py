"""The front door: an MQTT 5 and 3.1.1 endpoint whose PUBACK means "on disk, in the log".

It is an endpoint, not a broker: a source publishes its own events and hears its own receipts, and nothing is
passed from one client to another. Trust boundary: the listening socket; see `Connection` for what comes in.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.ingest.inbound import Authenticator, Liveness, Sink
from gateway.ingest.mqtt.connection import Connection
from gateway.ingest.mqtt.limits import FrontDoorCounters, FrontDoorLimits
from gateway.ingest.mqtt.registry import Registry
from gateway.ingest.mqtt.topics import receipts_topic

if TYPE_CHECKING:
    from crypto.tls.server import TlsServer

_ACCEPT_PAUSE_S = 0.5  # after a failed accept: wait instead of spinning


class FrontDoor:
    """Listens on `host`:`port` (0 = any free port). `on_subscribed(source)` is called after a source's
    subscription to its receipts is granted or resumed, so that the gateway can send its present state."""

    def __init__(
        self,
        host: str,
        port: int,
        sink: Sink,
        authenticator: Authenticator,
        liveness: Liveness,
        *,
        limits: FrontDoorLimits | None = None,
        tls: "TlsServer | None" = None,
        on_subscribed: Callable[[str], None] = lambda source: None,
        on_not_accepted: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        self._address = (host, port)
        self._limits = limits or FrontDoorLimits()
        self._registry = Registry(sink, authenticator, liveness, self._limits, on_subscribed)
        self._tls = tls
        self._on_not_accepted = on_not_accepted
        self._socket: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._greeting: set[asyncio.Task[None]] = set()
        self._arrivals: dict[Connection, asyncio.Task[None]] = {}  # oldest first; some are admitted by now
        self._open: set[Connection] = set()
        self._all_closed = asyncio.Event()

    async def start(self) -> None:
        """Bind and listen. Raises OSError when the address cannot be bound."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._socket = socket.create_server(self._address, family=family, backlog=self._limits.waiting)
        self._socket.setblocking(False)
        self._listen()

    async def stop(self) -> None:
        """Close the listening socket and all connections; wait for them within `close_timeout_s`."""
        self._stop_listening()
        greeting = list(self._greeting)
        for task in greeting:
            task.cancel()
        await asyncio.gather(*greeting, return_exceptions=True)
        for connection in list(self._open):  # all are made now: the greeting tasks have ended
            connection.shut_down()
        try:
            async with asyncio.timeout(self._limits.close_timeout_s + 1):
                while self._open:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        except TimeoutError:
            for connection in list(self._open):
                connection.abort()
            await asyncio.sleep(0)  # the loop's next turn closes their sockets

    def _stop_listening(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    @property
    def port(self) -> int:
        """The bound port; only after `start`."""
        assert self._socket is not None
        bound: int = self._socket.getsockname()[1]
        return bound

    @property
    def counters(self) -> FrontDoorCounters:
        """Live counters; read only."""
        return self._registry.counters

    def connected_sources(self) -> frozenset[str]:
        """Names of the sources that are connected now."""
        return self._registry.sources()

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The TLS group of each connection by source; empty text for one without TLS."""
        return self._registry.groups()

    def connections(self) -> int:
        """How many authenticated connections there are now."""
        return len(self._registry)

    @property
    def problem(self) -> str:
        """Which bound keeps new connections out now; empty while there is room."""
        if len(self._registry) >= self._limits.connections:
            return f"all {self._limits.connections} connections are taken; raise front_door.max_connections"
        if self._registry.waiting >= self._limits.waiting:
            return f"{self._limits.waiting} connections wait for their login; the oldest give way to new ones"
        return ""

    def put_out(self, source: str) -> None:
        """Close the connections of a source that was revoked; it cannot log in again."""
        self._registry.put_out(source)

    async def publish_receipt(self, source: str, payload: bytes) -> bool:
        """Send a receipt with QoS 0. False: dropped, because the source is not connected and subscribed, or
        does not read fast enough. Nothing is queued; the gateway states its position at each subscription."""
        return self.publish(source, receipts_topic(source), payload)

    def publish(self, source: str, topic: str, payload: bytes) -> bool:
        """Send to a topic of a source that is the gateway's to speak on, with QoS 0. False: dropped, as above."""
        return self._registry.send(source, topic, payload)

    def _accept(self) -> None:
        """Take what waits at the listening socket, at most `waiting` at a time so that others have their turn."""
        assert self._socket is not None
        try:
            for _ in range(self._limits.waiting):
                self._admit_socket(self._socket.accept()[0])
        except BlockingIOError:
            pass
        except OSError as e:  # out of file descriptors, or the peer has gone already
            self._on_not_accepted(e)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            self._pause = loop.call_later(_ACCEPT_PAUSE_S, self._listen)

    def _listen(self) -> None:
        assert self._socket is not None
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _admit_socket(self, client: socket.socket) -> None:
        client.setblocking(False)
        self._registry.counters.connections += 1
        if self._registry.waiting >= self._limits.waiting:
            self._registry.counters.refused_full += 1
            self._drop_longest_waiting()
        self._registry.waiting += 1
        connection = Connection(self._registry, self._lost)
        self._open.add(connection)
        task = asyncio.create_task(self._greet(client, connection))
        self._greeting.add(task)
        self._arrivals[connection] = task
        task.add_done_callback(lambda done: self._greeted(done, client, connection))

    def _drop_longest_waiting(self) -> None:
        """Who has waited longest without logging in gives way: idle sockets must not lock devices out, and a device
        says its CONNECT at once."""
        while self._arrivals:
            connection, task = next(iter(self._arrivals.items()))
            del self._arrivals[connection]
            if not connection.admitted:
                if connection.made:
                    connection.abort()
                else:
                    task.cancel()
                return

    async def _greet(self, client: socket.socket, connection: Connection) -> None:
        """TLS handshake, if any; from then on the connection lives by itself."""
        try:
            if self._tls is not None:
                await self._tls.accept(client, connection, self._limits.connect_timeout_s)
            else:
                await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, client)
        except OSError:  # TlsError is one
            self._registry.counters.tls_failures += 1

    def _greeted(self, task: asyncio.Task[None], client: socket.socket, connection: Connection) -> None:
        self._greeting.discard(task)
        if connection.made and not task.cancelled():
            return
        if connection.made:
            connection.abort()  # uvloop may have made it and then forgets it with the cancelled task
        else:
            client.close()
        self._lost(connection)

    def _lost(self, connection: Connection) -> None:
        if connection not in self._open:
            return  # told before
        if not connection.admitted:
            self._registry.waiting -= 1
        self._open.discard(connection)
        self._arrivals.pop(connection, None)
        if not self._open:
            self._all_closed.set()
