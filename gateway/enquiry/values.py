"""Values of query parameters, from a query string or from the JSON of a named query, in one form.

In a query string lists are written with `|` between their elements; a space stands for the `+` of an offset that was
not escaped.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.enquiry.errors import ParameterError
from gateway.epcis.errors import EpcisError
from gateway.epcis.moments import time_us

MAX_VALUES = 100  # of one parameter
MAX_CHARS = 2048
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)

Given = Mapping[str, Sequence[str]]  # by the parameter's name


def from_query_string(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """ParameterError for a parameter that stands twice."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name in found:
            raise ParameterError(f"{name:.80} was given twice; write several values with | between them")
        found[name] = bounded(name, value.split("|"))
    return found


def from_json(query: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """ParameterError for values of another type than text, number, truth value, or a list of them."""
    return {name: bounded(name, [_text(name, one) for one in _listed(value)]) for name, value in query.items()}


def bounded(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(values) <= MAX_VALUES:
        raise ParameterError(f"{name:.80}: expected 1 to {MAX_VALUES} values, got {len(values)}")
    for value in values:
        if not value or len(value) > MAX_CHARS or not value.isprintable():
            raise ParameterError(f"{name:.80}: expected 1 to {MAX_CHARS} printable characters, got {value!r:.60}")
    return tuple(values)


def one(name: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise ParameterError(f"{name} takes one value, got {len(values)}")
    return values[0]


def moment(name: str, values: Sequence[str]) -> int:
    """Microseconds since the Unix epoch."""
    try:
        return time_us(one(name, values).replace(" ", "+"))
    except EpcisError as e:
        raise ParameterError(f"{name}: {e}") from e


def is_moment(value: str) -> bool:
    try:
        time_us(value.replace(" ", "+"))
    except EpcisError:
        return False
    return True


def is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))


def number(name: str, value: str) -> float:
    if not is_number(value):
        raise ParameterError(f"{name}: expected a decimal number, got {value!r:.60}")
    return float(value)


def whole(name: str, values: Sequence[str], most: int) -> int:
    """A whole number from 1 to `most`."""
    text = one(name, values)
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
        raise ParameterError(f"{name}: expected a whole number from 1 to {most:,}, got {text!r:.40}")
    return int(text)


def truth(name: str, values: Sequence[str]) -> bool:
    text = one(name, values)
    if text not in ("true", "false"):
        raise ParameterError(f"{name}: expected true or false, got {text!r:.40}")
    return text == "true"


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else [value]


def _text(name: str, value: Any) -> str:
    if value is None and name.startswith("EXISTS_"):  # the query schema lets it be null, which means that it is given
        return "true"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) in (int, float):
        return repr(value)
    if type(value) is str:
        return value
    raise ParameterError(f"{name:.80}: expected a text, a number or a list of them, got {type(value).__name__}")
