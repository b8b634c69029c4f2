"""Whether a shipment that somebody opened is watched, and reported, without an operator's word. Pure.

Trust boundary: whoever opens a shipment names a reporter and a beginning, and the contract does not ask that one. A
report puts extremes, means and gaps of our readings on the ledger, so it is made for whom this gateway trades with.
"""

from dataclasses import dataclass

from chaincode.coldchain.records import Shipment
from gateway.config import Config

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Consent:
    """Each answers with the reason against it, empty where there is none. `ours` is our organisation."""

    friends: frozenset[str]
    max_age_days: float
    max_shipments: int

    @classmethod
    def of(cls, config: Config) -> "Consent":
        wanted = config.coldchain
        friends = frozenset((*wanted.report_for, *(partner.organisation for partner in config.partners)))
        return cls(friends, wanted.max_age_days, wanted.max_shipments)

    def against_watching(self, shipment: Shipment, ours: str, under_way: int) -> str:
        """`under_way`: how many of the opener's shipments are watched already."""
        if shipment.opener == ours or under_way < self.max_shipments:
            return ""
        return f"{under_way:,} of its shipments are watched, which is the bound (coldchain.max_shipments)"

    def against_reporting(self, shipment: Shipment, ours: str, now_us: int) -> str:
        if shipment.opener == ours:
            return ""
        if shipment.opener not in self.friends:
            return "it is none of our partners (partners, coldchain.report_for)"
        if shipment.from_us < now_us - self.max_age_days * DAY_US:
            return f"it began over {self.max_age_days:g} days ago (coldchain.max_age_days)"
        return ""
