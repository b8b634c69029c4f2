"""Counts the packs of a recalled lot at this gateway, once for every state of the event index."""

import asyncio
from contextlib import closing
from dataclasses import dataclass

from gateway.custody.parts import Custody
from gateway.events.view import EventsView
from gateway.query.errors import NotIndexedError
from gateway.recall.holdings import COUNT_S, Found, holdings
from gateway.recall.records import Recall, Supplier
from gateway.supply.ground import Ground

MAX_KEPT = 1_000  # counts that are remembered


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found when `last` was the newest event. `names`: who told us, in that order; `default`: from whom the
    packs came that our events tell no supplier of; `not_ours`: what our events shipped though by the ledger another
    company had it."""

    last: int
    names: tuple[str, ...]
    default: str
    not_ours: frozenset[tuple[int, str]]
    found: Found

    def supplied(self, organisation: str) -> bool:
        """Whether we know that this company sent us packs of the lot: it handed the lot over, or our own events say
        so. That it tells us of a recall is no sign of that."""
        part = self.found.parts.get(organisation)
        return organisation == self.default or (part is not None and part.received > 0)


class Counting:
    """Of one gateway."""

    def __init__(self, ground: Ground, custody: Custody) -> None:
        self._ground, self._custody = ground, custody
        self._known: dict[str, Counted] = {}

    async def count(self, recall: Recall, suppliers: list[Supplier], *, all_logged: bool = True) -> Counted:
        """Over everything that is logged by now, or else over what is indexed.

        Raises:
            NotIndexedError: the index is behind the log.
            BusyError: see gateway.recall.holdings.
        """
        counted = await asyncio.to_thread(self._count, recall, suppliers, self._ground.log_size() if all_logged else 0)
        self._known.pop(recall.id, None)
        self._known[recall.id] = counted
        if len(self._known) > MAX_KEPT:
            del self._known[next(iter(self._known))]
        return counted

    def _count(self, recall: Recall, suppliers: list[Supplier], size: int) -> Counted:
        names = tuple(supplier.organisation for supplier in suppliers)
        default = self._default(recall.lot, suppliers)
        known, not_ours = self._known.get(recall.id), self._custody.tasks.not_ours()
        key = names, default, not_ours
        with closing(EventsView.open(self._ground.folder)) as view, view.bounded(COUNT_S):
            if view.indexed() < size:
                raise NotIndexedError("the event index is behind the log; the packs are counted soon")
            last = int(view.events.connection.execute("SELECT COALESCE(MAX(leaf), -1) FROM event").fetchone()[0])
            if known is not None and (known.last, known.names, known.default, known.not_ours) == (last, *key):
                return known
            found = holdings(view.events, recall.lot, self._organisation_at, names, default, not_ours)
            return Counted(last, *key, found)

    def _default(self, lot: str, suppliers: list[Supplier]) -> str:
        """Who handed the lot over, if that one told us. Where nobody did, the first one that a person here answered."""
        unit = self._custody.units.get(lot)
        if unit is not None:
            return unit.origin if unit.origin in {one.organisation for one in suppliers} else ""
        return next((one.organisation for one in suppliers if one.confirmed), "")

    def _organisation_at(self, uri: str) -> str | None:
        partner = self._custody.partners.at(uri)
        return partner.organisation if partner else None
