"""The event hash id of CBV 2.0 (section 8.9): one name for an event, whoever computes it from whichever spelling.

The pre-hash string is what the event means: its fields in a fixed order, identifiers as canonical Digital Links, words
as URIs, times in UTC to the millisecond, lists sorted, extensions by their full names. Left out: recordTime, eventID,
errorDeclaration, comments, @context. Byte-exact in docs/formats/epcis.md.

What the standard's text leaves open follows the answers that its authors published.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from gateway.epcis.context import expanded
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import Gs1Key, canonical
from gateway.epcis.moments import hashed, time_us
from gateway.epcis.vocabulary import (
    BIZ_STEP,
    COMPONENT,
    DISPOSITION,
    EXCEPTION,
    MEASUREMENT,
    PARTY,
    TRANSACTION,
    Vocabulary,
)

Prefixes = Mapping[str, str]
_COMMENTS = frozenset(("comment", "rdfs:comment"))
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch
_URNS = (
    ("urn:epcglobal:cbv:bizstep:", "https://ref.gs1.org/cbv/BizStep-"),
    ("urn:epcglobal:cbv:disp:", "https://ref.gs1.org/cbv/Disp-"), ("urn:epcglobal:cbv:btt:", "https://ref.gs1.org/cbv/BTT-"),
    ("urn:epcglobal:cbv:sdt:", "https://ref.gs1.org/cbv/SDT-"), ("urn:epcglobal:cbv:er:", "https://ref.gs1.org/cbv/ER-"),
)  # fmt: skip
_ORDER = (
    "eventTime", "eventTimeZoneOffset", "certificationInfo", "parentID", "epcList", "inputEPCList", "childEPCs",
    "quantityList", "childQuantityList", "inputQuantityList", "outputEPCList", "outputQuantityList", "action",
    "transformationID", "bizStep", "disposition", "persistentDisposition", "readPoint", "bizLocation",
    "sensorElementList",
)  # fmt: skip
_METADATA = (
    "time", "startTime", "endTime", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules",
)  # fmt: skip
_REPORT = (
    "type", "exception", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules", "time",
    "microorganism", "chemicalSubstance", "value", "component", "stringValue", "booleanValue", "hexBinaryValue",
    "uriValue", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue", "uom",
    "coordinateReferenceSystem",
)  # fmt: skip
_WORDS: Mapping[str, Vocabulary] = {"type": MEASUREMENT, "exception": EXCEPTION, "component": COMPONENT}
_TIMES = frozenset(("time", "startTime", "endTime"))
_AFTERWARDS = frozenset(_ORDER) | {"@context", "type", "recordTime", "eventID", "errorDeclaration"} | _COMMENTS


def hash_id(digest: bytes) -> str:
    """The URI of a hash: what eventID and correctiveEventIDs hold."""
    return f"ni:///sha-256;{digest.hex()}?ver=CBV2.0"


def event_hash(body: Mapping[str, Any], prefixes: Prefixes) -> bytes:
    """32 bytes. `body` has been checked (rules.check_event)."""
    return sha256(pre_hash(body, prefixes).encode()).digest()


def pre_hash(body: Mapping[str, Any], prefixes: Prefixes) -> str:
    """The string that is hashed."""
    parts = ["eventType=", body["type"]]
    for name in _ORDER:
        value = body.get(name)
        if value is not None:
            parts.append(_FIELDS[name](name, value, prefixes))
    others = [text for name in body if name not in _AFTERWARDS for text in _other(name, body[name], prefixes)]
    return "".join(parts) + "".join(sorted(others))


def _time(name: str, value: Any, _: Prefixes) -> str:
    return f"{name}={hashed(time_us(value))}"


def _plain(name: str, value: Any, prefixes: Prefixes) -> str:
    return "".join(sorted(_values(name, value, prefixes)))


def _values(name: str, value: Any, prefixes: Prefixes) -> Iterator[str]:
    for item in value if type(value) is list else (value,):
        if (text := _text(item, prefixes)) != "":
            yield f"{name}={text}"


def _word(vocabulary: Vocabulary, name: str, value: Any, prefixes: Prefixes) -> str:
    return f"{name}={vocabulary.uri(vocabulary.read(value, prefixes))}"


def _step(name: str, value: Any, prefixes: Prefixes) -> str:
    return _word(BIZ_STEP, name, value, prefixes)


def _disposition(name: str, value: Any, prefixes: Prefixes) -> str:
    return _word(DISPOSITION, name, value, prefixes)


def _persistent(name: str, value: Any, prefixes: Prefixes) -> str:
    texts = [
        text
        for way in ("set", "unset")
        for text in sorted(_word(DISPOSITION, way, w, prefixes) for w in value.get(way, ()))
    ]
    return name + "".join(texts)


def _epcs(name: str, value: Any, prefixes: Prefixes) -> str:
    return name + "".join(sorted([f"epc={_uri(epc, prefixes)}" for epc in value])) if value else ""


def _quantities(name: str, value: Any, prefixes: Prefixes) -> str:
    texts = sorted(
        "quantityElement" + "".join(_plain(n, q[n], prefixes) for n in ("epcClass", "quantity", "uom") if n in q)
        for q in value
    )
    return name + "".join(texts) if texts else ""


def _place(name: str, value: Any, prefixes: Prefixes) -> str:
    return f"{name}id={_uri(value['id'], prefixes)}" + _extensions(value, ("id",), prefixes)


def _sensor_elements(name: str, value: Any, prefixes: Prefixes) -> str:
    texts = sorted("sensorElement" + _sensor_element(element, prefixes) for element in value)
    return name + "".join(texts) if texts else ""


def _sensor_element(element: Mapping[str, Any], prefixes: Prefixes) -> str:
    found = ""
    if element.get("sensorMetadata"):
        found = "sensorMetadata" + _sensor_fields(_METADATA, element["sensorMetadata"], prefixes)
    found += "".join(sorted("sensorReport" + _sensor_fields(_REPORT, r, prefixes) for r in element["sensorReport"]))
    return found + _extensions(element, ("sensorMetadata", "sensorReport"), prefixes)


def _sensor_fields(order: tuple[str, ...], given: Mapping[str, Any], prefixes: Prefixes) -> str:
    parts = []
    for name in order:
        if name not in given:
            continue
        if name in _TIMES:
            parts.append(_time(name, given[name], prefixes))
        elif name in _WORDS:
            parts.append(_word(_WORDS[name], name, given[name], prefixes))
        else:
            parts.append(_plain(name, given[name], prefixes))
    return "".join(parts) + _extensions(given, order, prefixes)


def _extensions(given: Mapping[str, Any], known: tuple[str, ...], prefixes: Prefixes) -> str:
    if len(given) == 1:
        return ""
    return "".join(
        sorted(t for n in given if n not in known and n not in _COMMENTS for t in _other(n, given[n], prefixes))
    )


def _other(name: str, value: Any, prefixes: Prefixes) -> Iterator[str]:
    """What is not in the fixed order: lists of typed values, ilmd, and extensions at any depth."""
    if name in _PAIRS:
        if value:
            inner, vocabulary = _PAIRS[name]
            yield name + "".join(sorted(_pair(inner, vocabulary, item, prefixes) for item in value))
        return
    key = expanded(name, prefixes)
    for item in value if type(value) is list else (value,):
        if item is not None:
            yield key + _inside(item, prefixes)


def _inside(value: Any, prefixes: Prefixes) -> str:
    if type(value) is dict:
        own = _text(value.get("#text"), prefixes) if "#text" in value else ""
        inner = sorted(t for n in value if n not in _COMMENTS and n != "#text" for t in _other(n, value[n], prefixes))
        return (f"={own}" if own else "") + "".join(inner)
    if type(value) is list:
        return "".join(sorted(_inside(item, prefixes) for item in value))
    text = _text(value, prefixes)
    return f"={text}" if text else ""


_PAIRS: Mapping[str, tuple[str, Vocabulary]] = {
    "bizTransactionList": ("bizTransaction", TRANSACTION), "sourceList": ("source", PARTY),
    "destinationList": ("destination", PARTY),
}  # fmt: skip


def _pair(inner: str, vocabulary: Vocabulary, item: Mapping[str, Any], prefixes: Prefixes) -> str:
    kind = _word(vocabulary, "type", item["type"], prefixes) if "type" in item else ""
    return f"{kind}{inner}={_uri(item[inner], prefixes)}"


def _uri(value: str, prefixes: Prefixes) -> str:
    prefix, colon, rest = value.partition(":")
    return canonical(prefixes[prefix] + rest if colon and prefix in prefixes else value)


def _text(value: Any, prefixes: Prefixes) -> str:
    """One value in its canonical form."""
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is not str:
        return "" if value is None else _number(str(value))
    text = value.strip()
    prefix, colon, rest = text.partition(":")
    if not colon:
        return _number(text)
    text = prefixes[prefix] + rest if prefix in prefixes else text
    if text.startswith("urn:epcglobal:cbv:"):
        for urn, web in _URNS:
            text = text.replace(urn, web)
    return _identifier(text)


def _identifier(text: str) -> str:
    try:
        key = Gs1Key.parse(text)
    except EpcisError:  # inside an extension, where it need not be one
        return text
    return text if key is None else key.uri


def _number(text: str) -> str:
    """Without leading or trailing zeros, sign +, or exponent where it can be done without."""
    if not _NUMBER(text):
        return text
    value = float(text)
    if value in (float("inf"), float("-inf")):
        return text
    return str(int(value)) if value == int(value) else str(value)


_FIELDS = {
    "eventTime": _time, "eventTimeZoneOffset": _plain, "certificationInfo": _plain, "parentID": _plain,
    "epcList": _epcs, "inputEPCList": _epcs, "childEPCs": _epcs, "outputEPCList": _epcs,
    "quantityList": _quantities, "childQuantityList": _quantities, "inputQuantityList": _quantities,
    "outputQuantityList": _quantities, "action": _plain, "transformationID": _plain, "bizStep": _step,
    "disposition": _disposition, "persistentDisposition": _persistent, "readPoint": _place, "bizLocation": _place,
    "sensorElementList": _sensor_elements,
}  # fmt: skip
