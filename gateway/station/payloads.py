"""What the station reports of a pack: a `production` and an `inference` payload (docs/formats/kinds.md).

The inference names as its model what judged last: the two text models, or the code reader alone where its finding
already decided. Its score is 0 for every rejected pack, so that a limit on the series `score` raises the alert.
"""

import json
from importlib.metadata import version
from typing import Any, Final

from gateway.station.code import decoder_name, library_digest
from gateway.station.inspection import Inspection
from gateway.station.ocr import MODEL, Line, TextReader
from gateway.station.verdict import ACCEPT, THRESHOLD

REJECTED_STEP: Final = "rejecting"
MAX_NAME, MAX_LABEL, MAX_BOXES = 64, 1_024, 64


def production_payload(seen: Inspection, line: str, time_us: int) -> bytes | None:
    """What the line made, None where the code names no pack. A rejected pack is at the step `rejecting`."""
    if seen.code.problem:
        return None
    step = {} if seen.verdict.decision == ACCEPT else {"step": REJECTED_STEP}
    rest = {"image_digest": seen.digest, "decoder": decoder_name()}
    return _json({**seen.code.elements, **step, "line": line, "time": time_us / 1e6, **rest})


def inference_payload(seen: Inspection, text: TextReader | None, time_us: int) -> bytes:
    """The station's judgement, also where it read nothing."""
    verdict = seen.verdict
    return _json({
        "model": _model(seen, text),
        "preprocessing": [{"step": s.name, "params": s.params, "digest": s.digest} for s in seen.steps],
        "input": {"digest": seen.digest},
        "output": {"label": _label(seen), "boxes": _boxes(seen)},
        "decision": verdict.decision,
        **({} if text is None else {"score": verdict.score, "threshold": THRESHOLD}),
        "latency_ms": round(seen.code_ms + seen.text_ms, 3),
        "attribution": [{"feature": reason.name, "contribution": -1.0} for reason in verdict.reasons],
        "human_override": None,
        "time": time_us / 1e6,
    })  # fmt: skip


def _model(seen: Inspection, text: TextReader | None) -> dict[str, str]:
    if text is not None and seen.read_by_text:
        return {"name": MODEL, "version": text.version[:MAX_NAME], "digest": text.digest}
    return {"name": "zxing-cpp", "version": version("zxing-cpp"), "digest": library_digest()}


def _label(seen: Inspection) -> str | None:
    """What the code says, then what the print says."""
    parts = [seen.code.label or "".join(c if c.isprintable() else " " for c in seen.code.text)]
    parts += [f"LOT {seen.verdict.lot}"] if seen.verdict.lot else []
    parts += [f"EXP {seen.verdict.expiry}"] if seen.verdict.expiry else []
    return " | ".join(part for part in parts if part)[:MAX_LABEL] or None


def _boxes(seen: Inspection) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if seen.code_box is not None:
        box = seen.code_box
        found.append({"label": "DataMatrix", "x": box.x, "y": box.y, "width": box.width, "height": box.height})
    return found + [_line_box(line) for line in seen.lines[:MAX_BOXES]]


def _line_box(line: Line) -> dict[str, Any]:
    return {
        "label": line.text[:MAX_NAME], "x": round(line.left, 1), "y": round(line.top, 1),
        "width": round(line.right - line.left, 1), "height": round(line.height, 1), "score": round(line.score, 4),
    }  # fmt: skip


def _json(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
