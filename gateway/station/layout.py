"""Where on a face lot and expiry are printed, measured from the code: packs of one line look alike.

A full reading finds all print in an image, which takes most of a second; reading two known places takes a tenth. The
places only say where to look: what is read there must hold title and value as anywhere else, and what does not make an
accepted pack is read in full. So a layout can save time, and can never let a pack pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from gateway.station.code import Box
from gateway.station.ocr import Line
from gateway.station.printed import Printed, find_expiry, find_lot

MARGIN: Final = 0.25  # of a line's height, on three sides
BEHIND: Final = 1.5  # and behind its end: a longer value must not be cut to the one that is wanted
Rect = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass(frozen=True, slots=True)
class Layout:
    """Left, top, right and bottom of each place, in widths of the code from its top left."""

    places: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def of(cls, lines: Sequence[Line], code: Box) -> Self | None:
        """Of an accepted pack; None where a value does not stand in one row with its title."""
        places = [_place(found) for found in (find_lot(lines), find_expiry(lines))]
        if code.width <= 0:
            return None
        scaled = [
            tuple((at - origin) / code.width for at, origin in zip(place, (code.x, code.y) * 2, strict=True))
            for place in places
            if place is not None
        ]
        return cls(tuple(scaled)) if len(scaled) == 2 else None  # type: ignore[arg-type]  # four each

    def rects(self, code: Box, size: tuple[int, int]) -> tuple[Rect, ...] | None:
        """The places beside this code; None where one is not wholly in the image of this size."""
        found = []
        for place in self.places:
            left, top, right, bottom = (
                round(at * code.width + origin) for at, origin in zip(place, (code.x, code.y) * 2, strict=True)
            )
            if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
                return None
            found.append((left, top, right, bottom))
        return tuple(found)


def _place(found: Printed | None) -> tuple[float, float, float, float] | None:
    """Around the value and its title."""
    if found is None:
        return None
    value, title = found.line, found.title
    margin = MARGIN * value.height
    if not value.top < title.middle < value.bottom:
        return None
    return (
        min(title.left, value.left) - margin, min(title.top, value.top) - margin,
        max(title.right, value.right) + BEHIND * value.height, max(title.bottom, value.bottom) + margin,
    )  # fmt: skip
