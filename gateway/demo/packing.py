"""A packing line: for each pack a printed label, a camera image, and what the label station made of its code.

The station's text models are left out here: they come with another extra and take most of a second each. What is
reported comes from the image alone, never from what the printer was told, as on a real line.
"""

import random
from dataclasses import dataclass
from datetime import date

from gateway.demo.label import Pack, photograph
from gateway.station.inspection import Inspector
from gateway.station.payloads import inference_payload, production_payload

SERIAL_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without letters and digits that look alike


@dataclass(frozen=True, slots=True)
class Inspection:
    """One pack under the camera. `production` is None when the code names no pack; `inference` says why."""

    printed: Pack
    image: bytes  # JPEG
    production: bytes | None
    inference: bytes


@dataclass(frozen=True, slots=True)
class PackingLine:
    """A line that runs one lot. The same seed gives the same packs, images and print defects."""

    seed: int
    line: str = "line-1"
    product: str = "Exemplarin 200 mg"
    gtin: str = "09506000134352"  # of the prefix that GS1 keeps for examples
    lot: str = "L2611A"
    expiry: date = date(2029, 4, 30)
    defect_rate: float = 0.02  # share of packs with a print defect over the code

    def pack(self, number: int) -> Pack:
        """The pack of this number, its serial random as the EU's delegated regulation 2016/161 asks."""
        rng = random.Random(f"serial {self.seed} {self.lot} {number}")  # noqa: S311 - a demo must repeat
        serial = "".join(rng.choices(SERIAL_ALPHABET, k=12))
        return Pack(self.product, self.gtin, self.lot, self.expiry, serial)

    def inspect(self, number: int, time_us: int) -> Inspection:
        """Print, photograph and read the pack of this number. time_us: microseconds since the Unix epoch."""
        pack = self.pack(number)
        chance = random.Random(f"defect {self.seed} {number}").random()  # noqa: S311 - a demo must repeat
        image = photograph(pack, f"image {self.seed} {number}", chance < self.defect_rate)
        seen = Inspector(text=None).inspect(image, time_us)
        production = production_payload(seen, self.line, time_us)
        return Inspection(pack, image, production, inference_payload(seen, None, time_us))
