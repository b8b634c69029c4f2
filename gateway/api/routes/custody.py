"""Custody over REST: what events asked the ledger for, what waits and what was refused and why; and closing a lot."""

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from crypto.errors import SealtrailError
from gateway.api.auth import Operator
from gateway.api.custody_models import TransitionOut, TransitionsOut
from gateway.api.problems import documented, refused_input
from gateway.api.services import Here
from gateway.custody.errors import CustodyError, UnknownUnitError
from gateway.custody.schema import TaskState
from gateway.custody.standing import Standings
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import lgtin_of

router = APIRouter(prefix="/v1", tags=["custody"])
State = Literal["pending", "waiting", "done", "refused", "void"]
Number = Annotated[str, Path(pattern="^[0-9]{1,18}$", description="id of a transition")]


@router.get("/custody", summary="What the ledger is told", responses=documented(401, 403))
async def listing(
    who: Operator, here: Here, state: Annotated[State | None, Query(description="only these")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[str, Query(pattern="^[0-9]{1,18}$", description="go on behind this id")] = "0",
) -> TransitionsOut:  # fmt: skip
    """Transitions in the order of the events. Those that wait, stand behind another about the same thing or were
    refused say why; a refused one holds up no other and stays here until it is tried again."""
    custody = here.live.supply.custody
    wanted, idle = TaskState[state.upper()] if state else None, custody.keeping.idle  # before the counts it is about
    found = await run_in_threadpool(custody.tasks.page, wanted, int(after), limit)
    counts = await run_in_threadpool(custody.tasks.counts)
    standings = await run_in_threadpool(Standings(custody.store, custody.tasks).of, found)
    last = str(found[-1].id) if len(found) == limit else None
    return TransitionsOut(
        transitions=[TransitionOut.of(*one) for one in zip(found, standings, strict=True)], after=last, counts=counts,
        problem=custody.problem, idle=idle and not counts["pending"],
    )  # fmt: skip


@router.post("/custody/{id}/retry", status_code=204, summary="Try again", response_class=Response,
             responses=documented(401, 403, 409))  # fmt: skip
async def retry(number: Annotated[Number, Path(alias="id")], who: Operator, here: Here) -> Response:
    """Ask the contract again for what it refused: a quarantine was lifted, say."""
    custody = here.live.supply.custody
    if not await run_in_threadpool(custody.tasks.again, int(number)):
        raise HTTPException(409, f"transition {number} is not refused, so there is nothing to try again")
    custody.keeping.wake()
    return Response(status_code=204)


@router.post("/lots/{gtin}/{lot}/close", status_code=204, summary="Close a lot", response_class=Response,
             responses=documented(401, 403, 404, 409))  # fmt: skip
async def close(
    gtin: Annotated[str, Path(pattern="^[0-9]{8,14}$", examples=["09520002000019"])],
    lot: Annotated[str, Path(min_length=1, max_length=20, examples=["LOT-1"])], who: Operator, here: Here,
) -> Response:  # fmt: skip
    """No more packs are made of it: the ledger gets their tree. Needed where no event gives the lot's amount."""
    custody = here.live.supply.custody
    try:
        unit = await run_in_threadpool(custody.units.of, lgtin_of(gtin, lot))
        await run_in_threadpool(custody.lots.close, unit)
    except UnknownUnitError as e:
        raise HTTPException(404, str(e)) from e
    except CustodyError as e:
        raise HTTPException(409, str(e)) from e
    except EpcisError as e:
        raise HTTPException(422, str(e)) from e
    except SealtrailError as e:
        raise refused_input(e) from e
    custody.keeping.wake()
    return Response(status_code=204)
