"""Events of others, changed at random places: most of them wrong afterwards, and nobody says how."""

import copy
from typing import Any

from hypothesis import strategies as st

WORDS = [
    "", "x", "shipping", "in_transit", "ADD", "OBSERVE", "DELETE", "Temperature", "ALARM_CONDITION", "po", "location",
    "owning_party", "did_not_occur", "latitude", "CEL", "KGM", "kgm", "f0", "2026-02-30T00:00:00Z", "2026-02-03T00:00:00Z",
    "2026-02-03T00:00:00", "2026-02-03 00:00:00Z", "2026-02-03T00:00:00.123456789+14:00", "2026-02-03T24:00:00Z",
    "+01:00", "+15:00", "-00:30", "+1:00", "urn:x:y", "urn:x y", "http://a/%zz", "http://[::1]/", "http://a b", "x:",
    "urn:epc:id:sgtin:4012345.011111.9876", "urn:epc:id:sgtin:4012345.01111.9876", "urn:epcglobal:cbv:bizstep:shipping",
    "https://ns.gs1.org/cbv/BizStep-shipping", "https://ref.gs1.org/cbv/BizStep-shipping", "cbv:BizStep-nonsense",
    "https://gs1.org/voc/Temperature", "gs1:Temperature", "https://id.gs1.org/01/09506000134352/21/1", "a/b", "é:é",
    "https://id.gs1.org/01/09506000134353/21/1", "2.0", "EPCISDocument", "ObjectEvent", "TransformationEvent", "ex:y",
]  # fmt: skip
NAMES = [
    "action", "type", "eventTime", "epcList", "quantityList", "parentID", "childEPCs", "ilmd", "sensorElementList",
    "bizStep", "disposition", "persistentDisposition", "readPoint", "id", "uom", "quantity", "epcClass", "weight", "set",
    "errorDeclaration", "reason", "correctiveEventIDs", "certificationInfo", "ex:name", "undeclared:name", "plain",
    "inputEPCList", "outputEPCList", "transformationID", "value", "time", "exception", "sensorReport", "@context",
    "startTime", "bizTransactionList", "source", "destinationList", "eventID", "recordTime", "http://x/y", "a b:c",
]  # fmt: skip
SCALARS = st.sampled_from(WORDS) | st.sampled_from([None, True, False, 0, 1, -1, 7.5, 2**53, 1e300]) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def changed(draw: st.DrawFn, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the documents, with one to three changes."""
    made: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        spots = list(_spots(made))
        holder, key = draw(st.sampled_from(spots))
        _change(draw, holder, key)
    return made


def _spots(value: Any) -> Any:
    """(holder, key) of every value inside."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _spots(inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield value, i
            yield from _spots(inner)


def _change(draw: st.DrawFn, holder: Any, key: Any) -> None:
    way = draw(st.integers(0, 4))
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[draw(st.sampled_from(NAMES))] = draw(VALUES)
    elif way == 2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif way == 3 and isinstance(holder, dict):
        holder[draw(st.sampled_from(NAMES))] = holder.pop(key)
    else:
        holder[key] = draw(VALUES)
