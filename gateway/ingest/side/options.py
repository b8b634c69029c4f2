"""Which broker the side door is a client of, its bounds, and what it counts. The operator's words are trusted."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crypto.tls.client import TlsClient


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Which broker, as whom, within which bounds. Times in seconds, sizes in bytes.

    `client_id` names the session that the broker keeps for `session_expiry_s`: keep it the same over restarts.
    With `group`, several gateways share the messages (`$share/<group>/...`).
    """

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: "TlsClient | None" = None
    group: str | None = None
    keep_alive_s: int = 30
    session_expiry_s: int = 604_800
    max_unacked: int = 1024  # MQTT 5 Receive Maximum, and what a connection may have in the pipeline
    max_packet: int = 262_144
    max_receipts: int = 4096  # queued for the broker; beyond it receipts are dropped
    connect_timeout_s: float = 5.0  # for TCP and TLS
    reconnect_min_s: int = 1
    reconnect_max_s: int = 60
    quota_retry_s: float = 30.0  # how long to stay away from the broker when the gateway's disk bound is reached


@dataclass(slots=True)
class SideDoorCounters:
    """Counted since start, for the metrics page. Written on the event loop's thread only."""

    connections: int = 0
    disconnections: int = 0
    refusals: int = 0  # CONNECT or SUBSCRIBE refused by the broker
    messages: int = 0  # handed to the sink
    acknowledged: int = 0
    foreign_topics: int = 0  # acknowledged and dropped: the topic names no source, so no record could
    quota_pauses: int = 0
    congestion_pauses: int = 0
    receipts_sent: int = 0
    receipts_dropped: int = 0
