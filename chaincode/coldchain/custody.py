"""Who has a unit, by the contract `lots`."""

from chaincode.transaction import Transaction


async def custodian_of(tx: Transaction, unit_id: bytes) -> str | None:
    """The organisation that has the unit, None where the contract `lots` does not know it."""
    return None
