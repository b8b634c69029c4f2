"""The image turned so that the code stands upright, with the code itself painted over: readers of text take its
modules for letters otherwise."""

from dataclasses import dataclass
from hashlib import sha256
from math import cos, radians, sin
from typing import TYPE_CHECKING, Final, Self

from gateway.station.code import Box, Code, Corner

if TYPE_CHECKING:
    from PIL.Image import Image

PAPER: Final = 235
LEVEL: Final = 1.5  # degrees that need no turning


@dataclass(frozen=True, slots=True)
class Upright:
    """`angle`: degrees by which the image was turned counter-clockwise. `digest`: SHA-256 of the grey pixels."""

    pixels: "Image"
    angle: float
    code_box: Box
    digest: str

    @classmethod
    def of(cls, pixels: "Image", code: Code, turn: int = 0) -> Self:
        """Turned by the code's own angle and `turn` degrees more."""
        from PIL import Image, ImageDraw

        angle = (code.angle + turn) % 360
        angle = 0.0 if min(angle, 360 - angle) < LEVEL else angle
        masked = pixels.copy()
        ImageDraw.Draw(masked).polygon(code.corners, fill=PAPER)
        turned = masked.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=128) if angle else masked
        box = _turned_box(code.corners, angle, pixels.size, turned.size)
        return cls(turned, angle, box, sha256(turned.tobytes()).hexdigest())


def _turned_box(corners: tuple[Corner, ...], angle: float, before: tuple[int, int], after: tuple[int, int]) -> Box:
    """The upright box around the corners, after a turn about the middle."""
    c, s = cos(radians(angle)), sin(radians(angle))
    moved = [(x - before[0] / 2, y - before[1] / 2) for x, y in corners]
    xs = [x * c + y * s + after[0] / 2 for x, y in moved]
    ys = [-x * s + y * c + after[1] / 2 for x, y in moved]
    left, top = round(min(xs)), round(min(ys))
    return Box(left, top, round(max(xs)) - left, round(max(ys)) - top)
