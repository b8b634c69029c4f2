"""What of an event can be searched beside its things, times, step, disposition and places.

A fact has a name, and a text, a number, or both; a text of "" says that a field is there which has no value of its own.
Names of extension fields are full, namespace and local name, whatever prefix a document happens to use:

    transaction:po            URI, canonical; the CBV word or the URI of the type behind the colon
    source:T, destination:T   URI, canonical
    set, unset                persistent dispositions
    class:epc, class:input,   URI of a class, canonical, with its quantity; epc is also that of children
    class:output
    quantity, quantity:KGM    number; the second where there is a unit
    error:time                number, microseconds
    error:reason, error:corrective
    sensor                    there are sensor elements
    sensor:type, …            attributes of sensorMetadata and sensorReport; times as numbers of microseconds
    sensor:value:CEL, …       numbers, with their unit
    field:SCOPE:NAME          an extension field; SCOPE is "", ilmd, error, readPoint, bizLocation, sensorElement,
                              sensorMetadata, sensorReport, or one of them after "inner." where it is in another field
    time:SCOPE:NAME           the same, where its value is a time: number, microseconds
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.epcis.context import identifier
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import Event
from gateway.epcis.moments import time_us
from gateway.epcis.vocabulary import MEASUREMENT

Fact = tuple[str, str | None, float | None]
MAX_TEXT = 1024  # a longer value cannot be searched; that it is there can
URIS = frozenset(("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules", "microorganism",
                  "chemicalSubstance", "uriValue"))  # fmt: skip
TEXTS = frozenset(("stringValue", "hexBinaryValue", "component", "exception", "coordinateReferenceSystem"))
TIMES = frozenset(("time", "startTime", "endTime"))
NUMBERS = frozenset(("value", "minValue", "maxValue", "meanValue", "sDev", "percValue"))
_QUANTITIES = (
    ("quantityList", "epc"), ("childQuantityList", "epc"), ("inputQuantityList", "input"),
    ("outputQuantityList", "output"),
)  # fmt: skip
_MAX_DEPTH = 16


def facts_of(event: Event) -> Iterable[Fact]:
    """(name, text, number) of each fact, each once."""
    return dict.fromkeys(_all(event))


def _all(event: Event) -> Iterator[Fact]:
    for name, listed in (("transaction", event.transactions), ("source", event.sources),
                         ("destination", event.destinations)):  # fmt: skip
        for kind, uri in listed:
            yield f"{name}:{kind or ''}", uri, None
    for name, words in zip(("set", "unset"), event.persistent, strict=True):
        for word in words:
            yield name, word, None
    yield from _classes(event.body, event.prefixes)
    if event.error is not None:
        yield "error:time", None, event.error.time_us
        if event.error.reason is not None:
            yield "error:reason", event.error.reason, None
        for corrective in event.error.corrective:
            yield "error:corrective", corrective, None
    for element in event.sensors:
        yield from _sensor(element, event.prefixes)
    yield from _extensions(event)


def _classes(body: Mapping[str, Any], prefixes: Mapping[str, str]) -> Iterator[Fact]:
    for field, role in _QUANTITIES:
        for one in body.get(field) or ():
            quantity, uom = one.get("quantity"), one.get("uom")
            yield f"class:{role}", identifier(one["epcClass"], prefixes), quantity
            if quantity is not None:
                yield "quantity", None, quantity
                if uom is not None:
                    yield f"quantity:{uom}", None, quantity


def _sensor(element: Mapping[str, Any], prefixes: Mapping[str, str]) -> Iterator[Fact]:
    yield "sensor", "", None
    metadata = element.get("sensorMetadata") or {}
    yield from _attributes(metadata, prefixes)
    yield from _fields(metadata, "sensorMetadata", prefixes)
    yield from _fields(element, "sensorElement", prefixes)
    for report in element.get("sensorReport") or ():
        yield from _attributes(report, prefixes)
        yield from _fields(report, "sensorReport", prefixes)


def _attributes(said: Mapping[str, Any], prefixes: Mapping[str, str]) -> Iterator[Fact]:
    uom = said.get("uom")
    for name, value in said.items():
        if name == "type":
            yield "sensor:type", MEASUREMENT.read(value, prefixes), None
        elif name in URIS:
            yield f"sensor:{name}", identifier(value, prefixes), None
        elif name in TEXTS:
            yield f"sensor:{name}", str(value)[:MAX_TEXT], None
        elif name == "booleanValue":
            yield "sensor:booleanValue", _text(value), None
        elif name in TIMES:
            yield f"sensor:{name}", None, time_us(value)
        elif name == "percRank":
            yield "sensor:percRank", None, value
        elif name in NUMBERS:
            yield f"sensor:{name}", None, value
            if uom is not None:
                yield f"sensor:{name}:{uom}", None, value


def _extensions(event: Event) -> Iterator[Fact]:
    body, prefixes = event.body, event.prefixes
    yield from _fields(body, "", prefixes)
    for scope, said in (("ilmd", event.ilmd), ("error", body.get("errorDeclaration")),
                        ("readPoint", body.get("readPoint")), ("bizLocation", body.get("bizLocation"))):  # fmt: skip
        if isinstance(said, Mapping):
            yield from _fields(said, scope, prefixes)


def _fields(said: Mapping[str, Any], scope: str, prefixes: Mapping[str, str]) -> Iterator[Fact]:
    """The members with a prefix, and what is inside them."""
    for name, value in said.items():
        if ":" in name:
            yield from _valued(f"{scope}:{_full(name, prefixes)}", value)
            yield from _inner(value, f"inner.{scope}", prefixes, _MAX_DEPTH)


def _inner(value: Any, scope: str, prefixes: Mapping[str, str], depth: int) -> Iterator[Fact]:
    if isinstance(value, list) and depth:
        for item in value:
            yield from _inner(item, scope, prefixes, depth - 1)
    elif isinstance(value, dict) and depth:
        for name, inside in value.items():
            if ":" in name:
                yield from _valued(f"{scope}:{_full(name, prefixes)}", inside)
            yield from _inner(inside, scope, prefixes, depth - 1)


def _full(name: str, prefixes: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return prefixes[prefix] + local if prefix in prefixes else name


def _valued(name: str, value: Any) -> Iterator[Fact]:
    for one in value if isinstance(value, list) else (value,):
        text = _text(one)
        number = float(one) if type(one) in (int, float) else None
        yield f"field:{name}", text if len(text) <= MAX_TEXT else "", number
        if type(one) is str and (moment := _moment(one)) is not None:
            yield f"time:{name}", None, moment


def _text(value: Any) -> str:
    """As a parameter of a query writes it; "" for what has no value of its own."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if type(value) is str else str(value) if type(value) in (int, float) else ""


def _moment(text: str) -> int | None:
    if len(text) < 20 or text[4:5] != "-" or "T" not in text:
        return None
    try:
        return time_us(text)
    except EpcisError:
        return None
