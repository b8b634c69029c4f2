"""The camera's bytes as pixels, within limits that hold before anything is decoded.

Trust boundary: takes untrusted bytes, and every way in which a decoder can fail on them ends in ImageRefusedError.
A small file may claim a huge picture (a decompression bomb), so the claimed size is checked before a pixel is made.
"""

import warnings
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Final

from gateway.station.errors import ImageRefusedError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
MIN_SIDE, MAX_SIDE = 32, 16_384  # pixels
FORMATS: Final = ("JPEG", "PNG", "BMP", "PPM", "WEBP")


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded image, 8 bit grey. Digests are SHA-256 in hex: `digest` of the bytes as they came, `pixels_digest`
    of the grey pixels, row by row."""

    digest: str
    pixels_digest: str
    encoding: str  # JPEG, PNG, …
    pixels: "Image"


def decode(data: bytes) -> Frame:
    """Decode one image file. Raises ImageRefusedError."""
    from PIL import Image, UnidentifiedImageError

    check_size(len(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(BytesIO(data), formats=FORMATS)
        _check_claim(*opened.size)
        encoding = str(opened.format)
        pixels = opened.convert("L")
    except ImageRefusedError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise ImageRefusedError(f"expected an image of at most {MAX_PIXELS:,} pixels: {e!s:.200}") from e
    except UnidentifiedImageError as e:
        raise ImageRefusedError(f"expected an image as {', '.join(FORMATS)}; these bytes are none of them") from e
    except Exception as e:  # decoders of damaged files raise nearly anything
        raise ImageRefusedError(f"expected a whole image as {', '.join(FORMATS)}: {e!s:.200}") from e
    return Frame(sha256(data).hexdigest(), sha256(pixels.tobytes()).hexdigest(), encoding, pixels)


def check_size(size: int) -> None:
    """Refuse a file by its size in bytes, before it is read. Raises ImageRefusedError."""
    if not 0 < size <= MAX_FILE_BYTES:
        raise ImageRefusedError(f"expected an image file of 1 to {MAX_FILE_BYTES:,} bytes, got {size:,}")


def _check_claim(width: int, height: int) -> None:
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise ImageRefusedError(
            f"expected sides of {MIN_SIDE} to {MAX_SIDE:,} pixels and at most {MAX_PIXELS:,} in all,"
            f" got {width} x {height}"
        )
