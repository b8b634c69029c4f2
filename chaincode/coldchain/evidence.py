"""What evidences a call of the cold chain, as it is kept; and who has a unit, by the contract `lots`."""

from chaincode.coldchain.records import Proof
from chaincode.evidence import require_evidence
from chaincode.identity_records import Identity
from chaincode.transaction import Transaction


async def proof_of(tx: Transaction, argument: bytes, gateway: Identity) -> Proof:
    """The record of the caller's own log that the argument proves; ContractError where it proves none."""
    found = await require_evidence(tx, argument, gateway)
    return Proof(found.origin, found.index, found.leaf_hash)
