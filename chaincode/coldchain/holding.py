"""Excursions take hold, and are released: the alarms of a shipment, and the quarantine of its units.

An alarm stays for ever. While a shipment is held, the same trouble only grows; after a release, what grew or is new is
an alarm of its own and holds the units again.
"""

from collections.abc import Sequence
from dataclasses import replace

from chaincode.coldchain.alarms import Cause, Finding
from chaincode.coldchain.policy import Policy
from chaincode.coldchain.quarantine import Quarantine, quarantine_key
from chaincode.coldchain.records import MAX_ALARMS, Act, Alarm, Progress, Shipment
from chaincode.coldchain.state import progress_key
from chaincode.transaction import Transaction
from crypto import cbor

SECOND_US = 1_000_000


def due_us(shipment: Shipment, progress: Progress, policy: Policy) -> int:
    """Until when the next report must be here."""
    since_us = progress.through_us if progress.seq else max(progress.through_us, shipment.opened_us)
    return since_us + policy.interval_s * SECOND_US


def overdue(shipment: Shipment, progress: Progress, policy: Policy, at_us: int) -> list[Finding]:
    """The finding that a report is missing at this time, or nothing."""
    if progress.complete or at_us <= due_us(shipment, progress, policy):
        return []
    return [Finding(Cause.OVERDUE, None, None, progress.through_us // SECOND_US)]


async def keep(
    tx: Transaction, shipment: Shipment, progress: Progress, found: Sequence[Finding]
) -> tuple[Progress, list[Finding]]:
    """Write a shipment's progress with these findings. Returns it, and those that are new: each holds the units."""
    alarms, new = list(progress.alarms), []
    for finding in found:
        place = _same(alarms, finding)
        if place is not None and finding.figure <= alarms[place].finding.figure:
            continue
        if place is not None and (progress.held or len(alarms) >= MAX_ALARMS):
            alarms[place] = replace(alarms[place], finding=finding)
            new += [] if progress.held else [finding]
        else:
            alarms.append(Alarm(finding, progress.seq, tx.timestamp_us, tx.id))
            new.append(finding)
    if new and not progress.held:
        await _hold_units(tx, shipment)
    kept = replace(progress, alarms=tuple(alarms), held=progress.held or bool(new))
    await tx.put(progress_key(shipment.shipment_id), kept.encode())
    return kept, new


def _same(alarms: Sequence[Alarm], finding: Finding) -> int | None:
    """The newest alarm of the same trouble."""
    for place in reversed(range(len(alarms))):
        known = alarms[place].finding
        if (known.cause, known.logger, known.limit) == (finding.cause, finding.logger, finding.limit):
            return place
    return None


async def _hold_units(tx: Transaction, shipment: Shipment) -> None:
    held = Quarantine(shipment.shipment_id, tx.timestamp_us, tx.id).encode()
    for unit in shipment.units:
        await tx.put(quarantine_key(unit), held)


async def let_go(tx: Transaction, shipment: Shipment, progress: Progress, release: Act) -> Progress:
    """Release all units, write the progress and return it. What was closed waits for no more reports then."""
    held = progress.alarms[-1]
    record = Quarantine(
        shipment.shipment_id, held.since_us, held.tx_id, release.organisation, release.at_us, release.reason
    ).encode()
    for unit in shipment.units:
        await tx.put(quarantine_key(unit), record)
    ended = replace(progress, held=False, released=release, complete=progress.complete or progress.closed is not None)
    await tx.put(progress_key(shipment.shipment_id), ended.encode())
    return ended


def tell(tx: Transaction, shipment: Shipment, name: str, *rest: cbor.CborValue) -> None:
    """The transaction's event: the shipment, the log that reports on it, and the rest."""
    tx.set_event(f"coldchain.{name}", cbor.encode([shipment.shipment_id, shipment.reporter_origin, *rest]))


def tell_excursion(tx: Transaction, shipment: Shipment, seq: int, new: Sequence[Finding]) -> None:
    """What is wrong, which is then all that the transaction says."""
    listed: list[cbor.CborValue] = [[str(one.cause), one.logger, one.limit, one.figure] for one in new]
    tell(tx, shipment, "excursion", seq, listed)
