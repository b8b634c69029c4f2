"""EPCIS documents: one becomes many bare events at capture, and many bare events become one at a query.

Trust boundary: `open_document` takes untrusted bytes and checks all of it, each event too. Steps:
 1. size and depth, before parsing; strict JSON, no key twice
 2. the document's own fields: an EPCISDocument, an EPCISQueryDocument, or a lone event
 3. each event, under the document's context and its own (gateway.epcis.rules)
 4. the size of each event alone
A bare event keeps every value's own digits and spelling: it is cut out of the document, never written anew; only white
space between values goes, and the document's context comes in.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from gateway.epcis.context import STANDARD, merged
from gateway.epcis.document_form import check_form
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import MAX_EVENT_BYTES, MAX_EVENT_DEPTH, Event, build, check_bare, read_event, strict_json
from gateway.epcis.moments import time_us
from gateway.epcis.rules import TYPES
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.strictjson import check_bounds

MAX_DOCUMENT_BYTES = 16 * 2**20
MAX_DOCUMENT_DEPTH = MAX_EVENT_DEPTH + 5  # a query document has five levels around an event
_SPACE = re.compile(rb'("(?:[^"\\]++|\\.)*+")|[ \t\r\n]++')
_MEMBERS: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
_ITEMS: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])


@dataclass(frozen=True, slots=True)
class Document:
    """type: EPCISDocument, EPCISQueryDocument, or that of the lone event. events: bare events in the document's order.
    context: its "@context". header: its other members, such as sender, receiver and epcisHeader."""

    type: str
    events: tuple[bytes, ...]
    created_us: int | None
    context: Any
    header: Mapping[str, Any]


class Sifted(NamedTuple):
    """A document with its good events alone, and what is wrong with the others, in the document's order.

    opened: the good ones, as `open_event` would read them. positions: where they stand in the document, from 0.
    """

    document: Document
    opened: tuple[Event, ...]
    positions: tuple[int, ...]
    faults: tuple[EpcisError, ...]


def open_document(data: bytes, limit: int = MAX_DOCUMENT_BYTES) -> Document:
    """Steps 1 to 4. `limit` is in bytes. Raises EpcisError with the place in the document."""
    sifted = sift_document(data, limit, most_faults=1)
    if sifted.faults:
        raise sifted.faults[0]
    return sifted.document


def sift_document(data: bytes, limit: int = MAX_DOCUMENT_BYTES, most_faults: int = 1_000) -> Sifted:
    """As `open_document`, but events that are wrong are set aside, each with one reason; it ends at `most_faults`.

    Raises:
        EpcisError: the document itself is wrong (steps 1 and 2).
    """
    value = strict_json(data, MAX_DOCUMENT_DEPTH, limit)
    if type(value) is not dict:
        raise EpcisError(f"expected an EPCIS document, a JSON object, got {type(value).__name__}")
    if type(value.get("type")) is str and value["type"] in TYPES:
        return _lone(data, value)
    path = check_form(value)
    listing: Any = value
    raw = _compact(data)
    for name in path:
        listing, raw = listing[name], bytes(_MEMBERS.decode(raw)[name])
    found, faults = _sift(listing, _ITEMS.decode(raw), value["@context"], path, most_faults)
    header = {name: member for name, member in value.items() if name not in ("@context", "epcisBody")}
    created = time_us(value["creationDate"]) if "creationDate" in value else None
    document = Document(value["type"], tuple(event for _, event, _ in found), created, value["@context"], header)
    return Sifted(document, tuple(opened for _, _, opened in found), tuple(i for i, _, _ in found), tuple(faults))


def query_document(
    events: Iterable[bytes],
    created: str,
    query_name: str = "SimpleEventQuery",
    subscription_id: str | None = None,
) -> bytes:
    """An EPCISQueryDocument of bare events. created: its creationDate, RFC 3339 with offset.

    Where all events have one context, it is that of the document; else each keeps its own.
    """
    about = {"queryName": query_name} | ({"subscriptionID": subscription_id} if subscription_id else {})
    return _wrapped(events, "EPCISQueryDocument", created, lambda body: {"queryResults": about | {"resultsBody": body}})


def epcis_document(events: Iterable[bytes], created: str) -> bytes:
    """An EPCISDocument of bare events, as `query_document` makes them."""
    return _wrapped(events, "EPCISDocument", created, lambda body: body)


def _wrapped(events: Iterable[bytes], kind: str, created: str, around: Callable[[dict[str, Any]], Any]) -> bytes:
    bare = [_MEMBERS.decode(event) for event in events]
    contexts = {bytes(event["@context"]) for event in bare}
    context: Any = [STANDARD]
    if len(contexts) == 1:
        context = Raw(contexts.pop())
        bare = [{name: value for name, value in event.items() if name != "@context"} for event in bare]
    body = around({"eventList": bare})
    head = {"@context": context, "type": kind, "schemaVersion": "2.0", "creationDate": created}
    return msgspec.json.encode(head | {"epcisBody": body})


def _lone(data: bytes, value: dict[str, Any]) -> Sifted:
    prefixes = check_bare(value)
    document = Document(value["type"], (_bounded(_compact(data)),), None, value["@context"], {})
    return Sifted(document, (build(value, prefixes),), (0,), ())


def _sift(
    listing: Sequence[Any], raw: Sequence[Raw], context: object, path: tuple[str, ...], most: int
) -> tuple[list[tuple[int, bytes, Event]], list[EpcisError]]:
    good: list[tuple[int, bytes, Event]] = []
    faults: list[EpcisError] = []
    for i, (body, item) in enumerate(zip(listing, raw, strict=True)):
        try:
            good.append((i, *_one(body, item, context)))
        except EpcisError as e:
            faults.append(e.inside(*path, i))
            if len(faults) == most:
                break
    return good, faults


def _one(body: Any, item: Raw, context: object) -> tuple[bytes, Event]:
    """Steps 3 and 4; the event with one context: the document's, then its own. It is read at once, while what was
    found out of its identifiers is remembered."""
    if type(body) is not dict:
        raise EpcisError(f"expected an event, a JSON object, got {type(body).__name__}")
    prefixes = check_bare(body, context)
    members: dict[str, Any] = dict(_MEMBERS.decode(item))
    own = body.get("@context")
    joined = members | ({"@context": merged(context, own)} if own else {})
    event = _bounded(msgspec.json.encode({"@context": context} | joined))
    return event, read_event(event) if own else build({"@context": context} | body, prefixes)


def _bounded(event: bytes) -> bytes:
    """What the log takes of one event is less than what a document may hold."""
    try:
        check_bounds(event, MAX_EVENT_DEPTH, MAX_EVENT_BYTES)
    except PayloadRejected as e:
        raise EpcisError(str(e)) from e
    return event


def _compact(data: bytes) -> bytes:
    """Without white space outside of texts."""
    return _SPACE.sub(rb"\1", data)
