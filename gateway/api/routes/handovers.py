"""Hand-overs over REST: what partners' gateways send, and what people see of it.

A partner's token is bound to its organisation by the token's label; what it sends must be signed by a gateway of that
organisation too.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from crypto.errors import SealtrailError
from gateway.api.auth import Operator, PartnerOnly
from gateway.api.custody_models import HandoverOut, HandoversOut
from gateway.api.problems import documented, refused_input
from gateway.api.services import Here
from gateway.custody.errors import CustodyError, HandoverError, NoRoomError, PartnerError
from gateway.custody.handover.format import MEDIA_TYPE

router = APIRouter(prefix="/v1/handovers", tags=["custody"])
_BODY = {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}}


@router.post("", status_code=204, summary="Hand over", response_class=Response,
             responses=documented(401, 403), openapi_extra=_BODY)  # fmt: skip
async def hand_over(request: Request, who: PartnerOnly, here: Here) -> Response:
    """A part of a hand-over, or a notice about one (docs/formats/handover.md), from a partner's gateway. When this
    answers, it is on disk; it is compared with the ledger afterwards, and the sender hears what came of that."""
    try:
        await here.live.supply.custody.handovers.receive(await request.body(), who.label)
    except ClientDisconnect as e:
        raise HTTPException(400, "the message broke off; nothing of it is kept") from e
    except (HandoverError, CustodyError) as e:
        raise HTTPException(422, str(e)) from e
    except PartnerError as e:
        raise HTTPException(403, str(e)) from e
    except NoRoomError as e:  # no refusal: the sender's gateway sends it again
        raise HTTPException(503, str(e), headers={"Retry-After": "60"}) from e
    except SealtrailError as e:
        raise refused_input(e) from e
    return Response(status_code=204)


@router.get("", summary="List hand-overs", responses=documented(401, 403))
async def listing(
    who: Operator, here: Here, limit: Annotated[int, Query(ge=1, le=100)] = 50,
    before: Annotated[int, Query(ge=0, le=2**63 - 1, description="made before this time, µs since 1970")] = 2**63 - 1,
) -> HandoversOut:  # fmt: skip
    """From us and to us, the newest first, with how far each is and why one was rejected."""
    found = await run_in_threadpool(here.live.supply.custody.book.page, before, limit)
    return HandoversOut(handovers=[HandoverOut.of(one) for one in found])
