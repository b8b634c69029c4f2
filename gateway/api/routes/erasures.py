"""Erasures: destroy what is stored of a subject. There is no way back."""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from gateway.api.auth import DataProtection
from gateway.api.bodies import Erase, Erased
from gateway.api.problems import documented
from gateway.api.services import Here

router = APIRouter(prefix="/v1/erasures", tags=["erasures"])


@router.post("", status_code=201, summary="Erase a subject", responses=documented(400, 401, 403, 404))
async def erase(body: Erase, who: DataProtection, here: Here) -> Erased:
    """Payloads, salts and key of a person or a source are gone from the store, the index and the dead letters when this
    answers; records and proofs stay, and the log says what was erased, when, why, and by whose token. New events wait
    meanwhile."""
    erased = await here.live.erase(body.subject, f"token {who.label}", body.reason)
    await run_in_threadpool(here.views.renew)
    await run_in_threadpool(here.events.renew)
    await run_in_threadpool(here.live.supply.renew)
    return Erased(entries=[str(one.leaf) for one in erased], events=sum(one.erasure.count for one in erased))
