"""EPCIS 2.0 events of the story, as each company's own system would capture them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gateway.demo.pharma.companies import Company
from gateway.preprocess.gs1 import check_digit

CONTEXT: Final = ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld"]
ID: Final = "https://id.gs1.org"
Event = dict[str, Any]


def gtin(company: Company, item: int) -> str:
    """A GTIN-14 of the company, check digit last."""
    body = f"0{company.prefix}{item:05}"
    return body + str(check_digit(body))


def sscc(company: Company, number: int) -> str:
    """A serial shipping container code of 18 digits."""
    body = f"0{company.prefix}{number:09}"
    return body + str(check_digit(body))


def pack_uri(product: str, serial: str) -> str:
    return f"{ID}/01/{product}/21/{serial}"


def lot_uri(product: str, lot: str) -> str:
    return f"{ID}/01/{product}/10/{lot}"


def unit_uri(code: str) -> str:
    return f"{ID}/00/{code}"


def quantity(uri: str, amount: float, unit: str | None = None) -> dict[str, Any]:
    """An amount of a lot; without a unit it counts pieces."""
    return {"epcClass": uri, "quantity": amount} | ({"uom": unit} if unit else {})


def made(company: Company, when_us: int, lot: str, amount: float, unit: str) -> Event:
    """A lot of material comes into the world."""
    return _event(company, "ObjectEvent", when_us, "commissioning", "active", action="ADD",
                  quantityList=[quantity(lot, amount, unit)])  # fmt: skip


def commissioned(company: Company, when_us: int, packs: Sequence[str], lot: str, expiry: str) -> Event:
    """Packs with serials; lot and expiry are what is printed on them."""
    return _event(company, "ObjectEvent", when_us, "commissioning", "active", action="ADD", epcList=list(packs),
                  ilmd={"cbvmda:lotNumber": lot, "cbvmda:itemExpirationDate": expiry})  # fmt: skip


def transformed(company: Company, when_us: int, inputs: Sequence[dict[str, Any]], lot: str, amount: int) -> Event:
    """Materials become a batch."""
    return _event(company, "TransformationEvent", when_us, "commissioning", "active",
                  inputQuantityList=list(inputs), outputQuantityList=[quantity(lot, amount)])  # fmt: skip


def packed(company: Company, when_us: int, parent: str, children: Sequence[str], step: str = "packing") -> Event:
    """`unpacking` takes them out again."""
    action = "DELETE" if step == "unpacking" else "ADD"
    return _event(company, "AggregationEvent", when_us, step, "in_progress", action=action, parentID=parent,
                  childEPCs=list(children))  # fmt: skip


def shipped(company: Company, when_us: int, things: Sequence[str], to: Company, order: str) -> Event:
    """They leave for another company."""
    return _event(company, "ObjectEvent", when_us, "shipping", "in_transit", action="OBSERVE", epcList=list(things),
                  **_between(company, to, order))  # fmt: skip


def shipped_lot(company: Company, when_us: int, amounts: Sequence[dict[str, Any]], to: Company, order: str) -> Event:
    """The same of material that has a lot and no serials."""
    return _event(company, "ObjectEvent", when_us, "shipping", "in_transit", action="OBSERVE",
                  quantityList=list(amounts), **_between(company, to, order))  # fmt: skip


def received(company: Company, when_us: int, things: Sequence[str], sender: Company, order: str) -> Event:
    return _event(company, "ObjectEvent", when_us, "receiving", "in_progress", action="OBSERVE", epcList=list(things),
                  **_between(sender, company, order))  # fmt: skip


def received_lot(
    company: Company, when_us: int, amounts: Sequence[dict[str, Any]], sender: Company, order: str
) -> Event:
    return _event(company, "ObjectEvent", when_us, "receiving", "in_progress", action="OBSERVE",
                  quantityList=list(amounts), **_between(sender, company, order))  # fmt: skip


def dispensed(company: Company, when_us: int, pack: str) -> Event:
    """A patient takes a pack home."""
    return _event(company, "ObjectEvent", when_us, "dispensing", "dispensed", action="DELETE", epcList=[pack])


def document(events: Sequence[Event], when_us: int) -> dict[str, Any]:
    """An EPCIS document as systems exchange it."""
    return {
        "@context": CONTEXT, "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": moment(when_us),
        "epcisBody": {"eventList": list(events)},
    }  # fmt: skip


def moment(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(company: Company, kind: str, when_us: int, step: str, state: str, **rest: Any) -> Event:
    return {
        "type": kind, "eventTime": moment(when_us), "eventTimeZoneOffset": "+00:00", "bizStep": step,
        "disposition": state, "readPoint": {"id": company.party}, "bizLocation": {"id": company.party}, **rest,
    }  # fmt: skip


def _between(sender: Company, recipient: Company, order: str) -> dict[str, Any]:
    transaction = f"urn:epcglobal:cbv:bt:{sender.gln}:{order}"
    return {
        "bizTransactionList": [{"type": "desadv", "bizTransaction": transaction}],
        "sourceList": [{"type": "possessing_party", "source": sender.party}],
        "destinationList": [{"type": "possessing_party", "destination": recipient.party}],
    }  # fmt: skip
