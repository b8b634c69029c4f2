"""What every change in `lots` begins with: a gateway acts for its organisation and shows the evidence."""

from dataclasses import dataclass

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.errors import Code, ContractError
from chaincode.evidence import EvidenceRef, require_evidence
from chaincode.state import organisation_key
from chaincode.transaction import Transaction
from crypto.errors import FormatError


@dataclass(frozen=True, slots=True)
class Acting:
    """Who changes something, and on which evidence."""

    organisation: str
    evidence: EvidenceRef


async def acting(tx: Transaction, evidence: bytes) -> Acting:
    """The caller's organisation and what the argument proves; ContractError or ProofError if it may not or does not."""
    gateway = await require_gateway(tx)
    return Acting(gateway.organisation, await require_evidence(tx, evidence, gateway))


async def other_organisation(tx: Transaction, argument: bytes, here: Acting, what: str) -> str:
    """The named organisation, which is on the ledger and not the caller's."""
    name = arguments.name(argument, what)
    if name == here.organisation:
        raise FormatError(f"{what} must be another organisation than the caller's own, {name}")
    if await tx.get(organisation_key(name)) is None:
        raise ContractError(Code.UNKNOWN_ORGANISATION, f"no organisation {name} has a gateway on this ledger")
    return name
