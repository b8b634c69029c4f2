"""What the connections of the front door share: who is connected, sessions, congestion, counters.

Trust boundary: members are authenticated; their names come from the authenticator, not from the wire.
All methods run on the event loop's thread.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.ingest.inbound import Authenticator, Liveness, Sink
from gateway.ingest.mqtt.limits import FrontDoorCounters, FrontDoorLimits
from gateway.ingest.mqtt.session import SessionKey, SessionTable


class Member(Protocol):
    """An authenticated connection, as the registry sees it."""

    @property
    def key(self) -> SessionKey: ...

    @property
    def tls_group(self) -> str:
        """The key exchange group that TLS took; empty without TLS."""

    @property
    def buffered(self) -> bool:
        """Whether it holds bytes that it has read and not handled."""

    def hold_reading(self) -> None:
        """The sink is congested: stop reading."""

    def resume_reading(self) -> None:
        """The sink has room again."""

    def give_way(self) -> None:
        """Another connection takes over: say so, leave the registry, close."""

    def put_out(self) -> None:
        """Its source may not be here any longer: say so, leave the registry, close."""

    def send(self, topic: str, payload: bytes) -> bool:
        """Send to one of its source's topics, if subscribed and able to take it."""


class Registry:
    """The authenticated connections, and the doors' common dependencies."""

    def __init__(
        self,
        sink: Sink,
        authenticator: Authenticator,
        liveness: Liveness,
        limits: FrontDoorLimits,
        on_subscribed: Callable[[str], None],
    ) -> None:
        self.sink = sink
        self.authenticator = authenticator
        self.liveness = liveness
        self.limits = limits
        self.on_subscribed = on_subscribed
        self.counters = FrontDoorCounters()
        self.sessions = SessionTable(limits.sessions)
        self.congested = False
        self.waiting = 0  # sockets that are not authenticated yet
        self._members: dict[SessionKey, Member] = {}  # in the order in which they are next resumed
        self._by_source: dict[str, list[Member]] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._members)

    def has_room(self, key: SessionKey) -> bool:
        """Whether one more may join; a take-over needs no room."""
        return key in self._members or len(self._members) < self.limits.connections

    def make_way(self, key: SessionKey) -> None:
        """Close the connection that `key` takes over, or the source's oldest when it has too many."""
        old = self._members.get(key)
        same_source = self._by_source.get(key.source, [])
        if old is None and len(same_source) >= self.limits.connections_per_source:
            old = same_source[0]
        if old is not None:
            self.counters.takeovers += 1
            old.give_way()

    def join(self, member: Member) -> None:
        """Add a connection that was waiting. Liveness hears of the first one of a source."""
        key = member.key
        self.waiting -= 1
        self._members[key] = member
        of_source = self._by_source.setdefault(key.source, [])
        of_source.append(member)
        if len(of_source) == 1:
            self.liveness.connected(key.source, "front")

    def leave(self, member: Member, reason: str, will: bytes | None) -> None:
        """Remove a connection. Liveness hears of the last one of a source."""
        key = member.key
        del self._members[key]
        of_source = self._by_source[key.source]
        of_source.remove(member)
        if of_source:
            return
        del self._by_source[key.source]
        self.counters.wills += will is not None
        self.liveness.disconnected(key.source, reason, will)

    def put_out(self, source: str) -> None:
        """Close every connection of a source."""
        for member in list(self._by_source.get(source, ())):
            member.put_out()

    def sources(self) -> frozenset[str]:
        """Names of the sources that are connected now."""
        return frozenset(self._by_source)

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The TLS group of each connection by source."""
        return {source: tuple(m.tls_group for m in members) for source, members in self._by_source.items()}

    def send(self, source: str, topic: str, payload: bytes) -> bool:
        """Send to every connection of a source that subscribed to this topic; True if one took it."""
        sent = [member.send(topic, payload) for member in self._by_source.get(source, ())]
        if any(sent):
            self.counters.receipts_sent += 1
        else:
            self.counters.receipts_dropped += 1
        return any(sent)

    def congest(self) -> None:
        """The sink is full: nobody reads until it calls back."""
        if self.congested:
            return
        self.congested = True
        self.counters.congestion_pauses += 1
        for member in self._members.values():
            member.hold_reading()
        self.sink.on_relief(self._on_relief)

    def _on_relief(self) -> None:
        # Not at once: a sink that already has room may call while a connection is in the middle of parsing.
        asyncio.get_running_loop().call_soon(self._relieve)

    def _relieve(self) -> None:
        """Resume all, so that none starves: first those whose bytes still wait in their sockets, then, once
        the loop has looked at the sockets, those that stopped in the middle of what they had read."""
        self.congested = False
        for member in self._members.values():
            if not member.buffered:
                member.resume_reading()
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._relieve_buffered)  # two turns: sockets are read in the next one

    def _relieve_buffered(self) -> None:
        """In turn, until the sink is full again; who had its turn goes to the end."""
        for key in list(self._members):
            if self.congested:
                return
            member = self._members.get(key)
            if member is not None and member.buffered:
                self._members[key] = self._members.pop(key)
                member.resume_reading()
