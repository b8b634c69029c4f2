"""Facts about packs from this gateway's custody and the ledger.

Only lots that were made here are answered for. A wholesaler's gateway that said of a pack "known" would tell the world
what it buys; so a lot that was handed over to us is as unknown as any other.

A known and an unknown pack take the same questions to the ledger, the unknown one about ids that nothing has.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from typing import Final

from chain.ledger.interface import Ledger
from chaincode.coldchain.quarantine import Quarantine
from chaincode.coldchain.records import Progress
from chaincode.errors import Code, ContractError
from chaincode.lots.pack_records import Fate, PackRecord
from chaincode.lots.records import LotRecord
from crypto import cbor
from gateway.consumer.facts import Kept, PackFacts, PackQuestion, Recall
from gateway.custody.trees import Trees
from gateway.custody.units import Unit, Units
from gateway.epcis.identifiers import Gs1Key, lgtin_of, sgtin

EPOCH: Final = date(1970, 1, 1)
MAX_ANSWER: Final = 1 << 20
Containers = Callable[[str], Sequence[str]]  # URI of a pack -> URIs of the logistic units that it was packed into
# Unit ids -> ids of the shipments that they went with; None where not all are known.
Shipments = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes] | None]]


class LedgerLookup:
    """`origin` is this site's log. `shipments` tells which shipments of the contract `coldchain` units went with;
    without it nothing says that a pack was kept cold, and a quarantine still says that it was not."""

    def __init__(
        self, units: Units, trees: Trees, ledger: Ledger, origin: str, containers: Containers,
        shipments: Shipments | None = None,
    ) -> None:  # fmt: skip
        self._units, self._trees, self._ledger, self._origin = units, trees, ledger, origin
        self._containers, self._shipments = containers, shipments

    async def look_up(self, question: PackQuestion) -> PackFacts:
        """See PackLookup."""
        # 1. What the ledger calls the lot and the pack; only who made the lot can tell.
        unit = await asyncio.to_thread(self._unit, question)
        lot = await self._lot(os.urandom(32) if unit is None else unit.id)
        # 2. The pack stands in the tree whose root the ledger has; a row of a table here would not be enough.
        if unit is None or lot is None or not await asyncio.to_thread(self._stands, question, unit, lot):
            await self._cold((os.urandom(32),))
            return PackFacts()
        # 3. How it ended, where it was packed, and whether any of that was held.
        ended = await self._end(question, unit)
        held, kept = await self._cold(await asyncio.to_thread(self._unit_ids, question))
        return _facts(question, unit, lot, ended, held, kept, self._origin)

    def _unit(self, question: PackQuestion) -> Unit | None:
        """The lot, if it was made here."""
        if question.serial is None:
            unit = self._units.get(lgtin_of(question.gtin, question.lot or ""))
        else:
            unit = self._units.find_lot(sgtin(question.gtin, question.serial))
        return None if unit is None or unit.origin else unit

    def _stands(self, question: PackQuestion, unit: Unit, lot: LotRecord) -> bool:
        if question.serial is None:
            return True
        tree = self._trees.get(unit.number)
        if tree is None or (tree.root, tree.size) != (lot.root, lot.count):
            return False
        return self._trees.contains(tree, unit.id_of(sgtin(question.gtin, question.serial)))

    async def _lot(self, lot_id: bytes) -> LotRecord | None:
        try:
            return LotRecord.decode(await self._ledger.evaluate("lots.get", lot_id))
        except ContractError as e:
            if e.code is not Code.UNKNOWN_LOT:
                raise
            return None

    async def _end(self, question: PackQuestion, unit: Unit) -> PackRecord | None:
        if question.serial is None:
            return None
        pack = unit.id_of(sgtin(question.gtin, question.serial))
        answer = await self._ledger.evaluate("lots.pack-state", unit.id, pack)
        return None if answer == cbor.encode(None) else PackRecord.decode(answer)

    def _unit_ids(self, question: PackQuestion) -> tuple[bytes, ...]:
        """Of the logistic units whose secrets are known here."""
        if question.serial is None:
            return ()
        found = (self._units.get(uri) for uri in self._containers(sgtin(question.gtin, question.serial)))
        return tuple(unit.id for unit in found if unit is not None)

    async def _cold(self, units: Sequence[bytes]) -> tuple[bool, Kept]:
        """Whether one of the units is held now, and whether all was well on the ways that are known."""
        records = [await self._quarantine(unit) for unit in units]
        held = any(record.held for record in records if record is not None)
        if any(record is not None for record in records):
            return held, Kept.NO
        ways = await self._shipments(units) if self._shipments is not None and units else ()
        if ways is None:
            return held, Kept.UNKNOWN
        states = [await self._progress(shipment) for shipment in ways]
        if any(state.alarms for state in states):
            return held, Kept.NO
        return held, Kept.YES if states and all(state.complete for state in states) else Kept.UNKNOWN

    async def _quarantine(self, unit: bytes) -> Quarantine | None:
        found = cbor.decode(await self._ledger.evaluate("coldchain.quarantine", unit), MAX_ANSWER)
        return Quarantine.decode(found[0]) if found else None

    async def _progress(self, shipment: bytes) -> Progress:
        _, progress = cbor.decode(await self._ledger.evaluate("coldchain.get", shipment), MAX_ANSWER)
        return Progress.decode(progress)


def _facts(
    question: PackQuestion, unit: Unit, lot: LotRecord, ended: PackRecord | None, held: bool, kept: Kept, origin: str
) -> PackFacts:
    expiry = None if lot.expiry_day is None else EPOCH + timedelta(days=lot.expiry_day)
    ends = {ended.fate is Fate.DISPENSED: ended.ended_us} if ended is not None else {}
    recall, key = lot.recalled, Gs1Key.parse(unit.uri)
    return PackFacts(
        known=True,
        fits=_fits(question, unit, expiry),
        lot=None if key is None else key.lot,
        expiry=expiry,
        commissioned_us=lot.made_us,
        recalled=None if recall is None else Recall(recall.grade, recall.recalled_us),
        dispensed_us=ends.get(True),
        withdrawn_us=ends.get(False),
        quarantined=held,
        kept_cold=kept,
        proof=lot.evidence.index if lot.evidence.origin == origin else None,
    )


def _fits(question: PackQuestion, unit: Unit, expiry: date | None) -> bool:
    same_lot = question.lot is None or unit.uri == lgtin_of(question.gtin, question.lot)
    return same_lot and (question.expiry is None or expiry is None or question.expiry == expiry)
