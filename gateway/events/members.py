"""Which things take part in an event: as it lists them, and what follows from its ilmd, transformationID and parties.

A lot in ilmd is the lot of the event's own instances and classes; that is how a pack is known to belong to a lot
before anybody moves it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from crypto.errors import FormatError
from gateway.epcis.event import Event
from gateway.epcis.identifiers import ROOT, lgtin_of
from gateway.epcis.ilmd import lot_number
from gateway.events.schema import Role

_ROLES = {
    "epc": Role.EPC, "parent": Role.PARENT, "child": Role.CHILD, "input": Role.INPUT, "output": Role.OUTPUT,
}  # fmt: skip
_OF_A_LOT = frozenset({"epc", "output"})
_PRODUCT = f"{ROOT}/01/"
_lgtin = lru_cache(maxsize=1024)(lgtin_of)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing of an event in one role; `quantity` and `uom` where it is class-level. For parties `uom` is the type
    of source or destination."""

    role: Role
    uri: str
    quantity: float | None = None
    uom: str | None = None


def parts_of(event: Event) -> tuple[Part, ...]:
    """All parts, each thing once in a role. Quantities of one thing in one unit are added up; in several units none
    is kept, because they do not add up."""
    found: dict[tuple[Role, str], Part] = {}
    for part in _stated(event):
        key = part.role, part.uri
        found[key] = _joined(found[key], part) if key in found else part
    for part in (*_lots(event), *_further(event)):
        found.setdefault((part.role, part.uri), part)
    return tuple(found.values())


def _joined(one: Part, other: Part) -> Part:
    if one.uom != other.uom or one.quantity is None or other.quantity is None:
        return Part(one.role, one.uri)
    return Part(one.role, one.uri, one.quantity + other.quantity, one.uom)


def _stated(event: Event) -> Iterator[Part]:
    for thing in event.things:
        yield Part(_ROLES[thing.role], thing.uri, thing.quantity, thing.uom)


def _lots(event: Event) -> Iterator[Part]:
    lot = lot_number(event)
    if lot is None:
        return
    products = {t.uri[len(_PRODUCT) :][:14]: None for t in event.things if t.role in _OF_A_LOT and _product(t.uri)}
    for gtin in products:
        try:
            yield Part(Role.LOT, _lgtin(gtin, lot))
        except FormatError:  # a lot number that GS1 does not allow is nobody's key
            return


def _product(uri: str) -> bool:
    """Whether a canonical URI is of a product, its lots or its pieces: AI (01), then 14 digits."""
    return uri.startswith(_PRODUCT)


def _further(event: Event) -> Iterator[Part]:
    if event.transformation:
        yield Part(Role.TRANSFORMATION, event.transformation)
    for role, parties in ((Role.SOURCE, event.sources), (Role.DESTINATION, event.destinations)):
        for kind, uri in parties:
            yield Part(role, uri, None, kind)
