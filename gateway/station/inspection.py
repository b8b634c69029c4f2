"""One image looked at: decode, code, print, verdict, each step with its digest and its time.

Trust boundary: the image is untrusted; whatever it is, an inspection comes back, and one that could not be made is a
rejection with its reason. What is reported comes from the image alone, never from what a printer was told.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from time import perf_counter
from typing import TYPE_CHECKING, Final

from gateway.station.code import Box, Code, library_digest, read_code
from gateway.station.errors import ImageRefusedError
from gateway.station.image import Frame, decode
from gateway.station.layout import Layout
from gateway.station.ocr import DETECT_SIDE, Line, TextReader
from gateway.station.printed import find_expiry, find_lot
from gateway.station.upright import Upright
from gateway.station.verdict import ACCEPT, REJECT, Reason, Verdict, compare, of_code

if TYPE_CHECKING:
    from PIL.Image import Image

_BLANK: Final = b"P5 32 32 255\n" + bytes([200]) * 1024
QUARTER_TURNS: Final = (0, 180, 90, 270)  # degrees; print mostly runs as the code does


@dataclass(frozen=True, slots=True)
class Step:
    """One step of preparing the image. `digest`: SHA-256 of the bytes that came out of it."""

    name: str
    params: dict[str, bool | int | float | str | None]
    digest: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the station made of one image. Milliseconds are of reading the code and the print, apart.
    `read_by_text`: whether the text models saw the image; they do not where the code already rejects the pack."""

    digest: str  # SHA-256 of the image as it came
    code: Code
    verdict: Verdict
    lines: tuple[Line, ...] = ()
    code_box: Box | None = None  # in the pixels that the lines' boxes are in
    steps: tuple[Step, ...] = ()
    code_ms: float = 0.0
    text_ms: float = 0.0
    read_by_text: bool = False

    def rejected_for(self, reason: Reason) -> "Inspection":
        """The same, rejected for one more reason."""
        old = self.verdict
        return replace(self, verdict=replace(old, decision=REJECT, score=0.0, reasons=(*old.reasons, reason)))


class Inspector:
    """Looks at images one at a time. Without `text` only the code is read, and nothing is compared with it."""

    def __init__(self, text: TextReader | None, lot_pattern: str | None = None) -> None:
        self.text, self._pattern = text, lot_pattern
        self._layout: Layout | None = None  # of the newest pack that was accepted on a full reading
        self._turn = 0  # quarter turn between code and print, likewise
        self.inspect(_BLANK, 0)  # what is loaded and hashed once shall not be in the time of the first image
        library_digest()
        if text is not None:
            text.warm_up()

    def inspect(self, image: bytes, now_us: int) -> Inspection:
        """Whatever the bytes are. now_us: microseconds since the Unix epoch, for what has expired."""
        started = perf_counter()
        try:
            frame = decode(image)
        except ImageRefusedError as e:
            refused = Verdict(REJECT, 0.0, (Reason("image", str(e)[:300]),))
            return Inspection(sha256(image).hexdigest(), Code("no-code"), refused, code_ms=_since(started))
        today = datetime.fromtimestamp(now_us / 1e6, UTC).date()
        code = read_code(frame.pixels, today.year)
        steps = (_decoded(frame), *_found(code))
        reasons = tuple(of_code(code, today))
        verdict = Verdict(REJECT if reasons else ACCEPT, 0.0, reasons)
        seen = Inspection(frame.digest, code, verdict, (), code.box, steps, _since(started))
        return seen if self.text is None or reasons else self._with_print(seen, frame.pixels, self.text, now_us)

    def _with_print(self, seen: Inspection, pixels: "Image", reader: TextReader, now_us: int) -> Inspection:
        """First where the pack before had its print; what is not accepted so is read in full."""
        started = perf_counter()
        today = datetime.fromtimestamp(now_us / 1e6, UTC).date()
        read = self._at_known_places(seen.code, pixels, reader)
        verdict = None if read is None else compare(seen.code, read.lines, today, self._pattern)
        if read is None or verdict is None or verdict.decision == REJECT:
            read = self._in_full(seen.code, pixels, reader)
            verdict = compare(seen.code, read.lines, today, self._pattern)
            if verdict.decision == ACCEPT:
                self._layout = Layout.of(read.lines, read.upright.code_box)
        steps = (*seen.steps, _turned(read.upright), read.step)
        return replace(
            seen, verdict=verdict, lines=read.lines, code_box=read.upright.code_box, steps=steps,
            text_ms=_since(started), read_by_text=True,
        )  # fmt: skip

    def _at_known_places(self, code: Code, pixels: "Image", reader: TextReader) -> "_Read | None":
        if self._layout is None:
            return None
        upright = Upright.of(pixels, code, self._turn)
        rects = self._layout.rects(upright.code_box, upright.pixels.size)
        if rects is None:
            return None
        lines, digest = reader.read_at(upright.pixels, rects)
        params: dict[str, bool | int | float | str | None] = {"recogniser": reader.digests[1]}
        for name, rect in zip(("lot", "expiry"), rects, strict=True):
            params |= {f"{name}_{edge}": at for edge, at in zip(("left", "top", "right", "bottom"), rect, strict=True)}
        return _Read(upright, lines, Step("crop-rgb", params, digest))

    def _in_full(self, code: Code, pixels: "Image", reader: TextReader) -> "_Read":
        """Turned as the code is; if no title is read then, turned by quarters, since a code may lie across."""
        first = None
        detector, recogniser = reader.digests
        for turn in QUARTER_TURNS:
            upright = Upright.of(pixels, code, turn)
            lines, rgb = reader.read(upright.pixels)
            seen = Step("to-rgb", {"detector": detector, "recogniser": recogniser, "detect_side": DETECT_SIDE}, rgb)
            read = _Read(upright, lines, seen)
            first = first or read
            if find_lot(lines) or find_expiry(lines):
                self._turn = turn
                return read
        assert first is not None
        return first


@dataclass(frozen=True, slots=True)
class _Read:
    """One reading of print: the image as it was turned, the lines, and the step that led to them."""

    upright: Upright
    lines: tuple[Line, ...]
    step: Step


def _turned(upright: Upright) -> Step:
    return Step("upright", {"degrees": round(upright.angle, 2), "code_masked": True}, upright.digest)


def _decoded(frame: Frame) -> Step:
    width, height = frame.pixels.size
    return Step("decode", {"from": frame.encoding, "mode": "L", "width": width, "height": height}, frame.pixels_digest)


def _found(code: Code) -> tuple[Step, ...]:
    """What came out is the code's text; nothing came out where there is none."""
    if not code.text:
        return ()
    return (Step("read-code", {"library": library_digest()}, sha256(code.text.encode()).hexdigest()),)


def _since(started: float) -> float:
    return round((perf_counter() - started) * 1000, 3)
