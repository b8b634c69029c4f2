"""The code reader: finds the DataMatrix in an image and takes its GS1 element string, or Digital Link, apart.

Trust boundary: the image is untrusted, and so is what the code says. Reading is by zxing-cpp, the grammar of element
strings by biip (GS1 General Specifications, section 7.8); check digits and dates are verified here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from math import atan2, degrees
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.epcis.digital_link import elements_of_link
from gateway.epcis.errors import EpcisError
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.gs1 import expiry_date, gtin14
from gateway.station.errors import StationMissingError

if TYPE_CHECKING:
    from PIL.Image import Image

AIS: Final = {"01": "gtin", "10": "lot", "17": "expiry", "21": "serial"}
MAX_TEXT: Final = 512
LINKS: Final = ("http://", "https://")
Corner = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels of the image as it came."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Code:
    """What was read. `problem` is empty, or why no pack can be told from it: no-code, several-codes, not-gs1,
    incomplete or check-digit. `expiry` is the date that AI (17) means."""

    problem: str
    text: str = ""
    elements: Mapping[str, str] = field(default_factory=dict)  # production field -> value as read
    label: str | None = None  # the element string with AIs in brackets
    expiry: date | None = None
    corners: tuple[Corner, ...] = ()  # of the symbol, its own top left first, clockwise
    box: Box | None = None

    @property
    def angle(self) -> float:
        """Degrees by which the symbol is turned clockwise."""
        (x0, y0), (x1, y1) = self.corners[:2]
        return degrees(atan2(y1 - y0, x1 - x0))


def read_code(pixels: "Image", year: int) -> Code:
    """Find the one code in grey pixels. `year` is the current one, for the century of two-digit years."""
    found = {code.text: code for code in _symbols(pixels)}
    if not found:
        return Code("no-code")
    if len(found) > 1:
        return Code("several-codes", " ".join(sorted(found))[:MAX_TEXT])
    text, symbol = next(iter(found.items()))
    return _parsed(symbol.symbology_identifier, text[:MAX_TEXT], _corners(symbol.position), year)


def _symbols(pixels: "Image") -> list[Any]:
    try:
        import biip  # noqa: F401 - here, so that the first code does not pay for it
        import zxingcpp
    except ImportError as e:
        raise StationMissingError(f"{e}; install the extra: pip install 'sealtrail[vision]'") from e
    wanted = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.DataMatrix)
    return list(zxingcpp.read_barcodes(pixels, formats=wanted, text_mode=zxingcpp.TextMode.Plain))


def _parsed(symbology: str, text: str, corners: tuple[Corner, ...], year: int) -> Code:
    box = _box(corners)
    values = _of_link(text) if text.lower().startswith(LINKS) else _of_elements(symbology + text)
    if values is None:
        return Code("not-gs1", text, corners=corners, box=box)
    elements = {AIS[ai]: value for ai, value in values.items() if ai in AIS}
    label = "".join(f"({ai}){value}" for ai, value in values.items())
    problem, expiry = _checked(elements, year)
    return Code(problem, text, elements, label, expiry, corners, box)


def _of_elements(scanned: str) -> dict[str, str] | None:
    """AI and value of an element string; None if it is none."""
    import biip

    message = biip.parse(scanned).gs1_message
    return None if message is None else {e.ai.ai: e.value for e in message.element_strings}


def _of_link(url: str) -> dict[str, str] | None:
    """AI and value of a GS1 Digital Link; None if it is none, or a key in it is wrong."""
    try:
        return dict(elements_of_link(url))
    except EpcisError:
        return None


def _checked(elements: dict[str, str], year: int) -> tuple[str, date | None]:
    if len(elements) < len(AIS):
        return "incomplete", None
    try:
        gtin14(elements["gtin"])
    except PayloadRejected:
        return "check-digit", None
    try:
        return "", expiry_date(elements["expiry"], year)
    except PayloadRejected:
        return "not-gs1", None


def _corners(position: Any) -> tuple[Corner, ...]:
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    return tuple((corner.x, corner.y) for corner in corners)


def _box(corners: tuple[Corner, ...]) -> Box:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def decoder_name() -> str:
    """Name and version of the code reader."""
    return f"zxing-cpp {version('zxing-cpp')}"


@lru_cache(maxsize=1)
def library_digest() -> str:
    """SHA-256 of zxing-cpp's compiled library, the code that reads."""
    from zxingcpp import zxingcpp as library

    return sha256(Path(str(library.__file__)).read_bytes()).hexdigest()
