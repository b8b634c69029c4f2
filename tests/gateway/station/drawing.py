"""Camera images for the station's tests: drawn faces of cartons, with what can be wrong with one."""

import random
from dataclasses import replace
from datetime import date
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance

from gateway.demo.label import CODE_AT, FRAME, Pack, photograph

NOW_US = 1_795_000_000_000_000  # November 2026
PACK = Pack("Exemplarin 200 mg", "09506000134352", "L2611A", date(2029, 4, 30), "4M8GJ65R2ZRE")


def drawn(seed: str = "a", pack: Pack = PACK, **printed: Any) -> bytes:
    """A pack's image; `printed` names what the text says otherwise than the code."""
    return photograph(pack, seed, False, replace(pack, **printed))


def changed(image: bytes, work: Any) -> bytes:
    """The image after `work` on its pixels."""
    out = BytesIO()
    work(Image.open(BytesIO(image))).save(out, "PNG")
    return out.getvalue()


def turned(image: bytes, degrees: float) -> bytes:
    return changed(image, lambda pixels: pixels.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=58))


def pale(image: bytes) -> bytes:
    """A quarter of the contrast, in poor light."""
    return changed(
        image, lambda pixels: ImageEnhance.Brightness(ImageEnhance.Contrast(pixels).enhance(0.25)).enhance(0.6)
    )


def smudged(image: bytes) -> bytes:
    """Wet ink wiped over the code."""

    def wipe(pixels: Image.Image) -> Image.Image:
        draw, rng = ImageDraw.Draw(pixels), random.Random(5)
        for _ in range(9):
            y = CODE_AT[1] + 40 + rng.randrange(0, 140)
            draw.line((60, y, 230, y + rng.randrange(-40, 40)), fill=rng.choice((40, 220)), width=11)
        return pixels

    return changed(image, wipe)


def side_by_side(one: bytes, other: bytes) -> bytes:
    """Two packs in one frame."""
    both = Image.new("L", (FRAME[0] * 2, FRAME[1]), 58)
    both.paste(Image.open(BytesIO(one)), (0, 0))
    both.paste(Image.open(BytesIO(other)), (FRAME[0], 0))
    return changed(one, lambda _: both)


def code_only(element_string: str, *, gs1: bool = True) -> bytes:
    """A DataMatrix alone."""
    import zxingcpp

    code = zxingcpp.create_barcode(element_string, zxingcpp.BarcodeFormat.DataMatrix, gs1=gs1)
    out = BytesIO()
    Image.fromarray(code.to_image(scale=5)).save(out, "PNG")
    return out.getvalue()
