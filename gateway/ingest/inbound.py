"""What every door hands to the pipeline, and what it gets back.

Trust boundary: `source` was authenticated by the door that names it (password, certificate) or by its session, or,
behind a foreign broker, is only what the topic says; `authenticated` tells which. `payloads` are untrusted bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Protocol

from msgspec import Struct

UNAUTHENTICATED: Final = ""  # the lane of messages whose source is only what a topic says


class Channel(StrEnum):
    """Which of a source's own topics a message came by: the end of `st/1/<source>/<channel>`."""

    EVENTS = "events"  # the wire format of docs/formats/device.md: numbered events and seals
    PLAIN = "plain"  # a bare JSON payload, kind named by the topic; the record says "gateway only"
    HANDSHAKE = "handshake/up"  # of a session, docs/formats/session.md; never reaches the pipeline,
    FRAMES = "frames/up"  # nor does a frame: what it holds does, as EVENTS


class Verdict(IntEnum):
    """What became of a message, as the MQTT 5 reason code of its PUBACK (MQTT 5.0 section 3.4.2.1)."""

    STORED = 0x00  # on disk and in the log, or already there
    NOT_AUTHORIZED = 0x87  # dead letter: the source may not do this
    QUOTA_EXCEEDED = 0x97  # not stored: the disk bound is reached; keep it and retry later
    REJECTED = 0x99  # dead letter: the payload is not acceptable


class Inbound(Struct, frozen=True):
    """Messages of one source on their way in, as they came with one read. `done` is called exactly once, on the
    event loop's thread, with a verdict for each message, when all are durable; for QUOTA_EXCEEDED the door must not
    acknowledge as stored."""

    source: str
    authenticated: bool
    channel: Channel
    kind: str  # for PLAIN the topic's kind; "" for EVENTS
    payloads: list[bytes]
    size: int  # bytes of all payloads together
    received_us: int  # microseconds since the Unix epoch, gateway clock
    door: str  # "front" or "side"
    done: Callable[[list[Verdict]], None]
    session: bool = False  # it came in a frame of a session of this source

    @property
    def lane(self) -> str:
        """With whom it shares its place in the queue: its source where that is certain, else all that is not."""
        return self.source if self.authenticated else UNAUTHENTICATED


class Sink(Protocol):
    """Where doors put messages: the pipeline."""

    def submit(self, inbound: Inbound) -> None:
        """Take messages into the bounded queue. Never blocks; doors stop reading while `congested()`."""

    def congested(self) -> bool:
        """True while the queue is over its bound: stop reading from sockets."""

    def crowded(self, lane: str) -> bool:
        """True while this lane has its share of the queue: stop reading from its sockets. True for every lane
        while the queue is congested."""

    def on_relief(self, wake: Callable[[], None]) -> None:
        """Call `wake` once, on the event loop's thread, when the queue has room again."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a connecting client presented. Exactly one of password and certificate_name is set."""

    client_id: str
    username: str
    password: bytes | None
    certificate_name: str | None  # subject common name of a verified client certificate


class Authenticator(Protocol):
    """Decides which source a connection is. Returns the source name, or None to refuse."""

    def authenticate(self, login: Login) -> str | None: ...


class Liveness(Protocol):
    """Told when sources come and go, so that a silent death shows (wills as liveness)."""

    def connected(self, source: str, door: str) -> None: ...

    def disconnected(self, source: str, reason: str, will: bytes | None) -> None: ...
