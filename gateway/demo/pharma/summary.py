"""What the story came to: counted at the gateways, recomputed from the records, told in plain words."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from gateway.demo.pharma.companies import ALL, CARRIER, MAKER, PHARMACY, WHOLESALER, Gateway
from gateway.demo.pharma.goods import PACKS, Goods, Told
from gateway.demo.pharma.rest import Desk

RECOMPUTE_S = 120.0


@dataclass(frozen=True, slots=True)
class Summary:
    """`transitions` are what the ledger was told, by state; `recomputed`: whether the shipment with the excursion,
    computed anew from the carrier's records, gives what the ledger has."""

    ledger: str
    companies: int
    packs: int
    captured: int
    logged: int
    anchored: int
    transitions: dict[str, int]
    excursions: int
    recomputed: bool
    refusals: list[str]
    labels: int
    rejected: int
    duplicates: int
    recall: dict[str, Any]
    seconds: float
    told: Told

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "told"}


async def summarise(systems: Mapping[str, Desk], told: Told, ledger: str) -> Summary:
    """Ask every gateway once all that it logged is anchored, and compute the excursion anew."""
    status = [await desk.until("the last anchor", "/v1/status", _anchored) for desk in systems.values()]
    counts = [(await desk.ask("GET", "/v1/custody"))["counts"] for desk in systems.values()]
    states = {state for one in counts for state in one}
    shipments = [await systems[MAKER.name].ask("GET", f"/v1/shipments/{one}") for one in told.shipments.values()]
    return Summary(
        ledger, len(ALL), PACKS, told.captured, sum(int(one["log_size"]) for one in status),
        sum(int(one["anchored_size"]) for one in status),
        {state: sum(one.get(state, 0) for one in counts) for state in sorted(states)},
        sum(bool(one["alarms"]) for one in shipments), await _recomputed(systems[CARRIER.name], told.excursion),
        told.refusals, told.labels, told.rejected, told.duplicates, told.recall, told.seconds, told,
    )  # fmt: skip


def _anchored(status: dict[str, Any]) -> bool:
    return bool(status["anchored_size"] == status["log_size"])


async def _recomputed(carrier: Desk, shipment: str) -> bool:
    """Whether `sealtrail conditions recompute` agrees, from the carrier's own folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sealtrail", "conditions", "recompute", shipment,
        "--data", str(carrier.gateway.home / "data"), stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return await asyncio.wait_for(process.wait(), RECOMPUTE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def in_words(summary: Summary) -> str:
    where = "a Fabric channel of theirs" if summary.ledger == "fabric" else "one ledger"
    agreed = "and a computation anew agrees" if summary.recomputed else "but a computation anew DISAGREES"
    done, refused = (summary.transitions.get(state, 0) for state in ("done", "refused"))
    return f"""
Five companies moved {summary.packs} packs from raw material to patients, on {where}.

  {summary.captured:>6,} EPCIS events captured by the companies' own systems
  {summary.logged:>6,} records in five logs, {summary.anchored:,} of them anchored
  {done:>6,} changes of custody on the ledger, {refused} refused
  {summary.labels:>6,} packs read by the label station, {summary.rejected} rejected
  {summary.excursions:>6,} shipment with an excursion, found by the contract, {agreed}
  {summary.duplicates:>6,} copied pack found by its serial
  {summary.recall["reach"]:>6.0f} % of {summary.recall["packs"]} packs accounted for by the recall
  {summary.seconds:>6.1f} seconds"""


def pages(gateways: Mapping[str, Gateway], summary: Summary) -> str:
    """Where to look."""
    goods = Goods.of_the_story()
    looks = [
        (MAKER, "batch genealogy, map of custody", f"/goods?id={quote(goods.lot, safe='')}"),
        (CARRIER, "temperatures, limits, excursion", f"/shipments/{summary.told.excursion}"),
        (WHOLESALER, "the same shipment by the ledger alone", f"/shipments/{summary.told.excursion}"),
        (PHARMACY, "the copied pack", "/exceptions"),
        (MAKER, "the recall", "/recalls"),
    ]
    lines = [f"Look:  {MAKER.title} and the others want a token once:"]
    lines += [f"       {one.title:<18} {g.url}/login?token={g.token}" for one in ALL for g in [gateways[one.name]]]
    lines += [f"       {what:<38} {gateways[one.name].url}{path}" for one, what, path in looks]
    pack = goods.packs[0].removeprefix("https://id.gs1.org")
    return "\n".join([*lines, f"       {'what a patient sees, without a token':<38} {gateways[MAKER.name].url}{pack}"])
