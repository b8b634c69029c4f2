"""Condition reports: taken where they fit together and to the one before, judged by the contract, and disputed.

The reporter's figures are a claim. What is an excursion is decided here, not by who reports; and whoever computes other
figures from the same entries puts them beside the reported ones.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.coldchain.alarms import findings
from chaincode.coldchain.consistency import require_consistent, require_growth
from chaincode.coldchain.holding import SECOND_US, keep, overdue, tell, tell_excursion
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import DisputeRecord, Progress, ReportRecord, Shipment
from chaincode.coldchain.report import MAX_REPORT_BYTES, Report
from chaincode.coldchain.state import dispute_key, known_policy, known_shipment, report_key, reported
from chaincode.errors import Code, ContractError
from chaincode.evidence import require_evidence
from chaincode.log_records import AnchoredCheckpoint
from chaincode.logs import log_head, own_log
from chaincode.state import checkpoint_key, read
from chaincode.transaction import Transaction
from crypto.errors import FormatError

ANCHORED_WITHIN_S = (
    300  # how much older than the window's end a report's checkpoint may be, beside the clock's tolerance
)


async def report(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """report(shipment id, report, evidence): the owner of the reporter's log says what its loggers measured. Returns
    the Progress; whether its units are held stands there."""
    # 1. The caller owns the log that reports.
    gateway = await require_gateway(tx)
    shipment, progress = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    await own_log(tx, gateway, shipment.reporter_origin)
    # 2. It is the next report, of the shipment's whole time so far, and rests on a checkpoint that was anchored.
    given, rules = _decoded(args[1]), await known_policy(tx, shipment.policy_id)
    _require_next(tx, shipment, progress, rules, given)
    await _require_anchored(tx, shipment, rules, given)
    # 3. Its figures fit together, and take back nothing.
    require_consistent(given, rules, len(shipment.loggers))
    if progress.seq:
        require_growth(await reported(tx, shipment.shipment_id, progress.seq), given, rules)
    evidence = await require_evidence(tx, args[2], gateway)
    # 4. The contract judges.
    found = findings(rules, given, [logger.calibrated for logger in shipment.loggers])
    found += overdue(shipment, progress, rules, tx.timestamp_us)
    whole = progress.closed is not None and given.to_us >= progress.closed.at_us
    after, new = await keep(
        tx, shipment, replace(progress, seq=given.seq, through_us=given.to_us, complete=whole), found
    )
    await tx.put(
        report_key(shipment.shipment_id, given.seq), ReportRecord(args[1], evidence, tx.timestamp_us, tx.id).encode()
    )
    if new:
        tell_excursion(tx, shipment, given.seq, new)
    else:
        tell(tx, shipment, "reported", given.seq, given.to_us)
    return after.encode()


def _decoded(data: bytes) -> Report:
    if len(data) > MAX_REPORT_BYTES:
        raise FormatError(f"a report has at most {MAX_REPORT_BYTES} bytes, got {len(data)}")
    return Report.decode(data)


def _require_next(tx: Transaction, shipment: Shipment, progress: Progress, rules: Policy, given: Report) -> None:
    if progress.complete:
        raise ContractError(Code.SHIPMENT_CLOSED, "this shipment is closed, and reported to its end")
    if given.seq != progress.seq + 1:
        raise ContractError(Code.STALE_REPORT, f"expected report {progress.seq + 1}, got {given.seq}")
    if given.from_us != shipment.from_us:
        raise ContractError(
            Code.BAD_REPORT, f"every report begins where the shipment does, at {shipment.from_us}, got {given.from_us}"
        )
    if given.to_us < progress.through_us:
        raise ContractError(
            Code.SHRINKING_REPORT, f"it was reported up to {progress.through_us}, and now up to {given.to_us} only"
        )
    if given.to_us > tx.timestamp_us + rules.clock_s * SECOND_US:
        raise ContractError(
            Code.BAD_REPORT, f"a report up to {given.to_us} is made at {tx.timestamp_us}, before its end"
        )
    if progress.closed is not None and given.to_us > progress.closed.at_us:
        raise ContractError(Code.BAD_REPORT, f"the shipment was closed at {progress.closed.at_us}; report up to then")


async def _require_anchored(tx: Transaction, shipment: Shipment, rules: Policy, given: Report) -> None:
    """Of a checkpoint that was anchored when the window ended: an older one would leave out its last readings. Only of
    a log that stood still since is the head read, which an anchor on its way changes."""
    origin = shipment.reporter_origin
    anchored = await read(tx, checkpoint_key(origin, given.end), AnchoredCheckpoint)
    if anchored is None:
        raise ContractError(
            Code.UNKNOWN_CHECKPOINT,
            f"a report is of all entries of a checkpoint; none of {given.end} of {origin} is here",
        )
    oldest_us = given.to_us - (rules.clock_s + ANCHORED_WITHIN_S) * SECOND_US
    if anchored.anchored_us < oldest_us and (await log_head(tx, origin)).size != given.end:
        raise ContractError(
            Code.BAD_REPORT,
            f"a report up to {given.to_us} is of entries that were anchored then; {given.end} entries were at "
            f"{anchored.anchored_us}, and more since; report of the newest checkpoint",
        )


async def dispute(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """dispute(shipment id, report number, recomputed report, evidence): another organisation computed other figures
    from the same entries. Returns the DisputeRecord; each organisation disputes a report once."""
    gateway = await require_gateway(tx)
    shipment, _ = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    if gateway.organisation == shipment.reporter:
        raise ContractError(Code.FORBIDDEN, f"{shipment.reporter} reported this, and cannot dispute it")
    # 1. The report is there, and the other one is of the same window and entries.
    said = await reported(tx, shipment.shipment_id, arguments.index(args[1], "report number"))
    again, rules = _decoded(args[2]), await known_policy(tx, shipment.policy_id)
    if _frame(again) != _frame(said):
        raise ContractError(Code.BAD_REPORT, "a dispute is of the same number, window, entries and rules as the report")
    require_consistent(again, rules, len(shipment.loggers))
    if again == said:
        raise ContractError(Code.BAD_REPORT, "the recomputed figures are those that were reported")
    # 2. Each organisation has one word.
    key = dispute_key(shipment.shipment_id, said.seq, gateway.organisation)
    if await tx.get(key) is not None:
        raise ContractError(Code.DISPUTE_EXISTS, f"{gateway.organisation} has disputed report {said.seq} already")
    evidence = await require_evidence(tx, args[3], gateway)
    record = DisputeRecord(said.seq, gateway.organisation, args[2], evidence, tx.timestamp_us, tx.id).encode()
    await tx.put(key, record)
    tell(tx, shipment, "disputed", said.seq, gateway.organisation)
    return record


def _frame(one: Report) -> tuple[int, ...]:
    return one.seq, one.from_us, one.to_us, one.first, one.end, one.rules
