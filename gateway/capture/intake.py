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
from gateway.epcis.document import sift_document
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import MAX_EVENT_DEPTH, Event, open_event

MAX_BARE_BYTES = 16 * 2**20  # of all events, each with the document's context
_ITEMS: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_MEMBERS: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
_WAYS = (("epcisBody", "eventList"), ("epcisBody", "queryResults", "resultsBody", "eventList"))


@dataclass(frozen=True, slots=True)
class Intake:
    """kind: the document's type, that of a lone event, or "list". numbers: which event of the document each candidate
    is. total: of all events, refused ones too."""

    kind: str
    candidates: tuple[Candidate, ...]
    numbers: tuple[int, ...]
    refused: tuple[Refused, ...]
    total: int


def taken_in(data: bytes, most_bytes: int, most_events: int, *, proceed: bool) -> Intake:
    """Open what was sent. With `proceed`, events that do not hold are told instead of raised.

    Raises:
        EpcisError: it is no document, or without `proceed` the first event that does not hold.
        TooLargeError: over a bound.
    """
    is_list = data.lstrip(b" \t\r\n").startswith(b"[")
    count = _count(data, is_list)
    if count > most_events:
        raise TooLargeError(f"expected at most {most_events:,} events, got {count:,}; split the document")
    faults = max(count, 1) if proceed else 1
    kind, good, wrong = _listed(data, faults) if is_list else _sifted(data, most_bytes, faults)
    if wrong and not proceed:
        raise wrong[0][1]
    if sum(len(payload) for _, payload, _ in good) > MAX_BARE_BYTES:
        raise TooLargeError(f"the events with their contexts have over {MAX_BARE_BYTES:,} bytes; split the document")
    candidates = tuple(Candidate.of(payload, event) for _, payload, event in good)
    told = tuple(Refused(i, e.place, e.reason) for i, e in wrong)
    return Intake(kind, candidates, tuple(i for i, _, _ in good), told, len(good) + len(told))


Numbered = list[tuple[int, bytes, Event]]
Wrong = list[tuple[int, EpcisError]]


def _sifted(data: bytes, most_bytes: int, most_faults: int) -> tuple[str, Numbered, Wrong]:
    found = sift_document(data, most_bytes, most_faults)
    good = set(found.positions)
    others = (i for i in range(len(good) + len(found.faults)) if i not in good)
    document = found.document
    numbered = list(zip(found.positions, document.events, found.opened, strict=True))
    return document.type, numbered, list(zip(others, found.faults, strict=True))


def _listed(data: bytes, most_faults: int) -> tuple[str, Numbered, Wrong]:
    """Bare events, each with a context of its own."""
    good, wrong = Numbered(), Wrong()
    for i, item in enumerate(_items(data)):
        try:
            good.append((i, item, open_event(item)))
        except EpcisError as e:
            wrong.append((i, e.inside(i)))
            if len(wrong) == most_faults:
                break
    return "list", good, wrong


def _items(data: bytes) -> Sequence[bytes]:
    try:
        return [bytes(item) for item in _ITEMS.decode(data)]
    except RecursionError as e:
        told = f"JSON is nested deeper than the {MAX_EVENT_DEPTH} levels that an event may have"
        raise EpcisError(f"{told}, or its brackets do not close; send flatter events") from e
    except msgspec.DecodeError as e:
        raise EpcisError(f"expected a list of events as JSON: {e}") from e


def _count(data: bytes, is_list: bool) -> int:
    """How many events there are, by the brackets alone; 0 where the form is another one, which is told later."""
    if is_list:
        return len(_items(data))
    for way in _WAYS:
        raw = data
        try:
            for name in way:
                raw = bytes(_MEMBERS.decode(raw)[name])
            return len(_ITEMS.decode(raw))
        except (msgspec.DecodeError, RecursionError, KeyError, UnicodeDecodeError):
            continue
    return 0
