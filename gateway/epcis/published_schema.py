"""The JSON Schema of a bare event, for those who send them: made from the vocabularies that the check itself uses.

It says less than the check does: docs/formats/epcis.md has the rest.
"""

from typing import Any

from gateway.epcis.rules import ACTIONS
from gateway.epcis.vocabulary import (
    BIZ_STEP,
    COMPONENT,
    DISPOSITION,
    ERROR_REASON,
    EXCEPTION,
    PARTY,
    TRANSACTION,
    Vocabulary,
)

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_URI: dict[str, Any] = {"type": "string", "format": "uri", "maxLength": 2048}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_EXTENSION: dict[str, Any] = {"^[A-Za-z][A-Za-z0-9+.-]*:.": True}


def event_schema(name: str, version: int) -> dict[str, Any]:
    """Draft 2020-12."""
    return {
        "$schema": _DRAFT,
        "$id": f"urn:sealtrail:schema:{name}:{version}",
        "title": "One EPCIS 2.0 event with its own @context",
        "type": "object",
        "required": ["@context", "type", "eventTime", "eventTimeZoneOffset"],
        "oneOf": [_event(kind, *parts) for kind, parts in _kinds().items()],
    }


def _kinds() -> dict[str, tuple[dict[str, Any], list[str]]]:
    action = {"action": {"enum": list(ACTIONS)}}
    children = {"parentID": _URI, "childEPCs": _uris(), "childQuantityList": _quantities()}
    listed = {"epcList": _uris(), "quantityList": _quantities()}
    joined = {
        "inputEPCList": _uris(unique=True), "inputQuantityList": _quantities(), "outputEPCList": _uris(unique=True),
        "outputQuantityList": _quantities(), "transformationID": _URI, "ilmd": _object({}),
    }  # fmt: skip
    once = {"epcList": _uris(unique=True), "quantityList": _quantities(), "ilmd": _object({})}
    return {
        "ObjectEvent": (action | once, ["action"]),
        "AggregationEvent": (action | children, ["action"]),
        "TransactionEvent": (action | listed | {"parentID": _URI}, ["action", "bizTransactionList"]),
        "TransformationEvent": (joined, []),
        "AssociationEvent": (action | children, ["action", "parentID"]),
    }


def _event(kind: str, own: dict[str, Any], required: list[str]) -> dict[str, Any]:
    place = _object({"id": _URI}, "id")
    properties: dict[str, Any] = {
        "@context": {"type": ["string", "object", "array"]},
        "type": {"const": kind},
        "eventTime": _TIME,
        "recordTime": _TIME,
        "eventTimeZoneOffset": {"type": "string", "pattern": "^[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)$"},
        "eventID": _URI,
        "certificationInfo": {"anyOf": [_URI, _uris()]},
        "errorDeclaration": _object(
            {"declarationTime": _TIME, "reason": _word(ERROR_REASON), "correctiveEventIDs": _uris()}, "declarationTime"
        ),
        "bizStep": _word(BIZ_STEP),
        "disposition": _word(DISPOSITION),
        "persistentDisposition": _object({"set": _words(DISPOSITION), "unset": _words(DISPOSITION)}, open_=False),
        "readPoint": place,
        "bizLocation": place,
        "bizTransactionList": _pairs("bizTransaction", TRANSACTION, "bizTransaction"),
        "sourceList": _pairs("source", PARTY, "type", "source"),
        "destinationList": _pairs("destination", PARTY, "type", "destination"),
        "sensorElementList": {"type": "array", "items": _sensor()},
    }
    return _object(properties | own, *required)


def _sensor() -> dict[str, Any]:
    origin = dict.fromkeys(("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules"), _URI)
    numbers = ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
    report = origin | {name: {"type": "number"} for name in numbers} | {
        "type": {"type": "string"}, "exception": _word(EXCEPTION), "component": _word(COMPONENT), "time": _TIME,
        "microorganism": _URI, "chemicalSubstance": _URI, "coordinateReferenceSystem": _URI, "uriValue": _URI,
        "stringValue": {"type": "string"}, "booleanValue": {"type": "boolean"},
        "hexBinaryValue": {"type": "string", "pattern": "^[A-Fa-f0-9]+$"}, "uom": {"type": "string"},
    }  # fmt: skip
    metadata = origin | {"time": _TIME, "startTime": _TIME, "endTime": _TIME}
    reports = {"type": "array", "minItems": 1, "items": _object(report)}
    return _object({"sensorMetadata": _object(metadata), "sensorReport": reports}, "sensorReport")


def _object(properties: dict[str, Any], *required: str, open_: bool = True) -> dict[str, Any]:
    """`open_`: extensions in a namespace may stand beside."""
    made = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return made | ({"patternProperties": _EXTENSION} if open_ else {})


def _uris(unique: bool = False) -> dict[str, Any]:
    return {"type": "array", "items": _URI} | ({"uniqueItems": True} if unique else {})


def _quantities() -> dict[str, Any]:
    uom = {"type": "string", "pattern": "^[A-Z0-9]{2,3}$"}
    element = {"epcClass": _URI, "quantity": {"type": "number", "minimum": 0}, "uom": uom}
    return {"type": "array", "items": _object(element, "epcClass", open_=False)}


def _word(vocabulary: Vocabulary) -> dict[str, Any]:
    return {"anyOf": [{"enum": sorted(vocabulary.words)}, _URI]}


def _words(vocabulary: Vocabulary) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": _word(vocabulary)}


def _pairs(field: str, vocabulary: Vocabulary, *required: str) -> dict[str, Any]:
    pair = _object({"type": _word(vocabulary), field: _URI}, *required, open_=False)
    return {"type": "array", "items": pair}
