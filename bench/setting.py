"""The network that is measured on, and the folder of the sites. `scale` shortens everything for a quick look."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.ledger.fabric.profile import Profile, read_profile
from network.topology import Topology

PARTNERS = ("PlantMSP", "CarrierMSP", "PharmacyMSP")


@dataclass(frozen=True, slots=True)
class Bench:
    """A network that is up, and a folder for sites."""

    folder: Path
    scale: float
    topology: Topology
    profiles: dict[str, Path]

    def profile(self, number: int) -> Profile:
        return read_profile(self.profiles[PARTNERS[number]])

    def ledger_settings(self, ledger: str) -> dict[str, Any]:
        return {"ledger": ledger} | ({"fabric": {"profile": self.profiles[PARTNERS[0]]}} if ledger == "fabric" else {})
