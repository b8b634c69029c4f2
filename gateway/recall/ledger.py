"""What recalls ask of the ledger: who signs for a company, whether a lot is recalled, and what a customer received."""

import asyncio
from collections.abc import Collection

from chaincode.errors import ContractError
from chaincode.identity_records import Identity
from chaincode.lots.recall_records import RecallRecord
from chaincode.lots.unit_records import UnitRecord, UnitState
from crypto.errors import FormatError
from gateway.custody.parts import Custody
from gateway.custody.schema import TaskState
from gateway.custody.transitions import SHIP
from gateway.recall.errors import StatementError, UnknownRecallError
from gateway.recall.records import Starting
from gateway.recall.statements import Signed
from gateway.supply.ground import Ground
from gateway.supply.ourselves import OwnOrganisation
from gateway.supply.proving import Prover
from gateway.supply.signers import SignerError, require_signed

MAX_UNITS = 10_000  # that are asked about for one recall and customer


class RecallLedger:
    """One gateway's questions and transactions."""

    def __init__(self, ground: Ground, custody: Custody) -> None:
        self._ground, self._custody, self._prover = ground, custody, Prover(ground)
        self.organisation = OwnOrganisation(ground.ledger, ground.folder.origin)

    async def require_sender(self, signed: Signed, organisation: str) -> None:
        """StatementError unless a gateway of this organisation signed it, with a key that counts."""
        name = signed.statement.heading.sender
        try:
            require_signed(await self._identity(name), organisation, name, signed)
        except SignerError as e:
            raise StatementError(str(e)) from e

    async def _identity(self, name: str) -> Identity:
        try:
            return Identity.decode(await self._ground.ledger.evaluate("identities.get", name.encode()))
        except (ContractError, UnicodeEncodeError) as e:
            raise StatementError(f"the ledger knows no gateway {name[:80]!r}: {e}") from e

    async def begin(self, starting: Starting) -> RecallRecord:
        """Recall the lot on the ledger. The same again, after an answer that was lost, is the same recall."""
        unit = await asyncio.to_thread(self._custody.units.of, starting.lot)
        evidence = await self._prover.evidence(starting.leaf)
        args = (unit.id, str(starting.grade).encode(), str(starting.deadline_us).encode(), starting.reason.encode())
        return RecallRecord.decode((await self._ground.ledger.submit("lots.recall", *args, evidence)).result)

    async def lift(self, recall: str, reason: str, leaf: int) -> None:
        evidence = await self._prover.evidence(leaf)
        await self._ground.ledger.submit("lots.lift", recall.encode(), reason.encode(), evidence)

    async def commit(self, recall: str, commitment: bytes, leaf: int) -> str:
        """Put a commitment to an answer on the ledger; the transaction's id."""
        evidence = await self._prover.evidence(leaf)
        return (await self._ground.ledger.submit("recalls.answer", recall.encode(), commitment, evidence)).tx_id

    async def require_recalled(self, recall: str, lot: str) -> RecallRecord:
        """The ledger's own record of a recall, which is of this lot where we can tell; StatementError else.
        UnknownRecallError where the ledger has none."""
        try:
            record = RecallRecord.decode(await self._ground.ledger.evaluate("recalls.get", recall.encode()))
        except ContractError as e:  # perhaps not yet: our peer may be behind
            raise UnknownRecallError(f"the ledger knows no recall {recall[:80]}: {e}") from e
        except (FormatError, UnicodeEncodeError) as e:
            raise StatementError(f"{recall[:80]!r} is no id of a recall: {e}") from e
        unit = await asyncio.to_thread(self._custody.units.get, lot)
        if unit is not None and unit.id != record.lot_id:
            raise StatementError(f"the recall {recall[:16]}… is of another lot than {lot}")
        return record

    async def received(self, lot: str, organisation: str, leaves: Collection[int]) -> int | None:
        """How many packs of the lot this customer received from us, by the units that these records of our shipping
        events moved; None where we know of none, or of too many to ask about."""
        lot_id, units = await asyncio.to_thread(self._shipped, lot, organisation, leaves)
        if lot_id is None or not 0 < len(units) <= MAX_UNITS:
            return None
        total = 0
        for unit_id in units:
            try:
                record = UnitRecord.decode(await self._ground.ledger.evaluate("lots.unit", unit_id))
            except ContractError:
                continue
            if record.state is not UnitState.IN_TRANSIT or record.recipient != organisation:
                total += sum(one.count for one in record.contents if one.lot_id == lot_id)
        return total

    def _shipped(self, lot: str, organisation: str, leaves: Collection[int]) -> tuple[bytes | None, list[bytes]]:
        """Ids of the lot, and of what was shipped."""
        known = self._custody.units.get(lot)
        if known is None or len(leaves) > MAX_UNITS:
            return None, []
        numbers: dict[int, None] = {}
        for task in (task for leaf in sorted(leaves) for task in self._custody.tasks.of_record(leaf)):
            if task.name == SHIP and task.state is TaskState.DONE and task.detail[1] == organisation:
                numbers |= dict.fromkeys(task.detail[0])
        return known.id, list(dict.fromkeys(self._custody.units.numbered(number).id for number in numbers))
