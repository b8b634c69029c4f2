"""How shipments end: closed by who received, overdue where nobody reports, explained by who reported, and released by
somebody else.

Nobody closes what it sends, or releases what it reported. Missing data is an excursion until it was explained.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.coldchain.alarms import MISSING
from chaincode.coldchain.custody import custodian_of
from chaincode.coldchain.holding import due_us, keep, let_go, overdue, tell, tell_excursion
from chaincode.coldchain.records import Act, Explanation, Progress, Shipment
from chaincode.coldchain.state import explanation_key, known_policy, known_shipment
from chaincode.errors import Code, ContractError
from chaincode.evidence import require_evidence
from chaincode.state import read
from chaincode.transaction import Transaction
from crypto.errors import FormatError


async def close(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """close(shipment id, evidence): the recipient has the goods. The last report still has to reach up to now. Returns
    the Progress."""
    gateway = await require_gateway(tx)
    shipment, progress = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    if progress.closed is not None:
        raise ContractError(Code.SHIPMENT_CLOSED, f"{progress.closed.organisation} closed this shipment before")
    if gateway.organisation != shipment.recipient and not await _has_all(tx, shipment, gateway.organisation):
        raise ContractError(Code.FORBIDDEN, f"{shipment.recipient} closes this shipment, or who has all of its units")
    await require_evidence(tx, args[1], gateway)
    rules = await known_policy(tx, shipment.policy_id)
    late = overdue(shipment, progress, rules, tx.timestamp_us)
    closed = Act(gateway.organisation, _closing_us(tx, shipment, progress), tx.id)
    ended = replace(progress, closed=closed, complete=progress.seq > 0 and progress.through_us >= closed.at_us)
    after, new = await keep(tx, shipment, ended, late)
    if new:
        tell_excursion(tx, shipment, progress.seq, new)
    else:
        tell(tx, shipment, "closed", closed.organisation, closed.at_us)
    return after.encode()


def _closing_us(tx: Transaction, shipment: Shipment, progress: Progress) -> int:
    """The time of the call, which its caller claims: not before the opening, nor before what is reported."""
    if tx.timestamp_us <= max(shipment.from_us, shipment.opened_us - 1):
        raise FormatError(
            f"a shipment that began at {shipment.from_us} and was opened at {shipment.opened_us} is not closed at "
            f"{tx.timestamp_us}; set the clock"
        )
    return max(tx.timestamp_us, progress.through_us)


async def _require_concerned(tx: Transaction, shipment: Shipment, organisation: str) -> None:
    if organisation not in (shipment.opener, shipment.recipient) and not await _has_all(tx, shipment, organisation):
        raise ContractError(Code.FORBIDDEN, f"{organisation} neither shipped nor receives these units, nor has them")


async def _has_all(tx: Transaction, shipment: Shipment, organisation: str) -> bool:
    for unit in shipment.units:
        if await custodian_of(tx, unit) != organisation:
            return False
    return True


async def overdue_report(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """overdue(shipment id): who has to do with the goods says that the next report should be here by now. Returns the
    Progress. The time is the caller's claim, so no stranger has anybody's goods held."""
    gateway = await require_gateway(tx)
    shipment, progress = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    if gateway.organisation != shipment.reporter:
        await _require_concerned(tx, shipment, gateway.organisation)
    rules = await known_policy(tx, shipment.policy_id)
    late = overdue(shipment, progress, rules, tx.timestamp_us)
    if not late:
        until = "is complete" if progress.complete else f"has until {due_us(shipment, progress, rules)} to report"
        raise ContractError(Code.NOT_OVERDUE, f"shipment {shipment.shipment_id.hex()[:16]}… {until}")
    after, new = await keep(tx, shipment, progress, late)
    if not new:
        raise ContractError(Code.NOT_OVERDUE, f"that nothing was reported since {progress.through_us} is known already")
    tell_excursion(tx, shipment, progress.seq, new)
    return after.encode()


async def explain(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """explain(shipment id, alarm, code, text digest, evidence): who reports, or who shipped, says how an alarm came
    about. Returns the Explanation. An organisation explains an alarm once, and again once it has grown; one by another
    organisation takes its place, so that no release waits for who cannot explain any more."""
    gateway = await require_gateway(tx)
    shipment, progress = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    number, code = arguments.index(args[1], "alarm"), arguments.name(args[2], "code")
    text_digest = arguments.digest(args[3], "digest of the text")
    if gateway.organisation not in (shipment.reporter, shipment.opener):
        raise ContractError(Code.FORBIDDEN, f"{shipment.reporter} explains this, or {shipment.opener}")
    if number >= len(progress.alarms):
        raise ContractError(Code.UNKNOWN_ALARM, f"the shipment has {len(progress.alarms)} alarms, numbered from 0")
    key, figure = explanation_key(shipment.shipment_id, number), progress.alarms[number].finding.figure
    known = await read(tx, key, Explanation)
    if known is not None and known.organisation == gateway.organisation and known.figure >= figure:
        raise ContractError(
            Code.EXPLANATION_EXISTS, f"{gateway.organisation} explained alarm {number} already, as it stands"
        )
    evidence = await require_evidence(tx, args[4], gateway)
    record = Explanation(
        number, gateway.organisation, code, text_digest, evidence, tx.timestamp_us, tx.id, figure
    ).encode()
    await tx.put(key, record)
    tell(tx, shipment, "explained", number, gateway.organisation, code)
    return record


async def release(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """release(shipment id, reason, evidence): another organisation than the one that reported lets the units go.
    Returns the Progress."""
    gateway = await require_gateway(tx)
    shipment, progress = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    reason, organisation = arguments.reason(args[1]), gateway.organisation
    # 1. It has to do with the goods, and did not report.
    if organisation == shipment.reporter:
        raise ContractError(Code.FORBIDDEN, f"{organisation} reported; another organisation releases")
    await _require_concerned(tx, shipment, organisation)
    # 2. There is something to release, and what is missing was explained by somebody else.
    if not progress.held:
        raise ContractError(Code.NOT_QUARANTINED, "no unit of this shipment is held")
    await _require_explained(tx, shipment, progress, organisation)
    await require_evidence(tx, args[2], gateway)
    act = Act(organisation, tx.timestamp_us, tx.id, reason)
    after = await let_go(tx, shipment, progress, act)
    tell(tx, shipment, "released", organisation, reason)
    return after.encode()


async def _require_explained(tx: Transaction, shipment: Shipment, progress: Progress, organisation: str) -> None:
    for number, alarm in enumerate(progress.alarms):
        if alarm.finding.cause not in MISSING:
            continue
        said = await read(tx, explanation_key(shipment.shipment_id, number), Explanation)
        if said is None or said.organisation == organisation or said.figure < alarm.finding.figure:
            raise ContractError(
                Code.UNEXPLAINED,
                f"alarm {number} ({alarm.finding.cause}) was not explained by another organisation yet, or it has "
                "grown since",
            )
