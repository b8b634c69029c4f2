"""What a page about a pack is made of: the question that a code asks, and the facts that answer it.

`PackLookup` is all that the page knows of events, custody and ledger. Facts hold nothing of another company: no
name, no place, no other pack.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol


class Kept(StrEnum):
    """Whether a pack was kept within its limits on its way, as far as it is known here."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PackQuestion:
    """What a code says: `gtin` has 14 digits; without a serial it asks about the lot. `expiry` is AI (17)."""

    gtin: str
    lot: str | None = None
    serial: str | None = None
    expiry: date | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """A recall that stands: its class from 1 (gravest) to 3, and since when."""

    grade: int
    since_us: int


@dataclass(frozen=True, slots=True)
class PackFacts:
    """`known`: the maker's gateway is this one, and the ledger has the lot, and the pack in it where a serial was
    asked for. Everything else is empty for what is not known. `fits`: lot and expiry of the code are those of the
    ledger. `withdrawn_us`: taken out of the trade otherwise than to a patient. `proof`: index of the record in this
    site's log that evidences the making of the lot."""

    known: bool = False
    fits: bool = True
    lot: str | None = None
    expiry: date | None = None
    commissioned_us: int | None = None
    recalled: Recall | None = None
    dispensed_us: int | None = None
    withdrawn_us: int | None = None
    quarantined: bool = False
    kept_cold: Kept = Kept.UNKNOWN
    proof: int | None = None


class PackLookup(Protocol):
    """Answers questions about packs."""

    async def look_up(self, question: PackQuestion) -> PackFacts:
        """What is known; never refuses for what is unknown.

        Raises:
            LedgerError: the ledger cannot be asked now, about any pack.
        """
