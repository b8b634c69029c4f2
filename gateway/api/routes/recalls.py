"""Recalls: begun, answered and looked at by this company's people; told and answered by partners' gateways."""

import asyncio
import time
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.auth import Operator, Partaker, PayloadReader
from gateway.api.parameters import Text
from gateway.api.problems import documented
from gateway.api.services import Here
from gateway.recall.branches import branch_file, decode_opening
from gateway.recall.errors import UnknownRecallError
from gateway.recall.recalls import Recalls
from gateway.recall.report import as_html, state_of
from gateway.recall.statements import MEDIA_TYPE

router = APIRouter(prefix="/v1/recalls", tags=["recalls"])
RecallId = Annotated[str, Path(alias="id", pattern=r"^[0-9A-Za-z._:-]{1,128}$", description="id of the recall")]
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {MEDIA_TYPE: {
    "schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip
Count = Annotated[int, Field(ge=0, le=2**53)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecallIn(_In):
    """A recall to begin."""

    lot: Annotated[str, Field(min_length=1, max_length=2048, description="LGTIN, as for a trace")]
    grade: Annotated[int, Field(alias="class", ge=1, le=3)]
    reason: Annotated[str, Field(min_length=1, max_length=256)]
    deadline_s: Annotated[float, Field(gt=0, le=90 * 86_400, description="answers are wanted within so many seconds")]
    drill: bool = False


class AnswerIn(_In):
    """What a person counted, in place of what the events say; what is absent stays as the events have it."""

    quarantined: Count | None = None
    sold: Count | None = None
    destroyed: Count | None = None
    returned: Count | None = None
    in_transit: Count | None = None
    unknown: Count | None = None


class LiftIn(_In):
    """Why a recall ends."""

    reason: Annotated[str, Field(min_length=1, max_length=256)]


class RecallState(BaseModel):
    """A recall as this gateway knows it; docs/rest.md."""

    id: str
    drill: bool
    maker: bool
    lot: str
    packs: int
    reach: float = Field(description="percent of packs of which somebody said what became of them")


@router.post("", status_code=201, summary="Begin a recall or a drill", responses=documented(400, 401, 403, 404, 409))
async def begin(body: RecallIn, who: Operator, here: Here) -> dict[str, str]:
    """The maker stops a lot: on the ledger, and at its customers, tier by tier. A drill tells everybody the same way,
    marked as a drill, and stops nothing."""
    recalls = here.live.supply.recalls
    deadline_us = time.time_ns() // 1000 + int(body.deadline_s * 1e6)
    recall = await recalls.start(body.lot, body.grade, body.reason, deadline_us, drill=body.drill)
    return {"id": recall.id}


@router.get("", summary="All recalls", responses=documented(401, 403))
async def listing(who: PayloadReader, here: Here) -> dict[str, list[dict[str, Any]]]:
    """Newest first."""
    found = await asyncio.to_thread(here.live.supply.recalls.book.all)
    return {"recalls": [
        {"id": r.id, "drill": r.drill, "maker": r.maker, "lot": r.lot, "class": r.grade, "reason": r.reason,
         "begun_us": r.begun_us, "deadline_us": r.deadline_us, "closed": r.closed} for r in found
    ]}  # fmt: skip


@router.post("/notices", status_code=204, summary="A supplier's notice", response_class=Response,
             responses=documented(401, 403, 404), openapi_extra=_BODY)  # fmt: skip
async def notice(request: Request, who: Partaker, here: Here) -> Response:
    """A signed notice (docs/formats/recall.md), by the company whose name is the token's label."""
    await here.live.supply.recalls.take_notice(who.label, await request.body())
    return Response(status_code=204)


@router.post("/answers", status_code=204, summary="A customer's answer", response_class=Response,
             responses=documented(401, 403, 404), openapi_extra=_BODY)  # fmt: skip
async def heard(request: Request, who: Partaker, here: Here) -> Response:
    """A signed answer (docs/formats/recall.md), by the company whose name is the token's label."""
    await here.live.supply.recalls.take_answer(who.label, await request.body())
    return Response(status_code=204)


@router.get("/{id}", summary="The state of a recall", response_class=Response,
            responses={200: {"model": RecallState}, **documented(401, 403, 404)})  # fmt: skip
async def state(
    recall_id: RecallId, who: PayloadReader, here: Here,
    form: Annotated[Literal["json", "html"], Query(alias="format")] = "json",
) -> Response:  # fmt: skip
    """Reach, tiers, silence, and what each direct customer said; of customers behind these only how many there are."""
    found = await _state(here.live.supply.recalls, recall_id)
    if form == "html":
        return Response(as_html(found), media_type="text/html; charset=utf-8")
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.post("/{id}/answer", status_code=204, summary="Answer a recall", response_class=Response,
             responses=documented(400, 401, 403, 404))  # fmt: skip
async def answer(recall_id: RecallId, body: AnswerIn, who: Operator, here: Here) -> Response:
    """A person confirms what is here. The answer goes to the suppliers, and again whenever a customer's answer changes
    it."""
    counts = {name: value for name, value in body.model_dump().items() if value is not None}
    await here.live.supply.recalls.answer(recall_id, counts or None)
    return Response(status_code=204)


@router.post("/{id}/lift", status_code=204, summary="End a recall", response_class=Response,
             responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def lift(recall_id: RecallId, body: LiftIn, who: Operator, here: Here) -> Response:
    """The maker ends a recall that was false, or a drill that is done."""
    await here.live.supply.recalls.lift(recall_id, body.reason)
    return Response(status_code=204)


@router.get("/{id}/branch", summary="Open a branch for an authority", response_class=Response,
            responses={200: {"content": {"application/json": {}}}, **documented(401, 403, 404)})  # fmt: skip
async def branch(
    recall_id: RecallId, who: Operator, here: Here,
    supplier: Annotated[Text, Query(description="to whom the answer was given")],
    number: Annotated[int | None, Query(ge=1, description="which answer; the newest one without it")] = None,
) -> Response:  # fmt: skip
    """Our signed answer to a supplier and the signed answers of our customers behind it, with names: for `sealtrail
    recall check-branch`. Whoever gets this file sees who our customers are."""
    book = here.live.supply.recalls.book
    said = await asyncio.to_thread(
        lambda: book.said(recall_id, supplier) if number is None else book.said_number(recall_id, supplier, number)
    )  # fmt: skip
    if said is None:
        raise UnknownRecallError(f"no such answer was given to {supplier}")
    return Response(branch_file(said.body, said.salt, decode_opening(said.opening)), media_type="application/json")


async def _state(recalls: Recalls, recall_id: str) -> dict[str, Any]:
    recall, suppliers, customers, found = await recalls.counted(recall_id)
    return state_of(recall, suppliers, customers, found, time.time_ns() // 1000)
