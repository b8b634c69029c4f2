"""A trade of any size as EPCIS events, in the order of their logging: materials come, become lots, lots become packs in
cases on pallets, which travel from the maker over a wholesaler to shops.

Each event is told once as a `Said`, and becomes the JSON that a company captures, or at once the event as the index
takes it. The latter costs no parsing, so that an index of ten million events is made in minutes; its hashes are random.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.epcis.event import Event, Thing, Typed
from gateway.epcis.identifiers import ROOT, lgtin_of, sgln_uri, sgtin, sscc_uri
from gateway.events.rows import Logged
from gateway.preprocess.gs1 import check_digit

CONTEXT = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
START_US, STEP_US = 1_700_000_000_000_000, 1_000_000
PACKS, IN_CASE, ON_PALLET = 2000, 20, 20  # packs of a lot and in a case, cases on a pallet
LOTS_OF_BULK = 3  # lots that are made of one bulk, of two materials
_FIELDS = {"epc": "epcList", "child": "childEPCs", "input": "inputEPCList", "output": "outputEPCList"}
_CLASSES = {"input": "inputQuantityList", "output": "outputQuantityList"}


@dataclass(frozen=True, slots=True)
class Said:
    """One event; `things` by role, the lot of ilmd, and a place."""

    type: str
    action: str | None
    step: str
    place: str
    things: tuple[tuple[str, str, float | None], ...]
    lot: str = ""
    to: str = ""  # the party that it is sent to


def _keyed(body: str) -> str:
    return f"{body}{check_digit(body)}"


def gtin(product: int) -> str:
    return _keyed(f"0409999{product:06d}")


def pack(lot: int, number: int) -> str:
    return sgtin(gtin(9), f"{lot}-{number}")


def lot_of(lot: int) -> str:
    return lgtin_of(gtin(9), f"L{lot}")


def material(bulk: int, kind: int) -> str:
    return lgtin_of(gtin(kind), f"M{bulk}")


def case(lot: int, number: int) -> str:
    return sscc_uri(_keyed(f"14{lot:09d}{number:06d}"))


def pallet(lot: int, number: int) -> str:
    return sscc_uri(_keyed(f"24{lot:09d}{number:06d}"))


def place(number: int) -> str:
    return sgln_uri(_keyed(f"4099999{number:05d}"))


def party(number: int) -> str:
    return f"{ROOT}/417/{_keyed(f'4099999{number:05d}')}"


def trade(packs: int = PACKS) -> Iterator[Said]:
    """Events without end; `packs` are in each lot."""
    lot = 0
    while True:
        bulk = lot // LOTS_OF_BULK
        whole = lgtin_of(gtin(8), f"B{bulk}")
        if lot % LOTS_OF_BULK == 0:
            inputs = tuple(("input", material(bulk, kind), 5.0) for kind in (1, 2))
            yield Said("TransformationEvent", None, "creating_class_instance", place(0),
                       (*inputs, ("output", whole, 10.0)))  # fmt: skip
        made = (("input", whole, 3.0), ("output", lot_of(lot), 3.0))
        yield Said("TransformationEvent", None, "creating_class_instance", place(0), made)
        yield from _packed(lot, packs)
        lot += 1


def _packed(lot: int, packs: int) -> Iterator[Said]:
    for number in range(packs):
        thing = (("epc", pack(lot, number), None),)
        yield Said("ObjectEvent", "ADD", "commissioning", place(0), thing, f"L{lot}")
    cases = [case(lot, n) for n in range(-(-packs // IN_CASE))]
    for n, one in enumerate(cases):
        inside = [pack(lot, p) for p in range(n * IN_CASE, min((n + 1) * IN_CASE, packs))]
        yield _into(one, inside)
    for n in range(0, len(cases), ON_PALLET):
        number, shop = n // ON_PALLET, 10 + (lot + n) % 500
        yield _into(pallet(lot, number), cases[n : n + ON_PALLET])
        yield _seen(pallet(lot, number), "shipping", place(0), party(1))
        yield _seen(pallet(lot, number), "receiving", place(1))
        yield _into(pallet(lot, number), cases[n : n + ON_PALLET], "DELETE", place(1))
        for one in cases[n : n + ON_PALLET]:
            yield _seen(one, "shipping", place(1), party(shop))
            yield _seen(one, "receiving", place(shop))
    for number in range(0, packs, 2):
        yield _seen(pack(lot, number), "dispensing", place(10 + (lot + number) % 500))


def _into(parent: str, children: list[str], action: str = "ADD", at: str = "") -> Said:
    things = (("parent", parent, None), *(("child", child, None) for child in children))
    return Said("AggregationEvent", action, "packing" if action == "ADD" else "unpacking", at or place(0), things)


def _seen(thing: str, step: str, at: str, to: str = "") -> Said:
    return Said("ObjectEvent", "OBSERVE", step, at, (("epc", thing, None),), to=to)


def payload(said: Said, number: int) -> bytes:
    """The bare event as a company captures it."""
    moment = datetime.fromtimestamp((START_US + number * STEP_US) / 1e6, UTC).isoformat(timespec="milliseconds")
    body: dict[str, Any] = {
        "@context": CONTEXT, "type": said.type, "eventTime": moment.replace("+00:00", "Z"),
        "eventTimeZoneOffset": "+00:00", "bizStep": said.step, "readPoint": {"id": said.place},
        "bizLocation": {"id": said.place},
    }  # fmt: skip
    if said.action:
        body["action"] = said.action
    if said.to:
        body["destinationList"] = [{"type": "owning_party", "destination": said.to}]
    if said.lot:
        body["ilmd"] = {"cbvmda:lotNumber": said.lot}
    for role, uri, quantity in said.things:
        if role == "parent":
            body["parentID"] = uri
        elif quantity is None:
            body.setdefault(_FIELDS[role], []).append(uri)
        else:
            body.setdefault(_CLASSES[role], []).append({"epcClass": uri, "quantity": quantity, "uom": "KGM"})
    return json.dumps(body).encode()


_PREFIXES = {"cbvmda": "urn:epcglobal:cbv:mda:"}


def logged(said: Said, number: int) -> Logged:
    """The same event as the index takes it, with a random hash, as if it were received when it happened."""
    time_us = START_US + number * STEP_US
    things = tuple(Thing(role, uri, q, None if q is None else "KGM") for role, uri, q in said.things)
    ilmd = {"cbvmda:lotNumber": said.lot} if said.lot else {}
    to = (Typed("owning_party", said.to),) if said.to else ()
    event = Event(
        said.type, time_us, None, "+00:00", said.action, said.step, None, ((), ()), said.place, said.place, things,
        (), (), to, None, ilmd, (), None, None, os.urandom(32), {}, _PREFIXES,
    )  # fmt: skip
    return Logged(number, time_us, event, "capture")
