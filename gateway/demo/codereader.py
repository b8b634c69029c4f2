"""The code reader of the packing line: JPEG in, what was read out, as a production and an inference payload.

The inference describes the reader itself, zxing-cpp, as the model: digest of its library file, version, the chain
that leads from image bytes to pixels, and the measured time. A code reader has no score, so none is claimed.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any

AIS = {"01": "gtin", "10": "lot", "17": "expiry", "21": "serial"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader made of one image. `elements` is empty if nothing could be read."""

    image_digest: str
    pixels_digest: str
    elements: dict[str, str]  # production field -> value as read
    label: str | None  # the element string with AIs in brackets
    box: dict[str, Any] | None
    latency_ms: float

    @property
    def decision(self) -> str:
        """read, incomplete (an AI of the four is missing), or unreadable."""
        if self.label is None:
            return "unreadable"
        return "read" if len(self.elements) == len(AIS) else "incomplete"


def read(image: bytes) -> Reading:
    """Decode one JPEG image, find its DataMatrix, parse its element string."""
    import biip
    import zxingcpp
    from PIL import Image

    data_matrix = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.DataMatrix)
    started = perf_counter()
    pixels = Image.open(BytesIO(image)).convert("L")
    code = zxingcpp.read_barcode(pixels, formats=data_matrix, text_mode=zxingcpp.TextMode.Plain)
    message = None if code is None else biip.parse(code.symbology_identifier + code.text).gs1_message
    elements = {} if message is None else {e.ai.ai: e.value for e in message.element_strings}
    latency_ms = round((perf_counter() - started) * 1000, 3)
    return Reading(
        image_digest=sha256(image).hexdigest(),
        pixels_digest=sha256(pixels.tobytes()).hexdigest(),
        elements={AIS[ai]: value for ai, value in elements.items() if ai in AIS},
        label="".join(f"({ai}){value}" for ai, value in elements.items()) or None,
        box=None if code is None else _box(code.position),
        latency_ms=latency_ms,
    )


def _box(position: Any) -> dict[str, Any]:
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    xs, ys = [corner.x for corner in corners], [corner.y for corner in corners]
    size = {"width": max(xs) - min(xs), "height": max(ys) - min(ys)}
    return {"label": "DataMatrix", "x": min(xs), "y": min(ys), **size}


def production_payload(reading: Reading, line: str, time_us: int) -> bytes | None:
    """A `production` payload of what was read, None unless all four elements were."""
    if reading.decision != "read":
        return None
    rest = {"image_digest": reading.image_digest, "decoder": f"zxing-cpp {version('zxing-cpp')}"}
    return _json({**reading.elements, "line": line, "time": time_us / 1e6, **rest})


def inference_payload(reading: Reading, time_us: int) -> bytes:
    """An `inference` payload about the reader's judgement, also when it read nothing."""
    step = {"step": "decode-jpeg", "params": {"mode": "L"}, "digest": reading.pixels_digest}
    return _json(
        {
            "model": {"name": "zxing-cpp", "version": version("zxing-cpp"), "digest": library_digest()},
            "preprocessing": [step],
            "input": {"digest": reading.image_digest},
            "output": {"label": reading.label, "boxes": [reading.box] if reading.box else []},
            "decision": reading.decision,
            "latency_ms": reading.latency_ms,
            "human_override": None,
            "time": time_us / 1e6,
        }
    )


@lru_cache(maxsize=1)
def library_digest() -> str:
    """SHA-256 of zxing-cpp's compiled library, the code that reads."""
    from zxingcpp import zxingcpp as library

    return sha256(Path(str(library.__file__)).read_bytes()).hexdigest()


def _json(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
