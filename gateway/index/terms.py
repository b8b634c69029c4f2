"""What of a record's normalised fields can be searched and plotted, by kind. See gateway.preprocess for the fields.

Fields come from an authenticated segment and are well-formed; kinds that are not known here have no terms.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from chain.store.segment import Fields
from gateway.preprocess.epcis import Epcis, terms_of_thing
from gateway.preprocess.inference import Inference
from gateway.preprocess.production import Production
from gateway.preprocess.reading import Reading
from gateway.preprocess.sealed_object import SealedObject
from gateway.preprocess.shipment import Shipment

TERM_NAMES = ("series", "gtin", "lot", "serial", "line", "model", "input", "decision", "epc")
MAX_TERM_CHARS = 256
_READING = Reading.code
_TERMS: Mapping[int, Mapping[str, str]] = {
    Production.code: {
        "gtin": "gtin", "lot": "lot", "serial": "serial", "line": "line", "image_digest": "input",
    },
    Inference.code: {
        "model_name": "model", "model_digest": "model", "input_digest": "input", "decision": "decision",
    },
    SealedObject.code: {"object": "input", "digest": "input"},
    Shipment.code: {"shipment": "input"},
}  # fmt: skip


class Point(NamedTuple):
    """One measured value in its base unit; time in microseconds since the Unix epoch."""

    series: str
    unit: str
    time_us: int
    value: float


def terms_of(kind: int, fields: Fields) -> tuple[tuple[str, str], ...]:
    """(term, value) pairs by which the event is found, each once, in the order of its fields."""
    if kind == _READING:
        rows = _rows(fields)
        if len(rows) == 1:  # by far the most
            return (("series", rows[0][0][:MAX_TERM_CHARS]),)
        found = [("series", row[0]) for row in rows]
    elif kind == Epcis.code:
        found = [term for row in _rows(fields, "things") for term in terms_of_thing(row[1])]
    else:
        names = _TERMS.get(kind, {})
        found = [(names[path], value) for path, value in fields if path in names and type(value) is str]
    return tuple(dict.fromkeys((name, value[:MAX_TERM_CHARS]) for name, value in found))


def points_of(kind: int, fields: Fields, sensed_us: int) -> list[Point]:
    """The numbers in an event that make a curve: readings, and the score of an inference."""
    if kind == _READING:
        return [Point(row[0], row[2] or "", row[3], row[1]) for row in _rows(fields) if _plottable(row[1])]
    if kind == Inference.code:
        scores = [value for path, value in fields if path == "score" and isinstance(value, float)]
        return [Point("score", "/", sensed_us, score) for score in scores if _plottable(score)]
    return []


def _rows(fields: Fields, field: str = "reading") -> list[Any]:
    for path, value in fields:
        if path == field:
            return value if type(value) is list else []
    return []


def _plottable(value: object) -> bool:
    return type(value) is float and math.isfinite(value)
