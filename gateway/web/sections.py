"""Which pages there are for a caller, beside those that every site has: only of what there is here."""

from dataclasses import dataclass

from gateway.api.auth import Caller
from gateway.api.services import Services


@dataclass(frozen=True, slots=True)
class Section:
    """A link of the navigation; `waiting` is how many things there ask for a person, 0 for none, and `asks` what they
    are, one and several."""

    path: str
    word: str
    waiting: int = 0
    asks: tuple[str, str] = ("", "")

    @property
    def number(self) -> str:
        """`waiting` as it is shown."""
        return f"{self.waiting}" if self.waiting < MOST else f"{MOST - 1}+"


MOST = 1000  # things that wait are counted up to here
_EXCEPTIONS = ("exception is open", "exceptions are open")
_RECALLS = ("recall is running", "recalls are running")
_ALARMS = ("alarm that nobody has acknowledged", "alarms that nobody has acknowledged")


def sections(here: Services, who: Caller) -> tuple[Section, ...]:
    """Quick: it is asked for every page. What goods need is a question of a moment to small tables."""
    if not who.sees_payloads:
        return ()
    supply = here.live.supply
    excepted, unresolved = supply.custody.exceptions.unresolved(MOST)
    alarmed, pending = supply.alarms.pending(MOST)
    found = [
        Section("/goods", "Goods"),
        Section("/shipments", "Shipments") if supply.cold.any() else None,
        Section("/exceptions", "Exceptions", unresolved, _EXCEPTIONS) if excepted else None,
        Section("/recalls", "Recalls", supply.recalls.book.open_count(), _RECALLS)
        if supply.recalls.book.any()
        else None,
        Section("/alarms", "Alarms", pending, _ALARMS) if alarmed else None,
    ]
    return tuple(section for section in found if section)
