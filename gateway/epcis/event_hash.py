"""The event hash id of CBV 2.0 (section 8.9): one name for an event, whoever computes it from whichever spelling.

The pre-hash string is what the event means: its fields in a fixed order, identifiers as canonical Digital Links, words
as URIs, times in UTC to the millisecond, lists sorted, extensions by their full names. Left out: recordTime, eventID,
errorDeclaration, comments, @context. Byte-exact in docs/formats/epcis.md.

What the standard's text leaves open follows the answers that its authors published.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from gateway.epcis.context import identifier
from gateway.epcis.hash_values import COMMENTS, PAIRS, Prefixes, extensions, other, pairs, text_of, word
from gateway.epcis.moments import hashed, time_us
from gateway.epcis.vocabulary import BIZ_STEP, COMPONENT, DISPOSITION, EXCEPTION, MEASUREMENT, Vocabulary

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
_ELSEWHERE = (
    frozenset(_ORDER) | set(PAIRS) | {"@context", "type", "recordTime", "eventID", "errorDeclaration"} | COMMENTS
)


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
    others = [pairs(name, body[name], prefixes) for name in PAIRS if name in body]
    others += [text for name in body if name not in _ELSEWHERE for text in other(name, body[name], prefixes)]
    return "".join(parts) + "".join(sorted(others))


def _time(name: str, value: Any, _: Prefixes) -> str:
    return f"{name}={hashed(time_us(value))}"


def _plain(name: str, value: Any, prefixes: Prefixes) -> str:
    return "".join(sorted(_values(name, value, prefixes)))


def _values(name: str, value: Any, prefixes: Prefixes) -> Iterator[str]:
    for item in value if type(value) is list else (value,):
        if (text := text_of(item, prefixes)) != "":
            yield f"{name}={text}"


def _step(name: str, value: Any, prefixes: Prefixes) -> str:
    return word(BIZ_STEP, name, value, prefixes)


def _disposition(name: str, value: Any, prefixes: Prefixes) -> str:
    return word(DISPOSITION, name, value, prefixes)


def _persistent(name: str, value: Any, prefixes: Prefixes) -> str:
    texts = [
        text
        for way in ("set", "unset")
        for text in sorted(word(DISPOSITION, way, w, prefixes) for w in value.get(way, ()))
    ]
    return name + "".join(texts)


def _epcs(name: str, value: Any, prefixes: Prefixes) -> str:
    return name + "".join(sorted([f"epc={identifier(epc, prefixes)}" for epc in value])) if value else ""


def _quantities(name: str, value: Any, prefixes: Prefixes) -> str:
    texts = sorted(
        "quantityElement" + "".join(_plain(n, q[n], prefixes) for n in ("epcClass", "quantity", "uom") if n in q)
        for q in value
    )
    return name + "".join(texts) if texts else ""


def _place(name: str, value: Any, prefixes: Prefixes) -> str:
    return f"{name}id={identifier(value['id'], prefixes)}" + extensions(value, ("id",), prefixes)


def _sensor_elements(name: str, value: Any, prefixes: Prefixes) -> str:
    texts = sorted("sensorElement" + _sensor_element(element, prefixes) for element in value)
    return name + "".join(texts) if texts else ""


def _sensor_element(element: Mapping[str, Any], prefixes: Prefixes) -> str:
    found = ""
    if element.get("sensorMetadata"):
        found = "sensorMetadata" + _sensor_fields(_METADATA, element["sensorMetadata"], prefixes)
    found += "".join(sorted("sensorReport" + _sensor_fields(_REPORT, r, prefixes) for r in element["sensorReport"]))
    return found + extensions(element, ("sensorMetadata", "sensorReport"), prefixes)


def _sensor_fields(order: tuple[str, ...], given: Mapping[str, Any], prefixes: Prefixes) -> str:
    parts = []
    for name in order:
        if name not in given:
            continue
        if name in _TIMES:
            parts.append(_time(name, given[name], prefixes))
        elif name in _WORDS:
            parts.append(word(_WORDS[name], name, given[name], prefixes))
        else:
            parts.append(_plain(name, given[name], prefixes))
    return "".join(parts) + extensions(given, order, prefixes)


_FIELDS = {
    "eventTime": _time, "eventTimeZoneOffset": _plain, "certificationInfo": _plain, "parentID": _plain,
    "epcList": _epcs, "inputEPCList": _epcs, "childEPCs": _epcs, "outputEPCList": _epcs,
    "quantityList": _quantities, "childQuantityList": _quantities, "inputQuantityList": _quantities,
    "outputQuantityList": _quantities, "action": _plain, "transformationID": _plain, "bizStep": _step,
    "disposition": _disposition, "persistentDisposition": _persistent, "readPoint": _place, "bizLocation": _place,
    "sensorElementList": _sensor_elements,
}  # fmt: skip
