"""EPCIS events as companies capture them, for tests: small builders of bare events."""

import json
from datetime import UTC, datetime
from typing import Any

from gateway.epcis.identifiers import lgtin_of, sgln_uri, sgtin, sscc_uri
from gateway.preprocess.gs1 import check_digit

CONTEXT = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
START_US = 1_795_413_600_000_000  # 2026-11-23T06:00:00Z
MINUTE = 60_000_000


def keyed(body: str) -> str:
    """The digits with their check digit."""
    return f"{body}{check_digit(body)}"


def gtin(number: int) -> str:
    return keyed(f"0401234{number:06d}")


def pack(number: int, serial: object) -> str:
    return sgtin(gtin(number), str(serial))


def lot(number: int, name: str) -> str:
    return lgtin_of(gtin(number), name)


def case(number: int) -> str:
    return sscc_uri(keyed(f"34012345{number:09d}"))


def place(number: int) -> str:
    return sgln_uri(keyed(f"4012345{number:05d}"))


def when(minutes: float) -> str:
    """That many minutes after the start, as EPCIS writes it."""
    moment = datetime.fromtimestamp((START_US + minutes * MINUTE) / 1e6, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(kind: str, minutes: float, step: str, **fields: Any) -> bytes:
    """`at` is a place for readPoint and bizLocation."""
    at = fields.pop("at", None)
    places = {"readPoint": {"id": at}, "bizLocation": {"id": at}} if at else {}
    body = {"@context": CONTEXT, "type": f"{kind}Event", "eventTime": when(minutes), "eventTimeZoneOffset": "+00:00"}
    return json.dumps(body | {"bizStep": step} | places | fields).encode()


def objects(minutes: float, step: str, *epcs: str, action: str = "OBSERVE", **fields: Any) -> bytes:
    return event("Object", minutes, step, action=action, epcList=list(epcs), **fields)


def commissioned(minutes: float, number: int, name: str, *epcs: str, **fields: Any) -> bytes:
    """Packs of a lot come into being."""
    return objects(minutes, "commissioning", *epcs, action="ADD", ilmd={"cbvmda:lotNumber": name}, **fields)


def packed(minutes: float, parent: str, *children: str, action: str = "ADD", **fields: Any) -> bytes:
    step = "unpacking" if action == "DELETE" else "packing"
    return event("Aggregation", minutes, step, action=action, parentID=parent, childEPCs=list(children), **fields)


def made(minutes: float, inputs: dict[str, float], outputs: dict[str, float], **fields: Any) -> bytes:
    """Quantities in kilograms of lots become lots."""
    kilograms = [[{"epcClass": u, "quantity": q, "uom": "KGM"} for u, q in of.items()] for of in (inputs, outputs)]
    fields |= {"inputQuantityList": kilograms[0], "outputQuantityList": kilograms[1]}
    return event("Transformation", minutes, "creating_class_instance", **fields)


def declared_false(original: bytes, minutes: float, *, event_id: str | None = None, corrective: tuple[str, ...] = ()
                   ) -> bytes:  # fmt: skip
    """The same event once more, with a declaration that it is erroneous."""
    declaration = {"declarationTime": when(minutes), "reason": "incorrect_data"}
    if corrective:
        declaration["correctiveEventIDs"] = list(corrective)  # type: ignore[assignment]
    named = {"eventID": event_id} if event_id else {}
    return json.dumps(json.loads(original) | {"errorDeclaration": declaration} | named).encode()
