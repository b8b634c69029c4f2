"""Draws what the camera over a packing line sees: the face of a carton with a GS1 DataMatrix and printed text.

The same pack and seed give the same image bytes on the same version of Pillow. Print defects are drawn over the
code, and whether it can still be read is up to the reader.
"""

import random
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

FRAME = (640, 420)  # pixels of the camera
FACE = (540, 320)  # pixels of the carton's face
MODULE = 6  # pixels of one module of the code
CODE_AT = (36, 132)


@dataclass(frozen=True, slots=True)
class Pack:
    """What the printer is told to print."""

    product: str
    gtin: str  # 14 digits
    lot: str
    expiry: date
    serial: str

    def element_string(self) -> str:
        """The GS1 element string with AIs in brackets."""
        return f"(01){self.gtin}(17){self.expiry:%y%m%d}(10){self.lot}(21){self.serial}"


def photograph(pack: Pack, seed: str, damaged: bool, printed: Pack | None = None) -> bytes:
    """The camera image as JPEG bytes, 8 bit grey. `printed`: what the text says where it differs from the code."""
    rng = random.Random(seed)  # noqa: S311 - scenery, not keys
    face = _face(pack, printed or pack)
    if damaged:
        _damage(face, rng)
    image = _light(_on_conveyor(face, rng), rng)
    out = BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


def _face(pack: Pack, printed: Pack) -> "Image":
    from PIL import Image, ImageDraw

    face = Image.new("L", FACE, 226)
    draw = ImageDraw.Draw(face)
    draw.rectangle((0, 0, FACE[0], 78), fill=96)
    draw.polygon(((400, 0), (FACE[0], 0), (FACE[0], 78), (340, 78)), fill=140)
    draw.text((34, 14), pack.product, font=_font(32), fill=250)
    draw.text((36, 88), "12 film-coated tablets, oral use", font=_font(19), fill=60)
    code = _code(pack.element_string())
    face.paste(248, (CODE_AT[0] - 14, CODE_AT[1] - 14, CODE_AT[0] + code.width + 14, CODE_AT[1] + code.height + 14))
    face.paste(code, CODE_AT)
    _print_lines(draw, printed, CODE_AT[0] + code.width + 30)
    draw.rectangle((0, 0, FACE[0] - 1, FACE[1] - 1), outline=170, width=2)
    return face


def _print_lines(draw: "ImageDraw", pack: Pack, left: int) -> None:
    lines = (("PC", pack.gtin), ("SN", pack.serial), ("LOT", pack.lot), ("EXP", f"{pack.expiry:%Y-%m-%d}"))
    for i, (title, text) in enumerate(lines):
        top = CODE_AT[1] - 4 + i * 38
        draw.text((left, top), title, font=_font(24), fill=40)
        draw.text((left + 62, top), text, font=_font(24), fill=24)


def _code(element_string: str) -> "Image":
    import zxingcpp
    from PIL import Image

    barcode = zxingcpp.create_barcode(element_string, zxingcpp.BarcodeFormat.DataMatrix, gs1=True)
    modules = Image.fromarray(barcode.to_image(scale=MODULE, add_quiet_zones=False))
    return modules.point([24] * 128 + [248] * 128)  # ink is not black and board is not white


def _damage(face: "Image", rng: random.Random) -> None:
    """A ribbon crease: stripes of the code that got no ink."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(face)
    x, y = CODE_AT
    for _ in range(4):
        top = y + rng.randrange(0, 130)
        draw.line((x - 10, top, x + 170, top + rng.randrange(-30, 30)), fill=240, width=rng.randrange(12, 22))


def _on_conveyor(face: "Image", rng: random.Random) -> "Image":
    """The face on the belt, shifted and turned a little, with its shadow, a bit out of focus."""
    from PIL import Image, ImageFilter

    angle = rng.uniform(-4.0, 4.0)
    turned = face.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    mask = Image.new("L", face.size, 255).rotate(angle, Image.Resampling.BILINEAR, expand=True)
    left = (FRAME[0] - turned.width) // 2 + rng.randrange(-14, 15)
    top = (FRAME[1] - turned.height) // 2 + rng.randrange(-10, 11)
    frame = Image.new("L", FRAME, 58)
    frame.paste(30, (left + 7, top + 9), mask)
    frame.paste(turned, (left, top), mask)
    return frame.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 0.9)))


def _light(frame: "Image", rng: random.Random) -> "Image":
    """Uneven light over the frame, then sensor noise."""
    from PIL import Image, ImageChops

    dimmest = rng.randrange(165, 192)
    light = _gradient(rng.randrange(4)).point([dimmest + i // 4 for i in range(256)])
    noise = Image.frombytes("L", FRAME, rng.randbytes(FRAME[0] * FRAME[1])).point([119 + i // 14 for i in range(256)])
    return ImageChops.add(ImageChops.multiply(frame, light), noise, offset=-128)


@lru_cache(maxsize=4)
def _gradient(quarter_turns: int) -> "Image":
    from PIL import Image

    return Image.linear_gradient("L").rotate(90 * quarter_turns).resize(FRAME)


@lru_cache(maxsize=8)
def _font(size: int) -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)  # the font inside Pillow: the same on every machine
