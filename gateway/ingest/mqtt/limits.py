"""The bounds of the front door and what it counts. Configuration comes from the operator and is trusted."""

from dataclasses import dataclass
from typing import Final

MIN_PEER_PACKET: Final = 128  # every packet we must send an MQTT 5 peer (CONNACK, SUBACK) fits in this


@dataclass(frozen=True, slots=True)
class FrontDoorLimits:
    """Sizes in bytes, times in seconds. Each bound is per connection unless it says otherwise."""

    connections: int = 4096  # of the whole door, authenticated
    connections_per_source: int = 4  # one more takes the place of the source's oldest
    waiting: int = 256  # of the whole door: sockets before the end of CONNECT; one more takes the oldest's place
    connect_timeout_s: float = 10.0  # for the TLS handshake, and again from there to a whole CONNECT
    connect_packet: int = 8192  # a whole CONNECT, before anyone is authenticated
    packet: int = 262_144  # any later packet
    receive_maximum: int = 2048  # MQTT 5: unacknowledged QoS 1 messages; one more is 0x93
    unacked_messages: int = 2048  # MQTT 3.1.1, and QoS 0 of MQTT 5: from here on reading pauses
    unacked_bytes: int = 4_194_304  # payloads handed on and without verdict: from here on reading pauses
    topic_aliases: int = 16
    keep_alive_s: int = 300  # MQTT 5: told to clients that ask for none or more
    write_buffer: int = 262_144  # above it receipts are dropped and reading pauses
    write_stall_s: float = 30.0  # a peer that does not read what we wrote for so long is cut off
    close_timeout_s: float = 5.0  # from our last word to a forced close
    sessions: int = 8192  # of the whole door: kept subscriptions of absent clients
    session_expiry_s: int = 604_800


@dataclass(slots=True)
class FrontDoorCounters:
    """Counted since start, for the metrics page. Written on the event loop's thread only."""

    connections: int = 0  # accepted sockets
    sessions_opened: int = 0  # CONNECTs accepted
    refused_full: int = 0  # for a bound on connections
    refused_login: int = 0
    refused_connect: int = 0  # CONNECTs refused for any other reason
    tls_failures: int = 0
    connect_timeouts: int = 0
    keep_alive_timeouts: int = 0
    write_stalls: int = 0
    takeovers: int = 0
    wills: int = 0  # handed to liveness
    malformed: int = 0
    protocol_errors: int = 0
    not_offered: int = 0  # QoS 2, retain and the like
    internal_errors: int = 0  # our own faults; look into the log
    bytes_in: int = 0
    messages: int = 0  # handed to the sink
    status_messages: int = 0
    acknowledged: int = 0
    refused_topics: int = 0
    quota_refusals: int = 0
    congestion_pauses: int = 0  # of the whole door
    crowded_pauses: int = 0  # of one connection, for its source's share of the sink
    unacked_pauses: int = 0
    receipts_sent: int = 0  # and frames, and messages of handshakes
    receipts_dropped: int = 0
