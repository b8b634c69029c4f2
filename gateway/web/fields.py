"""Normalised fields as rows of a table: what it is, and its value in words."""

from typing import Any

from chain.store.segment import Fields
from gateway.preprocess.reading import Reading
from gateway.query.summary import format_value, short_series
from gateway.web.text import moment

LABELS = {
    "gtin": "Product (GTIN)", "lot": "Lot", "expiry": "Expiry", "serial": "Serial number", "line": "Line",
    "time_us": "Time stated", "step": "Step", "image_digest": "Image", "decoder": "Decoder",
    "model_digest": "Model file", "model_name": "Model", "model_version": "Model version",
    "preprocessing": "Preprocessing", "input_digest": "Input", "label": "Label", "scores": "Scores",
    "boxes": "Detections", "score": "Score", "threshold": "Threshold", "decision": "Decision",
    "latency_ms": "Latency (ms)", "attribution": "Attribution", "human_override": "Decided by a person",
    "subject": "Concerns",
}  # fmt: skip
MAX_ROWS = 64


def shown_fields(kind: int, fields: Fields) -> tuple[tuple[str, str, str], ...]:
    """(label, value, path) of the fields that say something; at most 64."""
    if kind == Reading.code:
        rows: Any = dict(fields).get("reading") or []
        shown = [(short_series(row[0]), format_value(row[1], row[2]), row[0]) for row in rows]
    else:
        shown = [
            (LABELS.get(path, path), _words(path, value), path) for path, value in fields if value not in (None, [], {})
        ]
    return tuple(shown[:MAX_ROWS])


def _words(path: str, value: Any) -> str:
    if path == "time_us" and isinstance(value, int):
        return f"{moment(value)} UTC"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words('', item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(" ".join(_words("", part) for part in item) if isinstance(item, list) else _words("", item)
                         for item in value)  # fmt: skip
    return format_value(value, "/") if type(value) is float else str(value)
