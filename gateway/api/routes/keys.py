"""The keys that the site signs with, and their change."""

from fastapi import APIRouter

from crypto.errors import SealtrailError
from gateway.api.auth import Operator
from gateway.api.bodies import Migrate, MigratedOut
from gateway.api.problems import documented, refused_input
from gateway.api.services import Here

router = APIRouter(prefix="/v1/keys", tags=["site"])


@router.post("/migrate", summary="Change the site's signature keys", responses=documented(400, 401, 403, 409))
async def migrate(body: Migrate, who: Operator, here: Here) -> MigratedOut:
    """New keys for log, ledger and gateway, of the algorithm `to`, while everything goes on. Sources follow by a
    statement that the old and the new key both signed. A weaker algorithm is refused unless `force` is set."""
    try:
        done = await here.live.migrate(body.to, force=body.force)
    except SealtrailError as e:
        raise refused_input(e) from e
    return MigratedOut(algorithm=str(done.suite), kid=done.kid.hex(), log_vkeys=list(done.log_vkeys))
