"""An event before it has its number: what a caller of the device hands over, checked."""

from dataclasses import dataclass

from chain.event import MAX_PAYLOAD_BYTES
from chain.record import LOGS_OWN
from crypto.errors import FormatError, LimitError
from crypto.flat import MAX_NUMBER


@dataclass(frozen=True, slots=True)
class Draft:
    """Exact payload bytes of a kind and schema version. `sensed_us`: microseconds since the Unix epoch."""

    kind: int
    payload: bytes
    sensed_us: int
    schema: int = 1

    def __post_init__(self) -> None:
        for name in ("kind", "sensed_us", "schema"):
            number = getattr(self, name)
            if type(number) is not int or not 0 <= number <= MAX_NUMBER:
                raise FormatError(f"an event's {name} must be an integer from 0 to 2^63-1, got {number!r:.80}")
        if self.kind in LOGS_OWN:
            raise FormatError(f"kind {self.kind} is the log's own; take the kind of your payload")
        if type(self.payload) is not bytes:
            raise FormatError(f"an event's payload must be bytes, got {type(self.payload).__name__}")
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            raise LimitError(f"a payload has at most {MAX_PAYLOAD_BYTES} bytes, got {len(self.payload)}")
