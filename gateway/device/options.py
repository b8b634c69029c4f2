"""How a device works: its bounds and its times. Set by the operator and trusted."""

from dataclasses import dataclass, fields

from chain.event import MAX_EVENTS_PER_MESSAGE, MAX_MESSAGE_BYTES
from chain.seal import MAX_SEALED_EVENTS
from gateway.device.errors import DeviceError

MIN_MESSAGE_BYTES = 64 * 1024  # the largest event (60,256 bytes) with its framing


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """Times in seconds, sizes in bytes. `seal_events=1` signs every event and sends it with its seal."""

    seal_events: int = 64
    seal_seconds: float = 5.0
    message_events: int = 64
    message_bytes: int = 128 * 1024
    window: int = 16  # messages on their way that the gateway has not acknowledged
    ack_timeout: float = 10.0
    max_events: int = 100_000
    max_bytes: int = 256 * 1024 * 1024
    max_rejected: int = 1_000  # rows kept of what the gateway refused
    backoff_first: float = 0.5
    backoff_max: float = 60.0
    connect_timeout: float = 5.0
    keepalive: int = 30
    session: bool | None = None  # send in a session; None: where the gateway's key for that is known
    session_seconds: float = 86_400.0  # fresh keys at least so often; the gateway may ask for less

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name != "session" and getattr(self, item.name) <= 0:
                raise DeviceError(f"device option {item.name} must be above zero, got {getattr(self, item.name)}")
        bounds = (
            ("seal_events", 1, MAX_SEALED_EVENTS),
            ("message_events", 1, MAX_EVENTS_PER_MESSAGE),
            ("message_bytes", MIN_MESSAGE_BYTES, MAX_MESSAGE_BYTES - 1024),  # the rest is the packet's own header
            ("keepalive", 1, 65_535),
        )
        for name, low, high in bounds:
            if not low <= getattr(self, name) <= high:
                raise DeviceError(f"device option {name} must be from {low} to {high}, got {getattr(self, name)}")
