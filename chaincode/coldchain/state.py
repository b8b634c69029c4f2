"""The names of cold chain keys in the ledger's state, and the records at them looked up.

Every key but a policy's belongs to one shipment or one unit, so that two shipments never conflict.
"""

from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Progress, ReportRecord, Shipment
from chaincode.coldchain.report import Report
from chaincode.errors import Code, ContractError, StateError
from chaincode.state import read
from chaincode.transaction import Transaction


def policy_key(policy_id: bytes) -> str:
    return f"coldchain-policy/{policy_id.hex()}"


def shipment_key(shipment_id: bytes) -> str:
    return f"shipment/{shipment_id.hex()}"


def progress_key(shipment_id: bytes) -> str:
    return f"shipment-progress/{shipment_id.hex()}"


def report_key(shipment_id: bytes, seq: int) -> str:
    return f"shipment-report/{shipment_id.hex()}/{seq:020}"


def explanation_key(shipment_id: bytes, alarm: int) -> str:
    return f"shipment-explanation/{shipment_id.hex()}/{alarm:04}"


def dispute_key(shipment_id: bytes, seq: int, organisation: str) -> str:
    return f"shipment-dispute/{shipment_id.hex()}/{seq:020}/{organisation}"


def under_way_key(unit_id: bytes) -> str:
    """Holds the id of the shipment that a unit is in, or was in last."""
    return f"unit-shipment/{unit_id.hex()}"


def organisation_shipment_key(organisation: str, shipment_id: bytes) -> str:
    """An index for listings. No organisation's name holds a `!`."""
    return f"shipments/{organisation}!{shipment_id.hex()}"


async def known_policy(tx: Transaction, policy_id: bytes) -> Policy:
    found = await read(tx, policy_key(policy_id), Policy)
    if found is None:
        raise ContractError(Code.UNKNOWN_POLICY, f"no policy {policy_id.hex()[:16]}… is here; submit coldchain.policy")
    return found


async def known_shipment(tx: Transaction, shipment_id: bytes) -> tuple[Shipment, Progress]:
    shipment = await read(tx, shipment_key(shipment_id), Shipment)
    if shipment is None:
        raise ContractError(Code.UNKNOWN_SHIPMENT, f"no shipment {shipment_id.hex()[:16]}… was opened")
    return shipment, await progress_of(tx, shipment_id)


async def progress_of(tx: Transaction, shipment_id: bytes) -> Progress:
    progress = await read(tx, progress_key(shipment_id), Progress)
    if progress is None:
        raise StateError(f"shipment {shipment_id.hex()[:16]}… has no progress; run fsck")
    return progress


async def under_way(tx: Transaction, unit_id: bytes) -> bytes | None:
    """The shipment that a unit is in, None unless that may still have its units held: it is not complete."""
    shipment_id = await tx.get(under_way_key(unit_id))
    return None if shipment_id is None or (await progress_of(tx, shipment_id)).complete else shipment_id


async def reported(tx: Transaction, shipment_id: bytes, seq: int) -> Report:
    """A report that was taken."""
    found = await read(tx, report_key(shipment_id, seq), ReportRecord)
    if found is None:
        raise ContractError(Code.UNKNOWN_REPORT, f"shipment {shipment_id.hex()[:16]}… has no report {seq}")
    return Report.decode(found.report)
