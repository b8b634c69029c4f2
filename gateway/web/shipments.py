"""The pages of shipments: which there are, and how one of them fared on its way, with every figure's proof."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from chaincode.coldchain.policy import Policy
from chaincode.coldchain.records import Progress, Shipment
from crypto.errors import SealtrailError
from gateway.api.auth import PayloadReader
from gateway.api.routes.shipments import refused_shipment
from gateway.api.services import Here, Services, viewing
from gateway.web import shipment_words as words
from gateway.web.pages import render
from gateway.web.shipment_page import gathered, told_of

router = APIRouter(include_in_schema=False)
SHOWN = 50
ASKED_AT_ONCE = 8  # of the ledger
STATES = {
    "any": "all", "open": "under way", "excursion": "quarantined", "released": "released", "closed": "arriving",
    "complete": "complete",
}  # fmt: skip
State = Literal["any", "open", "excursion", "released", "closed", "complete"]
ShipmentId = Annotated[str, Path(alias="id", max_length=64)]
After = Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Listed:
    """A shipment as one line."""

    shipment: Shipment
    progress: Progress
    policy: Policy
    state: words.State


@router.get("/shipments")
async def shipments(
    request: Request, who: PayloadReader, here: Here, state: Annotated[State, Query()] = "any", after: After = None
) -> Response:
    """Those that this company opened, reports or receives, the newest first."""
    view = here.live.supply.cold.view
    try:
        ids, onward = await view.listed(await view.organisation(), state, bytes.fromhex(after) if after else None)
        listed = await _listed(here, ids)
    except SealtrailError as e:
        raise refused_shipment(e) from e
    return await run_in_threadpool(
        render, request, "shipments.html", who, shipments=listed, asked=state, states=STATES,
        onward=onward and onward.hex(), left=len(ids) - len(listed), first=after is None,
    )  # fmt: skip


async def _listed(here: Services, ids: list[bytes]) -> list[Listed]:
    """The newest of these; which they are, this gateway remembers by itself."""
    cold = here.live.supply.cold
    known = await run_in_threadpool(lambda: [cold.concerns(one) for one in ids])
    opened = {one.id: one.shipment.opened_us for one in known if one}
    newest = sorted(ids, key=lambda one: -opened.get(one, 0))[:SHOWN]
    gate = asyncio.Semaphore(ASKED_AT_ONCE)

    async def line(shipment_id: bytes) -> Listed:
        async with gate:
            shipment, progress, policy = await cold.get(shipment_id)
        return Listed(shipment, progress, policy, words.state_of(shipment, progress, policy))

    return list(await asyncio.gather(*map(line, newest)))


@router.get("/shipments/{id}")
async def shipment(request: Request, named: ShipmentId, who: PayloadReader, here: Here) -> Response:
    """How it fared: temperatures, alarms, who explained and released, and how to compute all that again."""
    try:
        shipment_id = bytes.fromhex(named)
    except ValueError:
        shipment_id = b""
    if len(shipment_id) != 32:
        raise HTTPException(404, "a shipment is named by 64 hexadecimal digits")
    try:
        told = await told_of(here.live.supply.cold.view, shipment_id)
    except SealtrailError as e:
        raise refused_shipment(e) from e
    async with viewing(here) as view:
        page = await run_in_threadpool(gathered, view, here.folder.origin, told)
    problem = here.live.supply.cold.problems().get(shipment_id, "")
    return await run_in_threadpool(render, request, "shipment.html", who, page=page, problem=problem, words=words)
