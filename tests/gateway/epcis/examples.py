"""Examples to start from, and the documents of others."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
EPC = "https://id.gs1.org/01/09506000134352/21/1"


def event(kind: str = "ObjectEvent", **members: Any) -> dict[str, Any]:
    """A good event; a member given as None is left out."""
    own: dict[str, dict[str, Any]] = {
        "ObjectEvent": {"action": "OBSERVE", "epcList": [EPC]},
        "AggregationEvent": {"action": "ADD", "parentID": "urn:epc:id:sscc:4012345.0000000333", "childEPCs": [EPC]},
        "TransactionEvent": {
            "action": "ADD", "epcList": [EPC], "bizTransactionList": [{"type": "po", "bizTransaction": "urn:x:po-1"}],
        },
        "TransformationEvent": {"inputEPCList": [EPC], "outputEPCList": ["urn:epc:id:sgtin:4012345.011111.9876"]},
        "AssociationEvent": {"action": "ADD", "parentID": "urn:epc:id:grai:4012345.55555.987", "childEPCs": [EPC]},
    }  # fmt: skip
    base = {
        "@context": [CONTEXT, {"ex": "https://ns.example.com/epcis/"}], "type": kind,
        "eventTime": "2026-11-18T12:00:00.000+01:00", "eventTimeZoneOffset": "+01:00",
    }  # fmt: skip
    return {name: value for name, value in (base | own[kind] | members).items() if value is not None}


def payload(kind: str = "ObjectEvent", **members: Any) -> bytes:
    return json.dumps(event(kind, **members)).encode()


def valid_files(vectors: Callable[[str], Path]) -> Iterator[Path]:
    folder = vectors("epcis")
    for pattern in ("openepcis/Documents/*.json", "openepcis/Events/*.json", "gs1/*.jsonld", "hash/*.jsonld"):
        yield from sorted(folder.glob(pattern))


def invalid_files(vectors: Callable[[str], Path]) -> Iterator[Path]:
    yield from sorted((vectors("epcis") / "openepcis" / "Invalid").glob("*.json"))


def events_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a decoded document, without any code of ours."""
    if document["type"] == "EPCISDocument":
        return list(document["epcisBody"]["eventList"])
    if document["type"] == "EPCISQueryDocument":
        return list(document["epcisBody"]["queryResults"]["resultsBody"]["eventList"])
    return [document]
