"""What is printed on packs and stands in an event's ilmd: lot and expiry, in CBV's master data vocabulary.

An event that makes nothing has no ilmd: it says them as fields of its own, by the same names.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from gateway.epcis.context import expanded
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import Event

_MDA = "{urn:epcglobal:cbv:mda:}"
_LOT, _EXPIRY = f"{_MDA}lotNumber", f"{_MDA}itemExpirationDate"
_EPOCH = date(1970, 1, 1)


def lot_number(event: Event) -> str | None:
    """The lot of what the event makes."""
    return _value(event.ilmd, _LOT, event)


def expiry_day(event: Event) -> int | None:
    """The last good day, counted from 1970.

    Raises:
        EpcisError: it is no date.
    """
    return _day(_value(event.ilmd, _EXPIRY, event))


def borne(event: Event) -> tuple[str | None, int | None]:
    """Lot and expiry that an event says of goods which were made elsewhere. Raises as `expiry_day` does."""
    return _value(event.body, _LOT, event), _day(_value(event.body, _EXPIRY, event))


def _day(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text).date()
    except ValueError as e:
        raise EpcisError(f"itemExpirationDate must be a date like 2027-12-31, got {text[:40]!r}") from e
    return (day - _EPOCH).days


def _value(fields: Mapping[str, Any], wanted: str, event: Event) -> str | None:
    for name, value in fields.items():
        if type(value) is str and value and expanded(name, event.prefixes) == wanted:
            return value
    return None
