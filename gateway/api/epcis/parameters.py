"""The query parameters with fixed names, for the machine-readable description; the others are told in words there."""

from typing import Any

from gateway.enquiry.fixed import FIXED
from gateway.enquiry.query import MAX_COUNT, MAX_PER_PAGE

_TEXT = {"type": "string", "minLength": 1}
_TIME = {"type": "string", "format": "date-time"}
_TRUTH = {"type": "string", "enum": ["true", "false"]}
_ONE_OF: dict[str, list[str]] = {
    "eventType": ["ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent"],
    "EQ_action": ["ADD", "OBSERVE", "DELETE"], "orderDirection": ["ASC", "DESC"],
}  # fmt: skip


def _schema(name: str) -> dict[str, Any]:
    if name in _ONE_OF:
        return {"type": "string", "enum": _ONE_OF[name]} if name == "orderDirection" else _TEXT
    if name.startswith("EXISTS_") or name == "EQ_booleanValue":
        return _TRUTH
    return _TIME if name[:3] in ("GE_", "LT_") else _TEXT


def _parameter(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


DOCUMENTED: dict[str, Any] = {
    "parameters": [
        *(_parameter(name, _schema(name)) for name in FIXED),
        _parameter("EQ_bizTransaction_po", _TEXT, "and of any other type; so EQ_source_… and EQ_destination_…"),
        _parameter("GE_quantity", {"type": "number"}, "EQ, GT, GE, LT, LE; GE_quantity_KGM compares one unit only"),
        _parameter("GE_value_CEL", {"type": "number"}, "so minValue, maxValue, meanValue, sDev, percValue, percRank"),
        _parameter("orderBy", _TEXT, "eventTime, recordTime, or an extension field"),
        _parameter("orderDirection", _schema("orderDirection")),
        _parameter("eventCountLimit", {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}),
        _parameter("maxEventCount", {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}),
        _parameter("perPage", {"type": "integer", "minimum": 1, "maximum": MAX_PER_PAGE}),
        _parameter("nextPageToken", {"type": "string", "minLength": 1, "maxLength": 96}),
    ]
}
