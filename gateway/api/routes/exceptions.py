"""Exceptions over REST: what disagrees, what was compared, answers and resolutions."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from crypto.errors import SealtrailError
from gateway.api.auth import Operator
from gateway.api.custody_models import AnswerIn, ExceptionOut, ExceptionsOut, ResolveIn
from gateway.api.problems import documented, refused_input
from gateway.api.services import Here
from gateway.custody.errors import CustodyError, UnknownUnitError

router = APIRouter(prefix="/v1/exceptions", tags=["custody"])
Number = Annotated[str, Path(alias="id", pattern="^[0-9]{1,18}$", examples=["3"])]


@router.get("", summary="List exceptions", responses=documented(401, 403))
async def listing(
    who: Operator, here: Here,
    state: Annotated[Literal["open", "answered", "resolved"] | None, Query(description="only these")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[str, Query(pattern="^[0-9]{1,18}$", description="go on behind this id")] = "0",
) -> ExceptionsOut:  # fmt: skip
    """Goods and data that disagree, the oldest first: those that we report, and those that others ask us about."""
    custody = here.live.supply.custody
    found = await run_in_threadpool(custody.exceptions.page, state, int(after), limit)
    counts = await run_in_threadpool(custody.exceptions.counts)
    last = str(found[-1].id) if len(found) == limit else None
    listed = [ExceptionOut.of(case, custody.workflow.organisation) for case in found]
    return ExceptionsOut(exceptions=listed, after=last, counts=counts)


@router.get("/{id}", summary="One exception", responses=documented(401, 403, 404))
async def show(number: Number, who: Operator, here: Here) -> ExceptionOut:
    """With the words of both sides, and the records that were compared."""
    custody = here.live.supply.custody
    case = await run_in_threadpool(custody.exceptions.get, int(number))
    if case is None:
        raise HTTPException(404, f"there is no exception {number} here")
    return ExceptionOut.of(case, custody.workflow.organisation)


@router.post("/{id}/answer", status_code=204, summary="Answer", response_class=Response,
             responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def answer(number: Number, body: AnswerIn, who: Operator, here: Here) -> Response:
    """Say our side of an exception that another company reported. Once; the ledger gets the hash of it, the other
    company the words."""
    try:
        await run_in_threadpool(here.live.supply.custody.workflow.answer, int(number), body.text)
    except SealtrailError as e:
        raise _refused(e) from e
    return Response(status_code=204)


@router.post("/{id}/resolve", status_code=204, summary="Resolve", response_class=Response,
             responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def resolve(number: Number, body: ResolveIn, who: Operator, here: Here) -> Response:
    """End an exception of our own. While the other company has not answered, only `withdrawn` is possible, and
    `unanswered` behind the deadline: the contract holds to that. Where it refuses later, the exception is open again,
    and `trouble` says why."""
    workflow = here.live.supply.custody.workflow
    try:
        await workflow.require_answered(int(number), body.resolution)
        await run_in_threadpool(workflow.resolve, int(number), body.resolution, body.remark)
    except SealtrailError as e:
        raise _refused(e) from e
    return Response(status_code=204)


def _refused(error: SealtrailError) -> HTTPException:
    if isinstance(error, UnknownUnitError):
        return HTTPException(404, str(error))
    return HTTPException(409, str(error)) if isinstance(error, CustodyError) else refused_input(error)
