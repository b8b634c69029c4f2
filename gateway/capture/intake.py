"""From the bytes of a request to events that may be stored: a document, a lone event, or a bare list of events.

Trust boundary: the bytes are anybody's who may capture. Size and number are bounded before anything is checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from gateway.capture.errors import TooLargeError
from gateway.capture.jobs import Refused
from gateway.capture.known import Candidate
from gateway.epcis.document import open_for_capture
from gateway.epcis.errors import EpcisError, TooManyEventsError
from gateway.epcis.event import Event, open_event

MAX_BARE_BYTES = 16 * 2**20  # of all events, each with the document's context
_ITEMS: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])


@dataclass(frozen=True, slots=True)
class Intake:
    """kind: the document's type, that of a lone event, or "list". numbers: which event of the document each candidate
    is. total: of all events, refused ones too."""

    kind: str
    candidates: tuple[Candidate, ...]
    events: tuple[Event, ...]
    numbers: tuple[int, ...]
    refused: tuple[Refused, ...]
    total: int


def taken_in(data: bytes, most_bytes: int, most_events: int, *, proceed: bool) -> Intake:
    """Open what was sent. With `proceed`, events that do not hold are told instead of raised.

    Raises:
        EpcisError: it is no document, or without `proceed` the first event that does not hold.
        TooLargeError: over a bound.
    """
    refused: list[tuple[int, EpcisError]] | None = [] if proceed else None
    try:
        if data.lstrip(b" \t\r\n").startswith(b"["):
            kind, (payloads, events) = "list", _listed(data, most_events, refused)
        else:
            document, events = open_for_capture(data, most_bytes, most_events, refused)
            kind, payloads = document.type, document.events
    except TooManyEventsError as e:
        raise TooLargeError(str(e)) from e
    if sum(map(len, payloads)) > MAX_BARE_BYTES:
        raise TooLargeError(f"the events with their contexts have over {MAX_BARE_BYTES:,} bytes; split the document")
    told = tuple(Refused(i, e.place, e.reason) for i, e in refused or ())
    total = len(events) + len(told)
    gone = {one.event for one in told}
    candidates = tuple(Candidate.of(payload, event) for payload, event in zip(payloads, events, strict=True))
    return Intake(kind, candidates, events, tuple(i for i in range(total) if i not in gone), told, total)


def _listed(data: bytes, most: int, refused: list[tuple[int, EpcisError]] | None
            ) -> tuple[Sequence[bytes], tuple[Event, ...]]:  # fmt: skip
    """A list of bare events, each with a context of its own."""
    try:
        items = [bytes(item) for item in _ITEMS.decode(data)]
    except (msgspec.DecodeError, RecursionError) as e:
        raise EpcisError(f"expected a list of events as JSON: {e}") from e
    if len(items) > most:
        raise TooManyEventsError(f"expected at most {most:,} events, got {len(items):,}; split the list")
    payloads, events = list[bytes](), list[Event]()
    for i, item in enumerate(items):
        try:
            events.append(open_event(item))
            payloads.append(item)
        except EpcisError as e:
            if refused is None:
                raise e.inside(i) from None
            refused.append((i, e.inside(i)))
    return payloads, tuple(events)
