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
    """Quick: it is asked for every page. What goods need is a question of a moment to small tables."""
    if not who.sees_payloads:
        return ()
    supply = here.live.supply
    exceptions = supply.custody.exceptions.counts()
    kept, pending = supply.alarms.quick_counts()
    found = [
        Section("/goods", "Goods"),
        Section("/shipments", "Shipments") if supply.cold.any() else None,
        Section("/exceptions", "Exceptions", exceptions["open"]) if any(exceptions.values()) else None,
        Section("/recalls", "Recalls", supply.recalls.book.open_count()) if supply.recalls.book.any() else None,
        Section("/alarms", "Alarms", pending) if kept else None,
    ]
    return tuple(section for section in found if section)
