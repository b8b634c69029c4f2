"""What waits in the outbox for others, and what was put out of it, over REST."""

from typing import Any

from fastapi import APIRouter

from gateway.api.auth import Operator
from gateway.api.problems import documented
from gateway.api.services import Here

router = APIRouter(prefix="/v1/deliveries", tags=["alarms"])
MAX_LOST = 100


@router.get("", summary="Queues of the outbox", responses=documented(401, 403))
async def listing(who: Operator, here: Here) -> dict[str, Any]:
    """Each receiver with what waits for it, since when it does not take it, and why; and the newest deliveries that
    were put out."""
    outbox = here.live.supply.outbox
    queues = [
        {
            "name": one.name, "url": one.url, "waiting": one.waiting, "bytes": one.nbytes, "oldest_us": one.oldest_us,
            "delivered": one.delivered, "put_out": one.put_out, "failing_since_us": one.failing_since_us,
            "problem": one.problem,
        }
        for one in await outbox.states()
    ]  # fmt: skip
    lost = [
        {
            "at_us": one.at_us, "name": one.target, "message": one.message, "added_us": one.added_us,
            "tries": one.tries, "size": one.size, "digest": one.digest.hex(), "reason": one.reason,
        }
        for one in await outbox.lost(MAX_LOST)
    ]  # fmt: skip
    return {"queues": queues, "put_out": lost}
