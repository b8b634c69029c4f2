"""What each of the five types of events may and must have (EPCIS 2.0 section 7.4), as one strict check.

Trust boundary: takes decoded JSON of anybody. It refuses whatever GS1's JSON schema refuses, with three exceptions
(docs/adr/0020), and what the schema cannot say. Hand-written, since a schema's interpreter takes a hundred times as
long; a test holds the two side by side.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.epcis.errors import EpcisError
from gateway.epcis.forms import Check, Prefixes, listed, members, number, record, uom, uri
from gateway.epcis.moments import offset, time_us
from gateway.epcis.sensors import FIELDS as SENSOR_FIELDS
from gateway.epcis.sensors import sensor_list
from gateway.epcis.vocabulary import BIZ_STEP, DISPOSITION, ERROR_REASON, PARTY, TRANSACTION

ACTIONS = ("ADD", "OBSERVE", "DELETE")


def _time(value: Any, _: Prefixes) -> None:
    time_us(value)


def _offset(value: Any, _: Prefixes) -> None:
    offset(value)


def _action(value: Any, _: Prefixes) -> None:
    if value not in ACTIONS or type(value) is not str:
        raise EpcisError(f"expected ADD, OBSERVE or DELETE, got {value!r:.40}")


def _seen_before(value: Any, _: Prefixes) -> None:
    """Checked before the fields are."""


def _certification(value: Any, prefixes: Prefixes) -> None:
    (listed(uri) if type(value) is list else uri)(value, prefixes)


_QUANTITY = record({"epcClass": uri, "quantity": number, "uom": uom}, ("epcClass",))


def _quantity(value: Any, prefixes: Prefixes) -> None:
    """Section 7.3.3.3: without a unit it counts instances; a unit is of a quantity."""
    _QUANTITY(value, prefixes)
    amount = value.get("quantity")
    if amount is None and "uom" in value:
        raise EpcisError("expected a quantity beside its unit (uom); add it, or leave the unit out", "/uom")
    if amount is not None and (amount < 0 or ("uom" not in value and amount != int(amount))):
        raise EpcisError(f"expected a count, or a measure with its unit (uom), got {amount}", "/quantity")


_DISPOSITIONS = listed(DISPOSITION.read, 1, once=True)
_PERSISTENT = record({"set": _DISPOSITIONS, "unset": _DISPOSITIONS})


def _persistent(value: Any, prefixes: Prefixes) -> None:
    _PERSISTENT(value, prefixes)
    if not value:
        raise EpcisError("expected dispositions to set or to unset, got neither")
    if both := set(value.get("set", ())) & set(value.get("unset", ())):
        raise EpcisError(f"expected to set or to unset {sorted(both)[0]}, got both")


_EPCS, _EPCS_ONCE, _QUANTITIES = listed(uri), listed(uri, once=True), listed(_quantity)
_PLACE = record({"id": uri}, ("id",), extensible=True)
_EVERY: dict[str, Check] = {
    "@context": _seen_before, "type": _seen_before, "eventTime": _time, "eventTimeZoneOffset": _offset,
    "recordTime": _time, "eventID": uri, "certificationInfo": _certification,
    "errorDeclaration": record(
        {"declarationTime": _time, "reason": ERROR_REASON.read, "correctiveEventIDs": _EPCS},
        ("declarationTime",), extensible=True,
    ),
    "bizStep": BIZ_STEP.read, "disposition": DISPOSITION.read, "persistentDisposition": _persistent,
    "readPoint": _PLACE, "bizLocation": _PLACE, "sensorElementList": sensor_list,
    "bizTransactionList": listed(record({"type": TRANSACTION.read, "bizTransaction": uri}, ("bizTransaction",))),
    "sourceList": listed(record({"type": PARTY.read, "source": uri}, ("type", "source"))),
    "destinationList": listed(record({"type": PARTY.read, "destination": uri}, ("type", "destination"))),
}  # fmt: skip
_ILMD = record({}, extensible=True)
_CHILDREN: dict[str, Check] = {"parentID": uri, "childEPCs": _EPCS, "childQuantityList": _QUANTITIES}
_FIELDS: Mapping[str, Mapping[str, Check]] = {
    "ObjectEvent": _EVERY | {"action": _action, "epcList": _EPCS_ONCE, "quantityList": _QUANTITIES, "ilmd": _ILMD},
    "AggregationEvent": _EVERY | {"action": _action} | _CHILDREN,
    "TransactionEvent": _EVERY | {"action": _action, "parentID": uri, "epcList": _EPCS, "quantityList": _QUANTITIES},
    "TransformationEvent": _EVERY | {
        "inputEPCList": _EPCS_ONCE, "inputQuantityList": _QUANTITIES, "outputEPCList": _EPCS_ONCE,
        "outputQuantityList": _QUANTITIES, "transformationID": uri, "ilmd": _ILMD,
    },
    "AssociationEvent": _EVERY | {"action": _action} | _CHILDREN,
}  # fmt: skip
TYPES = tuple(_FIELDS)
_RESERVED = SENSOR_FIELDS.union(
    TYPES, *_FIELDS.values(), *(words.words for words in (BIZ_STEP, DISPOSITION, ERROR_REASON, PARTY, TRANSACTION)),
    ("epcClass", "quantity", "uom", "set", "unset", "id", "bizTransaction", "source", "destination"),
    ("declarationTime", "reason", "correctiveEventIDs"),
)  # fmt: skip
_REQUIRED = {
    "ObjectEvent": ("eventTime", "eventTimeZoneOffset", "action"),
    "AggregationEvent": ("eventTime", "eventTimeZoneOffset", "action"),
    "TransactionEvent": ("eventTime", "eventTimeZoneOffset", "action", "bizTransactionList"),
    "TransformationEvent": ("eventTime", "eventTimeZoneOffset"),
    "AssociationEvent": ("eventTime", "eventTimeZoneOffset", "action", "parentID"),
}


def check_terms(terms: Iterable[str]) -> None:
    """That a context declares no name that EPCIS itself has: other readers would take the member for something else."""
    for term in terms:
        if term in _RESERVED:
            raise EpcisError(f"{term!r:.40} is EPCIS's own name; choose another prefix").inside(term)


def check_event(body: Mapping[str, Any], prefixes: Prefixes) -> None:
    """The whole check of one event whose contexts declare `prefixes`:

    1. its type is one of the five, and the fields that this type must have are there
    2. every field is one that the type may have, or a namespaced extension, and its value is right
    3. the fields together make sense for the type

    Raises:
        EpcisError: with the place in the event.
    """
    kind = body.get("type")
    fields = _FIELDS.get(kind) if type(kind) is str else None
    if fields is None:
        raise EpcisError(f"expected one of {', '.join(TYPES)}, got {kind!r:.60}", "/type" if "type" in body else "")
    for name in _REQUIRED[kind]:  # type: ignore[index]
        if name not in body:
            raise EpcisError(f"expected the field {name}, which every {kind} has; add it")
    members(body, fields, prefixes, extensible=True)
    _TOGETHER[kind](body)  # type: ignore[index]


def _object(body: Mapping[str, Any]) -> None:
    if body["action"] != "ADD" and "ilmd" in body:
        raise EpcisError(
            f"expected master data of instances (ilmd) with action ADD only, got {body['action']}", "/ilmd"
        )
    if "epcList" in body or body.get("quantityList"):
        return
    if not (body.get("sensorElementList") and "readPoint" in body):
        raise EpcisError("expected epcList, quantityList, or sensor elements with their readPoint, got none of them")


def _parent_and_children(body: Mapping[str, Any]) -> None:
    """Section 7.4.3: only what is observed may lack a parent; only what is taken apart may lack children."""
    if body["action"] != "OBSERVE" and "parentID" not in body:
        raise EpcisError(f"expected a parentID with action {body['action']}; add it")
    if body["action"] != "DELETE" and not body.get("childEPCs") and not body.get("childQuantityList"):
        raise EpcisError(f"expected children (childEPCs or childQuantityList) with action {body['action']}, got none")


def _transaction(body: Mapping[str, Any]) -> None:
    if not body["bizTransactionList"]:
        raise EpcisError("expected at least one business transaction, got none", "/bizTransactionList")
    if body["action"] != "DELETE" and "epcList" not in body and not body.get("quantityList"):
        raise EpcisError(f"expected epcList or quantityList with action {body['action']}, got neither")


def _transformation(body: Mapping[str, Any]) -> None:
    inputs = body.get("inputEPCList") or body.get("inputQuantityList")
    outputs = body.get("outputEPCList") or body.get("outputQuantityList")
    if not ((inputs and outputs) or ("transformationID" in body and (inputs or outputs))):
        raise EpcisError("expected inputs and outputs, or one of them with a transformationID that joins events")


_TOGETHER = {
    "ObjectEvent": _object, "AggregationEvent": _parent_and_children, "TransactionEvent": _transaction,
    "TransformationEvent": _transformation, "AssociationEvent": _parent_and_children,
}  # fmt: skip
