"""The text reader: lines of print from an image by two ONNX models, one that finds text and one that reads it.

The models are those inside the wheel of rapidocr; nothing is ever fetched. They run on onnxruntime, on the CPU.
Trust boundary: pixels are untrusted but bounded (image.py); what a model says is a claim with a score, never a fact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from gateway.station.errors import StationMissingError

if TYPE_CHECKING:
    from PIL.Image import Image

DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
MODEL: Final = "PP-OCRv6 small"
DETECT_SIDE: Final = 736  # the longer side of what the detector sees, in pixels
MAX_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One line of print: what it says, how sure the model is (0 to 1), and its upright box in pixels."""

    text: str
    score: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class TextReader:
    """Loads once, which takes about a second; then one image at a time."""

    def __init__(self, threads: int = -1) -> None:
        """`threads`: of one inference; −1 leaves it to onnxruntime. Raises StationMissingError."""
        try:
            import rapidocr
        except ImportError as e:
            raise StationMissingError(f"{e}; install the extra: pip install 'sealtrail[vision]'") from e
        models = Path(str(rapidocr.__file__)).parent / "models"
        self.files = (models / DETECTOR, models / RECOGNISER)
        for file in self.files:
            if not file.is_file():
                raise StationMissingError(f"{file.name} is not in the installed rapidocr; install version 3.10 of it")
        self._lock = Lock()
        self._engine: Any = rapidocr.RapidOCR(params=self._params(threads))

    def _params(self, threads: int) -> dict[str, Any]:
        detector, recogniser = map(str, self.files)
        return {
            "Global.log_level": "critical", "Global.use_cls": False, "Global.text_score": 0.0,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "Det.model_path": detector, "Det.limit_type": "max", "Det.limit_side_len": DETECT_SIDE,
            "Rec.model_path": recogniser,
        }  # fmt: skip

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each model file: the detector's, the recogniser's."""
        return tuple(sha256(file.read_bytes()).hexdigest() for file in self.files)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of both model files one after the other, as `cat DETECTOR RECOGNISER | sha256sum` gives it."""
        whole = sha256()
        for file in self.files:
            whole.update(file.read_bytes())
        return whole.hexdigest()

    def warm_up(self) -> None:
        """Load the models and hash their files, as the first image would."""
        from PIL import Image

        self.read(Image.new("L", (64, 64), 200))
        assert self.digest
        assert self.digests

    @property
    def version(self) -> str:
        return f"rapidocr {version('rapidocr')}, onnxruntime {version('onnxruntime')}"

    def read(self, pixels: "Image") -> tuple[tuple[Line, ...], str]:
        """The lines from top to bottom, and the SHA-256 of the RGB bytes that the models saw."""
        import numpy as np

        colour = np.asarray(pixels.convert("RGB"))
        with self._lock:
            found = self._engine(colour, use_det=True)
        if found.boxes is None or found.txts is None:
            return (), sha256(colour.tobytes()).hexdigest()
        rows = zip(found.boxes, found.txts, found.scores, strict=True)
        lines = [_line(box, text, float(score)) for box, text, score in rows if text.strip()]
        return tuple(sorted(lines[:MAX_LINES], key=lambda line: line.top)), sha256(colour.tobytes()).hexdigest()

    def read_at(self, pixels: "Image", rects: Sequence[tuple[int, int, int, int]]) -> tuple[tuple[Line, ...], str]:
        """One line of print at each place, without looking for any; and the SHA-256 of the RGB bytes of the places, one
        after the other."""
        import numpy as np

        lines, seen = [], sha256()
        for rect in rects:
            colour = np.asarray(pixels.crop(rect).convert("RGB"))
            seen.update(colour.tobytes())
            with self._lock:
                found = self._engine(colour, use_det=False)
            if found.txts and found.txts[0].strip():
                lines.append(Line(found.txts[0].strip(), float(found.scores[0]), *map(float, rect)))
        return tuple(lines), seen.hexdigest()


def _line(box: Any, text: str, score: float) -> Line:
    xs, ys = [float(point[0]) for point in box], [float(point[1]) for point in box]
    return Line(text.strip(), score, min(xs), min(ys), max(xs), max(ys))
