"""A large lot from the line to the next company: made, packed, shipped, handed over and received, with memory flat.

The long form is a million serials in ten thousand cases on a hundred pallets.
"""

import os
import time
from pathlib import Path

import pytest

from chain.store import database
from tests.gateway.custody.goods import companies, kept, lot_uri, pack, sscc
from tests.torture.scale import LONG, scaled

PACKS_IN_CASE, CASES_ON_PALLET = 100, 100
PALLETS = scaled(1, 100)
CASES = scaled(6, 100)  # on each pallet
EVENT = 1000  # packs in one commissioning event
LOT = "LOT-MILLION"
TRUCK = 25  # pallets in one hand-over
GROWTH_BYTES = 192 * 2**20


def test_a_million_serials_with_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two companies in one process. The page caches of their some twenty databases have a bound of their own (16 MiB
    each); here they are small, so that what else grows shows."""
    monkeypatch.setattr(database, "_PAGE_CACHE_KIB", 1024)
    serials = PALLETS * CASES * PACKS_IN_CASE
    resident: list[int] = []
    said: list[str] = []
    storage = {"storage": {"max_bytes": 100 * 2**30, "reserve_bytes": 0}}
    with companies(tmp_path, "maker", "wholesaler", deadline_s=scaled(60, 7200), **storage) as (maker, wholesaler):
        begun = time.monotonic()

        def note(what: str) -> None:
            resident.append(_resident())
            said.append(f"{what}: {time.monotonic() - begun:.1f} s, {resident[-1] / 2**20:.0f} MiB")
            if LONG:
                print(said[-1], flush=True)

        note("begun")
        for first in range(0, serials, EVENT):
            maker.commissioned([pack(n) for n in range(first, min(first + EVENT, serials))], LOT)
            if first % (10 * EVENT) == 0 and first:
                maker.settle()
        maker.settle()
        note("commissioned")
        pallets = []
        for pallet in range(PALLETS):
            cases = []
            for n in range(CASES):
                case = pallet * CASES + n
                cases.append(sscc(1_000_000 + case))
                maker.packed(cases[-1], [pack(PACKS_IN_CASE * case + i) for i in range(PACKS_IN_CASE)])
            pallets.append(sscc(2_000_000 + pallet))
            maker.packed(pallets[-1], cases)
        maker.settle()
        note("packed")
        for start in range(0, len(pallets), TRUCK):
            maker.shipped(wholesaler, pallets[start : start + TRUCK])
            maker.settle()
            kept(wholesaler, *pallets[start : start + TRUCK])
            note(f"shipped, handed over and taken: {min(start + TRUCK, PALLETS)} pallets")
        assert maker.lot(lot_uri(LOT)).count == serials
        for start in range(0, len(pallets), TRUCK):
            wholesaler.received(maker, pallets[start : start + TRUCK])
        wholesaler.settle()
        note("received")
        last = pack(serials - 1)
        leaf = wholesaler.ended([last], "decommissioning", "damaged")
        wholesaler.settle()
        assert [task.state.name for task in wholesaler.tasks(leaf)] == ["DONE"] * 3
        note("a pack of it ended")
    assert max(resident) - resident[0] < GROWTH_BYTES, "\n".join(said)
    print("\n".join(said))


def _resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
