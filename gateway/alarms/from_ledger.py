"""Alarms from events of the ledger, in words with their numbers. What does not concern this gateway raises none.

Trust boundary: an event is the ledger's word that its transaction committed; figures are those the contract judged by.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from chain.ledger.interface import LedgerEvent
from chaincode.coldchain.alarms import Cause
from chaincode.coldchain.policy import Limit
from crypto import cbor
from gateway.alarms.alarm import Alarm, What, rfc3339
from gateway.coldchain.store import Tracked

MAX_EVENT_BYTES = 2**20
Concerns = Callable[[bytes], Awaitable[Tracked | None]]
Ours = Callable[[], Awaitable[str]]


class FromLedger:
    """`concerns` gives a shipment that this gateway has a stake in, `ours` is our organisation."""

    def __init__(self, concerns: Concerns, ours: Ours) -> None:
        self._concerns, self._ours = concerns, ours

    async def alarms(self, event: LedgerEvent) -> list[Alarm]:
        """None or one, as a rule; without ids yet."""
        items = cbor.decode(event.payload, MAX_EVENT_BYTES)
        if event.name.startswith("coldchain."):
            return await self._of_shipment(event, items)
        if event.name == "lots.exception":
            return await self._exception(event, items)
        return [_recall(event, items)] if event.name == "lots.recalled" else []

    async def _of_shipment(self, event: LedgerEvent, items: list[Any]) -> list[Alarm]:
        make = _SHIPMENTS.get(event.name)
        if make is None:
            return []
        tracked = await self._concerns(items[0])
        return [] if tracked is None else [make(event, items[2:], tracked)]  # behind the shipment and the log

    async def _exception(self, event: LedgerEvent, items: list[Any]) -> list[Alarm]:
        exception_id, kind, state, owner, parties = items[:5]
        if await self._ours() not in (owner, *parties):
            return []
        among = ", ".join(sorted({owner, *parties}))
        numbers = {"kind": kind, "state": state, "owner": owner, "parties": list(parties)}
        subject = _hex(exception_id)
        return [_alarm(event, What.EXCEPTION, subject, f"{kind} between {among}: now {state}", numbers)]


def _recall(event: LedgerEvent, items: list[Any]) -> Alarm:
    lot_id, recall_id, grade, deadline_us = items[:4]
    numbers = {"recall": _hex(recall_id), "grade": grade, "deadline_us": deadline_us}
    text = f"lot {_hex(lot_id)[:16]}… is recalled, grade {grade}; answers are due until {rfc3339(deadline_us)}"
    return _alarm(event, What.RECALL, _hex(lot_id), text, numbers)


def _excursion(event: LedgerEvent, items: list[Any], tracked: Tracked) -> Alarm:
    seq, listed = items
    said = [_finding(tracked, *one) for one in listed]
    what = What.OVERDUE if all(one[0] == Cause.OVERDUE for one in listed) else What.EXCURSION
    numbers = {
        "report": seq, "policy": tracked.policy.name, "units_held": len(tracked.shipment.units),
        "findings": [_numbers(tracked, *one) for one in listed],
    }  # fmt: skip
    text = f"{'; '.join(said)}. {len(tracked.shipment.units)} units are held until another organisation than"
    text += f" {tracked.shipment.reporter} releases them"
    return _alarm(event, what, tracked.id.hex(), text, numbers, tracked)


def _finding(tracked: Tracked, cause: str, logger: int | None, limit: int | None, figure: int) -> str:
    who = "" if logger is None else f"{tracked.shipment.loggers[logger].source}: "
    match cause:
        case Cause.LIMIT if limit is not None:
            return f"{who}{figure:,} s more than allowed {_words(tracked.policy.limits[limit])}"
        case Cause.MKT:
            return f"{who}mean kinetic temperature {_celsius(figure)}"
        case Cause.GAP:
            return f"{who}no reading for {figure:,} s more than allowed"
        case Cause.OVERDUE:
            return f"no report since {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(figure))} UTC"
        case Cause.CALIBRATION:
            return f"{who}its calibration ran out, or was never given"
        case Cause.CLOCK:
            return f"{who}{figure} readings run backwards, were there before, or are ahead of time"
        case _:
            return f"{who}{cause} {figure:,}"


def _numbers(tracked: Tracked, cause: str, logger: int | None, limit: int | None, figure: int) -> dict[str, Any]:
    found: dict[str, Any] = {"cause": cause, "figure": figure}
    if logger is not None:
        one = tracked.shipment.loggers[logger]
        found |= {"logger": one.source, "series": one.series}
    if limit is not None:
        exceeded = tracked.policy.limits[limit]
        found |= {"direction": str(exceeded.direction), "limit_milli_c": exceeded.threshold}
        found |= {"mode": str(exceeded.mode), "allowed_s": exceeded.allowed_s}
    return found


def _words(limit: Limit) -> str:
    return f"{str(limit.direction).replace('-', ' ')} {_celsius(limit.threshold)}"


def _celsius(milli: int) -> str:
    return f"{milli / 1000:.3f}".rstrip("0").rstrip(".") + " °C"


def _released(event: LedgerEvent, items: list[Any], tracked: Tracked) -> Alarm:
    organisation, reason = items
    numbers = {"by": organisation, "reason": reason, "units": len(tracked.shipment.units)}
    text = f"{organisation} let the units go: {reason}"
    return _alarm(event, What.RELEASED, tracked.id.hex(), text, numbers, tracked)


def _explained(event: LedgerEvent, items: list[Any], tracked: Tracked) -> Alarm:
    number, organisation, code = items
    numbers = {"by": organisation, "alarm": number, "code": code}
    text = f"{organisation} explains alarm {number}: {code}"
    return _alarm(event, What.EXPLAINED, tracked.id.hex(), text, numbers, tracked)


def _disputed(event: LedgerEvent, items: list[Any], tracked: Tracked) -> Alarm:
    seq, organisation = items
    text = f"{organisation} computes other figures than report {seq} of {tracked.shipment.reporter} from its readings"
    return _alarm(event, What.DISPUTE, tracked.id.hex(), text, {"by": organisation, "report": seq}, tracked)


_SHIPMENTS: dict[str, Callable[[LedgerEvent, list[Any], Tracked], Alarm]] = {
    "coldchain.excursion": _excursion, "coldchain.released": _released, "coldchain.explained": _explained,
    "coldchain.disputed": _disputed,
}  # fmt: skip


def _alarm(
    event: LedgerEvent, what: What, subject: str, text: str, numbers: dict[str, Any] | None = None,
    tracked: Tracked | None = None,
) -> Alarm:  # fmt: skip
    links = {"shipment": f"/v1/shipments/{subject}"} if tracked else {}
    if tracked and tracked.leaf is not None:
        links["record"] = f"/records/{tracked.leaf}"
    told = {"transaction": event.tx_id, **(numbers or {})}
    return Alarm(0, f"ledger {event.tx_id}", time.time_ns() // 1000, what, subject, text, told, links)


def _hex(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)[:200]
