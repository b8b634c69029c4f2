"""What the ledger says of shipments, decoded; and who we are on it."""

from typing import Any

from chain.ledger.interface import Ledger
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import DisputeRecord, Explanation, Progress, ReportRecord, Shipment
from chaincode.errors import Code, ContractError
from crypto import cbor
from gateway.coldchain.errors import UnknownShipmentError
from gateway.supply.ourselves import OwnOrganisation

MAX_ANSWER_BYTES = 4 * 2**20


class LedgerView:
    """ContractError and LedgerError as the ledger raises them."""

    def __init__(self, ledger: Ledger, origin: str) -> None:
        self._ledger, self.organisation = ledger, OwnOrganisation(ledger, origin)
        self._policies: dict[bytes, Policy] = {}

    async def shipment(self, shipment_id: bytes) -> tuple[Shipment, Progress]:
        """UnknownShipmentError where none was opened under this id."""
        try:
            answer = await self._ledger.evaluate("coldchain.get", shipment_id)
        except ContractError as e:
            if e.code is Code.UNKNOWN_SHIPMENT:
                raise UnknownShipmentError(f"no shipment {shipment_id.hex()[:16]}… is on the ledger") from e
            raise
        shipment, progress = _list(answer)
        return Shipment.decode(shipment), Progress.decode(progress)

    async def policy(self, policy_id: bytes) -> Policy:
        """Policies never change, so each is asked for once."""
        if policy_id not in self._policies:
            self._policies[policy_id] = Policy.decode(await self._ledger.evaluate("coldchain.get-policy", policy_id))
        return self._policies[policy_id]

    async def has_policy(self, policy_id: bytes) -> bool:
        try:
            await self.policy(policy_id)
        except ContractError as e:
            if e.code is Code.UNKNOWN_POLICY:
                return False
            raise
        return True

    async def listed(self, organisation: str, state: str, after: bytes | None) -> tuple[list[bytes], bytes | None]:
        """Ids of shipments that this organisation opened, reports or receives, at most 256 behind `after`; and the id
        behind which to go on, None at the end. Few may be of a state, so a page may be empty that is not the last."""
        more = () if after is None else (after,)
        answer = await self._ledger.evaluate("coldchain.list", organisation.encode(), state.encode(), *more)
        ids, onward = _list(answer)
        return list(ids), onward

    async def reports(self, shipment_id: bytes, after: int = 0) -> list[ReportRecord]:
        """At most 32 with higher numbers than `after`."""
        found = await self._ledger.evaluate("coldchain.reports", shipment_id, str(after).encode())
        return [ReportRecord.decode(one) for one in _list(found)]

    async def explanations(self, shipment_id: bytes) -> list[Explanation]:
        found = await self._ledger.evaluate("coldchain.explanations", shipment_id)
        return [Explanation.decode(one) for one in _list(found)]

    async def disputes(self, shipment_id: bytes) -> list[DisputeRecord]:
        found = await self._ledger.evaluate("coldchain.disputes", shipment_id)
        return [DisputeRecord.decode(one) for one in _list(found)]


def _list(answer: bytes) -> list[Any]:
    return list(cbor.decode(answer, MAX_ANSWER_BYTES))
