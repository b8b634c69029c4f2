"""Policies, and the opening of shipments: who ships opens, and names who reports and who receives.

Arguments are untrusted. Keys that each call reads and writes are listed in docs/contract.md.
"""

from collections.abc import Sequence

from chaincode import arguments
from chaincode.access import require_gateway
from chaincode.coldchain.alarms import DAY_US
from chaincode.coldchain.custody import require_whole
from chaincode.coldchain.holding import SECOND_US, tell
from chaincode.coldchain.policy import MAX_POLICY_BYTES, Policy
from chaincode.coldchain.quarantine import require_free
from chaincode.coldchain.records import Logger, Progress, Shipment, loggers_of, units_of
from chaincode.coldchain.state import (
    known_policy,
    organisation_shipment_key,
    policy_key,
    progress_key,
    shipment_key,
    under_way,
    under_way_key,
)
from chaincode.errors import Code, ContractError, StateError
from chaincode.evidence import require_evidence
from chaincode.identity_records import Identity
from chaincode.log_records import LogRecord
from chaincode.state import PRESENT, identity_key, log_key, read
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError


async def policy(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """policy(policy): keep a policy under the hash of its bytes, for everybody. Returns the policy; the same again
    changes nothing."""
    await require_gateway(tx)
    if len(args[0]) > MAX_POLICY_BYTES:
        raise FormatError(f"a policy has at most {MAX_POLICY_BYTES} bytes, got {len(args[0])}")
    given = Policy.decode(args[0])
    if await tx.get(policy_key(given.id)) is None:
        await tx.put(policy_key(given.id), args[0])
        tx.set_event("coldchain.policy", cbor.encode([given.id, given.name]))
    return args[0]


async def open_shipment(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """open(shipment id, policy id, reporter's origin, recipient, from, loggers, units, evidence): goods go on their way
    under a policy. Returns the Shipment."""
    # 1. Who ships, and by which record of its log.
    gateway = await require_gateway(tx)
    shipment_id, origin = arguments.digest(args[0], "shipment id"), arguments.name(args[2], "reporter's origin")
    recipient, from_us = arguments.name(args[3], "recipient"), arguments.index(args[4], "beginning")
    loggers, units = loggers_of(args[5]), units_of(args[6])
    evidence = await require_evidence(tx, args[7], gateway)
    # 2. The policy is known, the shipment is not.
    rules = await known_policy(tx, arguments.digest(args[1], "policy id"))
    if await tx.get(shipment_key(shipment_id)) is not None:
        raise ContractError(Code.SHIPMENT_EXISTS, f"shipment {shipment_id.hex()[:16]}… was opened before")
    # 3. The reporter is known, and its loggers are enrolled in its own log.
    reporter = await _owner(tx, origin)
    for logger in loggers:
        await _require_enrolled(tx, logger, origin, from_us)
    if from_us > tx.timestamp_us + rules.clock_s * SECOND_US:
        raise FormatError("a shipment begins now or began before; this one would in the future")
    # 4. The units are the shipper's, free, and not under way already.
    for unit in units:
        await _require_at_rest(tx, unit, gateway.organisation)
    made = Shipment(
        shipment_id, rules.id, gateway.organisation, origin, reporter.organisation, recipient, from_us, loggers, units,
        evidence, tx.timestamp_us, tx.id,
    )  # fmt: skip
    await _write(tx, made)
    tell(tx, made, "opened", rules.id, made.opener, recipient)
    return made.encode()


async def _owner(tx: Transaction, origin: str) -> Identity:
    log = await read(tx, log_key(origin), LogRecord)
    if log is None:
        raise ContractError(Code.UNKNOWN_LOG, f"no log {origin} is registered, so nobody can report from it")
    owner = await read(tx, identity_key(log.owner), Identity)
    if owner is None:
        raise StateError(f"the log {origin} is of {log.owner}, which has no record; run fsck")
    return owner


async def _require_enrolled(tx: Transaction, logger: Logger, origin: str, from_us: int) -> None:
    if logger.handle != f"{origin}#{logger.source}":
        raise FormatError(f"the logger {logger.handle} is not of the reporter's log {origin}")
    if await tx.get(identity_key(logger.handle)) is None:
        raise ContractError(Code.UNKNOWN_IDENTITY, f"the logger {logger.handle} is not enrolled")
    if logger.calibrated is not None and logger.calibrated * DAY_US > from_us:
        raise FormatError(f"the logger {logger.handle} is said to be calibrated after the shipment's beginning")


async def _require_at_rest(tx: Transaction, unit: bytes, organisation: str) -> None:
    await require_free(tx, unit)
    await require_whole(tx, unit, organisation)
    before = await under_way(tx, unit)
    if before is not None:
        raise ContractError(
            Code.UNIT_UNDER_WAY,
            f"unit {unit.hex()[:16]}… is in shipment {before.hex()[:16]}…, which is not closed and reported to its end",
        )


async def _write(tx: Transaction, made: Shipment) -> None:
    await tx.put(shipment_key(made.shipment_id), made.encode())
    await tx.put(progress_key(made.shipment_id), Progress(0, made.from_us).encode())
    for organisation in sorted({}.fromkeys((made.opener, made.reporter, made.recipient))):
        await tx.put(organisation_shipment_key(organisation, made.shipment_id), PRESENT)
    for unit in made.units:
        await tx.put(under_way_key(unit), made.shipment_id)
