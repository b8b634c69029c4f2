"""What the story of the goods is about: the lot, its packs, cases and pallets, and what is told of them at the end."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from gateway.demo.pharma import events
from gateway.demo.pharma.companies import MAKER, SUPPLIER

LOT, EXPIRY, PRODUCT_NUMBER = "EX2611A", "2029-04-30", 1
ACTIVE, FILLER = "AA-0077", "LC-0312"
IN_CASE, CASES_ON_PALLET, PALLETS = 10, 6, 2
PACKS: Final = IN_CASE * CASES_ON_PALLET * PALLETS
DISPENSED: Final = 4
RECALL_S: Final = 3600
STATION, LOOKED_AT = "label-station", 6
HOUR_US: Final = 3_600_000_000
LOW, HIGH = 8.0, 15.0  # °C, a cool place (USP general chapter 659)
POLICY: Final = {
    "name": "cool place, 8 to 15 C",
    "limits": [
        {"direction": "below", "threshold_milli_c": 8000}, {"direction": "above", "threshold_milli_c": 15_000,
                                                            "allowed_s": 3600},
    ],
    "gap_s": 7200, "interval_s": 7 * 86_400, "calibration_days": 365,
}  # fmt: skip


@dataclass(slots=True)
class Goods:
    """What the story is about: canonical URIs."""

    product: str
    lot: str
    packs: list[str]
    cases: list[str]
    pallets: list[str]
    materials: dict[str, str]

    @classmethod
    def of_the_story(cls) -> "Goods":
        product = events.gtin(MAKER, PRODUCT_NUMBER)
        cases = [events.unit_uri(events.sscc(MAKER, n + 1)) for n in range(PACKS // IN_CASE)]
        return cls(
            product, events.lot_uri(product, LOT),
            [events.pack_uri(product, f"{LOT[-3:]}{7919 * (n + 1) % 999_983:06}") for n in range(PACKS)], cases,
            [events.unit_uri(events.sscc(MAKER, 1001 + n)) for n in range(PALLETS)],
            {
                "active": events.lot_uri(events.gtin(SUPPLIER, 1), ACTIVE),
                "filler": events.lot_uri(events.gtin(SUPPLIER, 2), FILLER),
            },
        )  # fmt: skip

    def of_case(self, number: int) -> list[str]:
        return self.packs[number * IN_CASE : (number + 1) * IN_CASE]

    def on_pallet(self, number: int) -> list[str]:
        return self.cases[number * CASES_ON_PALLET : (number + 1) * CASES_ON_PALLET]


@dataclass(slots=True)
class Told:
    """What happened, for the summary."""

    captured: int = 0
    seconds: float = 0.0
    shipments: dict[str, str] = field(default_factory=dict)  # pallet -> shipment id
    excursion: str = ""  # shipment id
    refusals: list[str] = field(default_factory=list)
    labels: int = 0
    rejected: int = 0
    duplicates: int = 0
    recall: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, known: dict[str, Any]) -> "Told":
        return cls(**known)
