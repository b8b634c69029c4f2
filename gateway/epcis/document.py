"""EPCIS documents: one becomes many bare events at capture, and many bare events become one at a query.

Trust boundary: `open_document` takes untrusted bytes and checks all of it, each event too. Steps:
 1. size and depth, before parsing; strict JSON, no key twice
 2. the document's own fields: an EPCISDocument, an EPCISQueryDocument, or a lone event
 3. each event, under the document's context and its own (gateway.epcis.rules)
A bare event keeps every value's own digits and spelling: it is cut out of the document, never written anew; only white
space between values goes, and the document's context comes in.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec import Raw

from gateway.epcis.context import STANDARD, merged, prefixes_of
from gateway.epcis.errors import EpcisError, TooManyEventsError
from gateway.epcis.event import MAX_EVENT_BYTES, MAX_EVENT_DEPTH, Event, build, check_bare, strict_json
from gateway.epcis.forms import Check, anything, listed, record, text, uri
from gateway.epcis.moments import time_us
from gateway.epcis.rules import TYPES
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.strictjson import check_bounds

MAX_DOCUMENT_BYTES = 16 * 2**20
MAX_DOCUMENT_DEPTH = MAX_EVENT_DEPTH + 5  # a query document has five levels around an event
_VERSION = re.compile(r"2(\.\d+)*", re.ASCII).fullmatch
_SPACE = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
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


def open_document(data: bytes, limit: int = MAX_DOCUMENT_BYTES) -> Document:
    """Steps 1 to 3. `limit` is in bytes. Raises EpcisError with the place in the document."""
    return _open(data, limit)[0]


def open_events(data: bytes, limit: int = MAX_DOCUMENT_BYTES) -> tuple[Event, ...]:
    """The events of a document, checked like it. Raises EpcisError."""
    return _open(data, limit)[1]


def open_for_capture(
    data: bytes, limit: int, most: int, refused: list[tuple[int, EpcisError]] | None = None
) -> tuple[Document, tuple[Event, ...]]:
    """The document and its events. With `refused` events that do not hold are left out, and are told there by their
    number in the document. Raises EpcisError, and TooManyEventsError where there are more than `most`."""
    return _open(data, limit, most, refused)


def query_document(
    events: Iterable[bytes],
    created: str,
    query_name: str = "SimpleEventQuery",
    subscription_id: str | None = None,
) -> bytes:
    """An EPCISQueryDocument of bare events. created: its creationDate, RFC 3339 with offset.

    Where all events have one context, it is that of the document; else each keeps its own.
    """
    return _wrapped(
        events, "EPCISQueryDocument", created, lambda listing: _results(listing, query_name, subscription_id)
    )


def epcis_document(events: Iterable[bytes], created: str) -> bytes:
    """An EPCISDocument of bare events, as `query_document` makes them."""
    return _wrapped(events, "EPCISDocument", created, lambda listing: listing)


def _results(listing: Mapping[str, Any], query_name: str, subscription_id: str | None) -> Mapping[str, Any]:
    about = {"queryName": query_name} | ({"subscriptionID": subscription_id} if subscription_id else {})
    return {"queryResults": about | {"resultsBody": listing}}


def _wrapped(events: Iterable[bytes], kind: str, created: str, body: Any) -> bytes:
    bare = [_MEMBERS.decode(event) for event in events]
    contexts = {bytes(event["@context"]) for event in bare}
    context: Any = [STANDARD]
    if len(contexts) == 1:
        context = Raw(contexts.pop())
        bare = [{name: value for name, value in event.items() if name != "@context"} for event in bare]
    return msgspec.json.encode(
        {"@context": context, "type": kind, "schemaVersion": "2.0", "creationDate": created,
         "epcisBody": body({"eventList": bare})}
    )  # fmt: skip


def _open(
    data: bytes, limit: int, most: int = sys.maxsize, refused: list[tuple[int, EpcisError]] | None = None
) -> tuple[Document, tuple[Event, ...]]:
    value = strict_json(data, MAX_DOCUMENT_DEPTH, limit)
    if type(value) is not dict:
        raise EpcisError(f"expected an EPCIS document, a JSON object, got {type(value).__name__}")
    kind = value.get("type")
    if kind in TYPES:
        event = build(value, check_bare(value))
        return Document(kind, (_bounded(_compact(data)),), None, value["@context"], {}), (event,)
    if type(kind) is not str or kind not in _DOCUMENTS:
        raise EpcisError(
            f"expected EPCISDocument, EPCISQueryDocument or a type of event, got {kind!r:.60}",
            "/type" if "type" in value else "",
        )
    return _split(data, value, kind, most, refused)


def _split(
    data: bytes, value: dict[str, Any], kind: str, most: int, refused: list[tuple[int, EpcisError]] | None
) -> tuple[Document, tuple[Event, ...]]:
    context = value.get("@context")
    if context is None:
        raise EpcisError('expected an "@context" that names the vocabulary; add GS1\'s, and those of your extensions')
    try:
        prefixes = prefixes_of(context)
    except EpcisError as e:
        raise e.inside("@context") from None
    _DOCUMENTS[kind](value, prefixes)
    created = time_us(value["creationDate"]) if "creationDate" in value else None
    listing, raw = value, _compact(data)
    for name in _PATHS[kind]:
        listing, raw = listing[name], bytes(_MEMBERS.decode(raw)[name])
    if len(listing) > most:
        raise TooManyEventsError(f"expected at most {most:,} events, got {len(listing):,}; split the document")
    events, bare = list[Event](), list[bytes]()
    for i, (body, item) in enumerate(zip(cast(Sequence[Any], listing), _ITEMS.decode(raw), strict=True)):
        try:
            event = _checked(body, context, _PATHS[kind], i)
            bare.append(_bounded(_bare(item, context, event.body.get("@context")), *_PATHS[kind], i))
            events.append(event)
        except EpcisError as e:
            if refused is None:
                raise
            refused.append((i, e))
    header = {name: member for name, member in value.items() if name not in ("@context", "epcisBody")}
    return Document(kind, tuple(bare), created, context, header), tuple(events)


def _checked(body: Any, context: object, path: tuple[str, ...], i: int) -> Event:
    try:
        if type(body) is not dict:
            raise EpcisError(f"expected an event, a JSON object, got {type(body).__name__}")
        return build(body, check_bare(body, context))
    except EpcisError as e:
        raise e.inside(*path, i) from None


def _bare(item: Raw, context: object, own: object) -> bytes:
    """The event with one context: the document's, then its own."""
    members: dict[str, Any] = dict(_MEMBERS.decode(item))
    return msgspec.json.encode({"@context": context} | members | ({"@context": merged(context, own)} if own else {}))


def _bounded(event: bytes, *path: str | int) -> bytes:
    """What the log takes of one event is less than what a document may hold."""
    try:
        check_bounds(event, MAX_EVENT_DEPTH, MAX_EVENT_BYTES)
    except PayloadRejected as e:
        raise EpcisError(str(e)).inside(*path) from e
    return event


def _compact(data: bytes) -> bytes:
    """Without white space outside of texts."""
    return _SPACE.sub(rb"\1", data)


def _time(value: Any, _: Mapping[str, str]) -> None:
    time_us(value)


def _version(value: Any, _: Mapping[str, str]) -> None:
    if type(value) is not str or not _VERSION(value):
        raise EpcisError(f"expected a version 2.x of EPCIS, got {value!r:.40}")


def _taken(value: Any, _: Mapping[str, str]) -> None:
    """Checked elsewhere: the context before, the events after."""


def _listing(value: Any, _: Mapping[str, str]) -> None:
    if type(value) is not list:
        raise EpcisError(f"expected a list of events, got {type(value).__name__}")


def _attributes(value: Any, prefixes: Mapping[str, str]) -> None:
    """Each with an id; its other members are free."""
    if type(value) is not dict or "id" not in value:
        raise EpcisError("expected an attribute, an object with an id")
    uri(value["id"], prefixes)
    inner = value.get("attribute", "")
    if type(inner) not in (int, float, str, dict):
        raise EpcisError(f"expected a number, a text or an object, got {inner!r:.40}", "/attribute")
    anything(value, prefixes)


def _open_record(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """An object in which the schema leaves further members free."""

    def of(value: Any, prefixes: Mapping[str, str]) -> None:
        if type(value) is not dict:
            raise EpcisError(f"expected an object, got {value!r:.60}")
        record(fields, required)({name: v for name, v in value.items() if name in fields}, prefixes)
        anything({name: v for name, v in value.items() if name not in fields}, prefixes)

    return of


_ELEMENT = _open_record({"id": uri, "attributes": listed(_attributes), "children": listed(uri)}, ("id",))
_VOCABULARY = _open_record({"type": uri, "vocabularyElementList": listed(_ELEMENT)}, ("type",))
_HEADER = record({"epcisMasterData": _open_record({"vocabularyList": listed(_VOCABULARY)})}, extensible=True)
_COMMON: dict[str, Check] = {
    "@context": _taken, "type": _taken, "id": uri, "schemaVersion": _version, "creationDate": _time,
}  # fmt: skip
_RESULTS = record(
    {
        "queryName": text, "subscriptionID": text,
        "resultsBody": record(
            {"eventList": _listing, "vocabularyList": listed(_VOCABULARY)}, ("eventList",), extensible=True
        ),
    },
    ("queryName", "resultsBody"), extensible=True,
)  # fmt: skip
_DOCUMENTS: Mapping[str, Check] = {
    "EPCISDocument": record(
        _COMMON | {
            "instanceIdentifier": text, "sender": text, "receiver": text, "epcisHeader": _HEADER,
            "epcisBody": _open_record({"eventList": _listing}, ("eventList",)),
        },
        ("schemaVersion", "creationDate", "epcisBody"), extensible=True,
    ),
    "EPCISQueryDocument": record(
        _COMMON | {"epcisBody": record({"queryResults": _RESULTS}, ("queryResults",), extensible=True)},
        ("epcisBody",), extensible=True,
    ),
}  # fmt: skip
_PATHS = {
    "EPCISDocument": ("epcisBody", "eventList"),
    "EPCISQueryDocument": ("epcisBody", "queryResults", "resultsBody", "eventList"),
}
