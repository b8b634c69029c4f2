"""The maker's packing line: drawn packs before a real label station, which reads code and print and compares them.

One pack has another lot printed than its code says, as when a printer kept the last batch's text.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from crypto.keys import Algorithm
from gateway.demo.errors import DemoError
from gateway.demo.label import Pack, photograph
from gateway.device.enrolment import enrol
from gateway.device.identity import is_enrolled

WRONG_LOT = "EX2610F"
STATION_S = 120.0


def can_read() -> bool:
    """Whether the extra `vision` is here, without which nobody reads print."""
    return find_spec("rapidocr") is not None


def draw(folder: Path, packs: Sequence[Pack], wrong: int) -> None:
    """An image of each pack, in order; pack number `wrong` has another lot printed. Blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pack in enumerate(packs):
        printed = Pack(pack.product, pack.gtin, WRONG_LOT, pack.expiry, pack.serial) if number == wrong else None
        (folder / f"{number:04}.jpg").write_bytes(photograph(pack, f"pharma {number}", False, printed))


def enrolled(url: str, code: str, folder: Path) -> None:
    """The station gets its key and its place at the maker's gateway, once. Blocks."""
    if not is_enrolled(folder):
        enrol(url, code, folder, Algorithm.ED25519)


async def inspect(images: Path, device: Path) -> list[dict[str, Any]]:
    """What `sealtrail station run` says of each image, in order."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sealtrail", "station", "run", "--folder", str(images), "--device", str(device), "--once",
        "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, errors = await asyncio.wait_for(process.communicate(), STATION_S)
    except TimeoutError as e:
        raise DemoError(f"the label station did not end within {STATION_S:.0f} s") from e
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [json.loads(line) for line in said.splitlines()]
    if not lines:
        raise DemoError(f"the label station said nothing: {errors.decode(errors='replace')[-1000:]}")
    return lines


def pack(product: str, lot: str, expiry: str, serial: str) -> Pack:
    return Pack("Exemplarin 200 mg", product, lot, date.fromisoformat(expiry), serial)
