"""What the REST interface and the pages may ask of the running gateway, beyond what they read from disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chain.store.erasures import StoredErasure
from gateway.access import SourceSettings
from gateway.enrolment import Offer
from gateway.keychange.migration import Migrated
from gateway.objects.parts import Objects
from gateway.supply.parts import Supply


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Answer to a device that enrolled: everything it needs to connect and to believe the gateway."""

    source: str
    origin: str
    mqtt_host: str
    mqtt_port: int
    mqtt_tls: bool
    password: str
    gateway_key_algorithm: str
    gateway_key: bytes
    log_vkeys: tuple[str, ...]
    session_key: bytes = b""  # the gateway's static X-Wing key for sessions; empty where it offers none
    session_serial: int = 0


@dataclass(frozen=True, slots=True)
class TlsUse:
    """What TLS did at one place since the start: `mqtt`, `https`, or `broker` (the side door's)."""

    place: str
    handshakes: Mapping[str, int]  # by the group that each really took
    failures: int


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """The gateway's state at one moment. Times are microseconds since the Unix epoch, 0 where there is none."""

    started_us: int
    origin: str
    log_size: int  # entries that are durable
    checkpoint_size: int  # of the newest signed checkpoint
    anchored_size: int  # of the newest checkpoint that the ledger holds
    anchored_us: int
    received: int  # events taken since the start, by verdict
    stored: int
    duplicates: int
    rejected: int
    queued_bytes: int  # in memory, waiting for the next commit
    connected: tuple[str, ...]  # sources connected now
    disk_bytes: int
    disk_limit_bytes: int
    problems: tuple[str, ...]  # why the gateway is not ready, in words; empty when all is well
    doubtful: tuple[str, ...] = ()  # sources with a key that was declared to be compromised
    tls: tuple[TlsUse, ...] = ()  # where TLS is on
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of each source's connections; "" without TLS
    sessions: int = 0  # open now
    handshakes: int = 0  # since the start: those that became sessions,
    handshakes_refused: int = 0  # and those that failed or were over the budget


class Live(Protocol):
    """The running gateway as the REST interface sees it."""

    objects: Objects
    supply: Supply

    def status(self) -> LiveStatus: ...

    def invite(self, source: str, settings: SourceSettings) -> str:
        """A one-time enrolment code."""

    async def add_plain(self, source: str, settings: SourceSettings) -> str:
        """Let a source in without a key ("gateway only"); returns its password."""

    def offer(self, code: str) -> Offer:
        """The source and origin that a code enrols, which the device's proof of possession must name."""

    async def enrol(self, code: str, algorithm: str, public_key: bytes, proof: bytes) -> Enrolment:
        """Redeem a code: the key goes to the contract's identities, the source gets its password."""

    async def migrate(self, algorithm: str, *, force: bool = False) -> Migrated:
        """Change all keys that the site signs with to this algorithm, while it goes on."""

    async def rotate(
        self, source: str, algorithm: str, public_key: bytes, from_index: int, old: bytes, new: bytes
    ) -> None:
        """Replace a source's key; both keys have signed the change (labels.KEY_ROTATION)."""

    async def revoke(self, source: str, reason: str, compromised_from: int | None = None) -> None:
        """End the validity of a source's key at the present log size, and close its connections. What it signed from
        the log index `compromised_from` on is in doubt."""

    async def erase(self, subject: str, by: str, reason: str) -> list[StoredErasure]:
        """Destroy a subject's payloads, salts and key; returns the entries of the log that say so."""
