"""The small forms of EPCIS values: what the JSON schema says of single fields and lists, in code.

A check takes (value, prefixes) and raises EpcisError, whose place is seen from the value. Prefixes: those that the
event's contexts declare.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.epcis.context import check_name, check_values, identifier
from gateway.epcis.errors import EpcisError

Prefixes = Mapping[str, str]
Check = Callable[[Any, Prefixes], object]
_UOM = re.compile("[A-Z0-9]{2,3}").fullmatch
_HEX = re.compile("[A-Fa-f0-9]+").fullmatch


def uri(value: Any, prefixes: Prefixes) -> None:
    """A URI; a GS1 identifier with its check digit."""
    if type(value) is not str:
        raise EpcisError(f"expected a URI, got {value!r:.60}")
    identifier(value, prefixes)


def number(value: Any, _: Prefixes) -> None:
    """A JSON number, never true or false."""
    if type(value) is not int and type(value) is not float:
        raise EpcisError(f"expected a number, got {value!r:.60}")
    if type(value) is int and not -(2**53) <= value <= 2**53:
        raise EpcisError(f"expected a whole number within 2^53, got {value}")


def text(value: Any, _: Prefixes) -> None:
    if type(value) is not str:
        raise EpcisError(f"expected a text, got {value!r:.60}")


def boolean(value: Any, _: Prefixes) -> None:
    if type(value) is not bool:
        raise EpcisError(f"expected true or false, got {value!r:.60}")


def hexadecimal(value: Any, _: Prefixes) -> None:
    if type(value) is not str or not _HEX(value):
        raise EpcisError(f"expected hexadecimal digits, got {value!r:.60}")


def uom(value: Any, _: Prefixes) -> None:
    """A code of UN/ECE Recommendation 20."""
    if type(value) is not str or not _UOM(value):
        raise EpcisError(f"expected a unit of UN/ECE Recommendation 20, as KGM, got {value!r:.40}")


def anything(value: Any, prefixes: Prefixes) -> None:
    """The value of an extension."""
    check_values(value, prefixes)


def listed(check: Check, least: int = 0, once: bool = False) -> Check:
    """A list of what `check` takes, at least `least` of them; `once`: no two alike."""

    def of(value: Any, prefixes: Prefixes) -> None:
        if type(value) is not list or len(value) < least:
            raise EpcisError(f"expected a list of {least} or more, got {_short(value)}")
        i = 0
        try:
            for item in value:
                check(item, prefixes)
                i += 1
        except EpcisError as e:
            raise e.inside(i) from None
        if once and len(set(value)) != len(value):
            raise EpcisError("expected each value once, got one twice")

    return of


def record(fields: Mapping[str, Check], required: tuple[str, ...] = (), *, extensible: bool = False) -> Check:
    """An object of these fields; `extensible`: and of extensions in declared namespaces."""

    def of(value: Any, prefixes: Prefixes) -> None:
        if type(value) is not dict:
            raise EpcisError(f"expected an object, got {_short(value)}")
        members(value, fields, prefixes, extensible)
        for name in required:
            if name not in value:
                raise EpcisError(f"expected the field {name}, got {', '.join(value) or 'no fields':.120}")

    return of


def members(value: Mapping[str, Any], fields: Mapping[str, Check], prefixes: Prefixes, extensible: bool) -> None:
    """Every member is one of `fields`, or a named extension where those are allowed."""
    for name, inner in value.items():
        check = fields.get(name)
        try:
            if check is not None:
                check(inner, prefixes)
            elif extensible:
                check_name(name, prefixes)
                check_values(inner, prefixes)
            else:
                raise EpcisError(f"field {name!r:.60} does not belong there; allowed: {', '.join(fields)}")
        except EpcisError as e:
            raise e.inside(name) from None


def _short(value: Any) -> str:
    return f"{len(value)} entries" if type(value) is list else f"{value!r:.60}"
