"""Which pages there are for a caller, beside those that every site has: only of what there is here."""

from dataclasses import dataclass

from gateway.api.auth import Caller
from gateway.api.services import Services


@dataclass(frozen=True, slots=True)
class Section:
    """A link of the navigation; `waiting` is how many things there ask for a person, 0 for none."""

    path: str
    word: str
    waiting: int = 0


def sections(here: Services, who: Caller) -> tuple[Section, ...]:
    """Quick: it is asked for every page."""
    if not who.sees_payloads:
        return ()
    supply = here.live.supply
    found = [Section("/goods", "Goods")]
    if supply.cold.any():
        found.append(Section("/shipments", "Shipments"))
    return tuple(found)
