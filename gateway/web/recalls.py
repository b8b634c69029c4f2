"""The pages of recalls: how far one reaches, tier by tier, who is silent, and what became of the packs.

Trust boundary: direct customers are this company's own and named; of those behind them there are only numbers.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import Response

from gateway.api.auth import PayloadReader
from gateway.api.services import Here
from gateway.recall.errors import UnknownRecallError
from gateway.recall.report import state_of
from gateway.trace.identify import label
from gateway.web.chart import WIDTH
from gateway.web.genealogy import page_of
from gateway.web.pages import render

router = APIRouter(include_in_schema=False)
SHOWN = 100
MAX_CUSTOMERS = 200
RecallId = Annotated[str, Path(alias="id", max_length=128)]
PARTS = (  # of the bar: name in the counts, word, class of the style sheet
    ("quarantined", "in quarantine", "safe"), ("returned", "returned", "back"), ("destroyed", "destroyed", "gone"),
    ("sold", "sold", "sold"), ("in_transit", "on the way", "way"), ("unknown", "unknown", "unknown"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """Packs of one fate: here, at customers, and as a piece of the bar (x and width in units of 1000)."""

    word: str
    kind: str
    here: int
    beyond: int
    x: float
    width: float

    @property
    def count(self) -> int:
        return self.here + self.beyond


def parts_of(state: dict[str, Any]) -> tuple[Part, ...]:
    """All packs by what became of them, in the order of the bar; the last are those not answered for."""
    fates = [(word, kind, state["own"][name], state["passed_on"][name]) for name, word, kind in PARTS]
    fates.append(("not answered for", "unanswered", 0, state["unanswered"]))
    whole = max(sum(here + beyond for _, _, here, beyond in fates), 1)
    found, x = list[Part](), 0.0
    for word, kind, here, beyond in fates:
        width = (here + beyond) / whole * WIDTH
        found.append(Part(word, kind, here, beyond, round(x, 1), round(width, 1)))
        x += width
    return tuple(found)


@router.get("/recalls")
async def recalls(request: Request, who: PayloadReader, here: Here) -> Response:
    """The newest first; drills are marked."""
    found = await asyncio.to_thread(here.live.supply.recalls.book.all)
    return await asyncio.to_thread(
        render, request, "recalls.html", who, recalls=found[:SHOWN], left=len(found) - SHOWN, label=label,
        now_us=time.time_ns() // 1000,
    )  # fmt: skip


@router.get("/recalls/{id}")
async def recall(request: Request, named: RecallId, who: PayloadReader, here: Here) -> Response:
    """Reach, tiers, silence, and what each direct customer said."""
    part, now_us = here.live.supply.recalls, time.time_ns() // 1000
    try:
        one, suppliers, customers, counted = await part.counted(named)
    except UnknownRecallError as e:
        raise HTTPException(404, str(e)) from e
    state = state_of(one, suppliers, customers, counted, now_us)
    return await asyncio.to_thread(
        render, request, "recall.html", who, recall=one, state=state, parts=parts_of(state), label=label,
        page_of=page_of, now_us=now_us, customers=state["customers"][:MAX_CUSTOMERS], verdict=verdict(state),
        waits=[supplier for supplier in suppliers if not supplier.confirmed],
    )  # fmt: skip


def verdict(state: dict[str, Any]) -> tuple[str, str]:
    """The state in an icon and a sentence."""
    silent = sum(tier["silent"] for tier in state["tiers"])
    waiting = sum(tier["customers"] - tier["answered"] for tier in state["tiers"])
    if state["closed"]:
        return "holds", "Ended."
    if silent:
        return "false", f"{silent:,} silent at the deadline."
    if waiting:
        return "pending", f"{waiting:,} still to answer."
    return ("holds" if state["reach"] >= 100 else "caution"), "Everybody who was told has answered."
