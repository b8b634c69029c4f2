"""What the ledger knows of shipments, looked up. Nothing here changes anything."""

from collections.abc import Callable, Sequence
from typing import Final

from chaincode import arguments
from chaincode.coldchain.quarantine import quarantine_key
from chaincode.coldchain.records import Progress
from chaincode.coldchain.state import (
    dispute_key,
    explanation_key,
    known_policy,
    known_shipment,
    organisation_shipment_key,
    progress_of,
    report_key,
)
from chaincode.transaction import Transaction
from crypto import cbor
from crypto.errors import FormatError

MAX_LISTED = 256
MAX_LOOKED_AT = 2048
MAX_REPORTS = 32
_STATES: Final[dict[str, Callable[[Progress], bool]]] = {
    "any": lambda progress: True,
    "open": lambda progress: progress.closed is None,
    "closed": lambda progress: progress.closed is not None and not progress.complete,
    "complete": lambda progress: progress.complete,
    "excursion": lambda progress: progress.held,
    "released": lambda progress: progress.released is not None and not progress.held,
}


async def get(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """get(shipment id): CBOR list of the Shipment and its Progress, each as bytes."""
    shipment, progress = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    return cbor.encode([shipment.encode(), progress.encode()])


async def get_policy(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """get-policy(policy id): the Policy."""
    return (await known_policy(tx, arguments.digest(args[0], "policy id"))).encode()


async def reports(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """reports(shipment id, [after]): CBOR list of at most 32 ReportRecords, each as bytes, by number; with `after`
    those of higher numbers."""
    shipment, _ = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    first = arguments.index(args[1], "after") + 1 if len(args) > 1 else 0
    prefix = report_key(shipment.shipment_id, 0)[:-20]
    return await _values(tx, report_key(shipment.shipment_id, first), prefix + ":", MAX_REPORTS)


async def disputes(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """disputes(shipment id): CBOR list of at most 256 DisputeRecords, each as bytes, by report and organisation."""
    shipment, _ = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    prefix = dispute_key(shipment.shipment_id, 0, "")[:-21]
    return await _values(tx, prefix, prefix + ":", MAX_LISTED)


async def explanations(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """explanations(shipment id): CBOR list of the Explanations, each as bytes, by alarm."""
    shipment, _ = await known_shipment(tx, arguments.digest(args[0], "shipment id"))
    prefix = explanation_key(shipment.shipment_id, 0)[:-4]
    return await _values(tx, prefix, prefix + ":", MAX_LISTED)


async def quarantine(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """quarantine(unit id): CBOR list of the unit's Quarantine as bytes, empty where it never was held."""
    found = await tx.get(quarantine_key(arguments.digest(args[0], "unit id")))
    return cbor.encode([] if found is None else [found])


async def listing(tx: Transaction, args: Sequence[bytes]) -> bytes:
    """list(organisation, state, [after]): CBOR list of two: ids of shipments that it opened, reports or receives,
    ascending, at most 256, with `after` those behind that id; and the id behind which to go on, null at the end. It
    looks at no more than 2,048 shipments. States: any, open, closed, complete, excursion, released."""
    organisation, state = arguments.name(args[0], "organisation"), arguments.text(args[1], "state")
    if state not in _STATES:
        raise FormatError(f"a state is one of {', '.join(_STATES)}, got {state[:20]!r}")
    prefix = organisation_shipment_key(organisation, b"")
    start = prefix + arguments.digest(args[2], "after").hex() + "\x00" if len(args) > 2 else prefix
    ids: list[cbor.CborValue] = []
    looked, last = 0, b""
    async for key, _ in tx.range(start, prefix + "\x7f"):
        if len(ids) == MAX_LISTED or looked == MAX_LOOKED_AT:
            return cbor.encode([ids, last])
        looked, last = looked + 1, bytes.fromhex(key[len(prefix) :])
        if state == "any" or _STATES[state](await progress_of(tx, last)):
            ids.append(last)
    return cbor.encode([ids, None])


async def _values(tx: Transaction, start: str, end: str, most: int) -> bytes:
    found: list[cbor.CborValue] = []
    async for _, value in tx.range(start, end):
        found.append(value)
        if len(found) == most:
            break
    return cbor.encode(found)
