"""Events of others, changed at random places: most of them wrong afterwards, and nobody says how."""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

WORDS = [
    "", "x", "shipping", "in_transit", "ADD", "OBSERVE", "DELETE", "Temperature", "ALARM_CONDITION", "po", "location",
    "owning_party", "did_not_occur", "latitude", "CEL", "KGM", "kgm", "f0", "2026-02-30T00:00:00Z",
    "2026-02-03T00:00:00Z",
    "2026-02-03T00:00:00", "2026-02-03 00:00:00Z", "2026-02-03T00:00:00.123456789+14:00", "2026-02-03T24:00:00Z",
    "+01:00", "+15:00", "-00:30", "+1:00", "urn:x:y", "urn:x y", "http://a/%zz", "http://[::1]/", "http://a b", "x:",
    "urn:epc:id:sgtin:4012345.011111.9876", "urn:epc:id:sgtin:4012345.01111.9876", "urn:epcglobal:cbv:bizstep:shipping",
    "https://ns.gs1.org/cbv/BizStep-shipping", "https://ref.gs1.org/cbv/BizStep-shipping", "cbv:BizStep-nonsense",
    "https://gs1.org/voc/Temperature", "gs1:Temperature", "https://id.gs1.org/01/09506000134352/21/1", "a/b", "é:é",
    "https://id.gs1.org/01/09506000134353/21/1", "2.0", "EPCISDocument", "ObjectEvent", "TransformationEvent", "ex:y",
]  # fmt: skip
NAMES = [
    "action", "type", "eventTime", "epcList", "quantityList", "parentID", "childEPCs", "ilmd", "sensorElementList",
    "bizStep", "disposition", "persistentDisposition", "readPoint", "id", "uom", "quantity", "epcClass", "weight",
    "set",
    "errorDeclaration", "reason", "correctiveEventIDs", "certificationInfo", "ex:name", "undeclared:name", "plain",
    "inputEPCList", "outputEPCList", "transformationID", "value", "time", "exception", "sensorReport", "@context",
    "startTime", "bizTransactionList", "source", "destinationList", "eventID", "recordTime", "http://x/y", "a b:c",
]  # fmt: skip
SCALARS = [*WORDS, None, True, False, 0, 1, -1, 7.5, 2**53, 1e300]


def changed(documents: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """One of the documents, with one to three changes."""
    chance = Random(seed)
    made: dict[str, Any] = copy.deepcopy(chance.choice(documents))
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice([*_spots(made), (made, "type")])
        if isinstance(holder, list) or key in holder:
            _change(chance, holder, key)
    return made


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of every value inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield value, key
        yield from _spots(inner)


def _change(chance: Random, holder: Any, key: Any) -> None:
    way = chance.randrange(5)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[chance.choice(NAMES)] = _value(chance)
    elif way == 2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif way == 3 and isinstance(holder, dict):
        holder[chance.choice(NAMES)] = holder.pop(key)
    else:
        holder[key] = _value(chance)


def _value(chance: Random, depth: int = 2) -> Any:
    way = chance.randrange(6) if depth else 0
    if way == 4:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(3))]
    if way == 5:
        return {chance.choice(NAMES): _value(chance, depth - 1) for _ in range(chance.randrange(3))}
    return chance.choice(SCALARS)
