"""Partners over REST: their enrolment, and the KEM keys that others seal to, by the ledger."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import Response

from crypto.errors import SealtrailError
from crypto.kem import KemPublicKey
from crypto.keys import PublicKey, algorithm_named
from gateway.api.auth import Caller, Exchanger, KeyReader, Partaker
from gateway.api.object_models import Handle, KemKeyIn, PartnerIn, PartnerKeysOut, WithdrawIn
from gateway.api.problems import documented
from gateway.api.routes.objects import refused_exchange
from gateway.api.services import Here

router = APIRouter(prefix="/v1/partners", tags=["sealed objects"])
Name = Annotated[Handle, Path(description="handle on the ledger", examples=["hospital"])]
Kid = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the KEM key, hex")]


@router.post("", status_code=204, summary="Enrol a partner", response_class=Response,
             responses=documented(400, 401, 403, 409))  # fmt: skip
async def enrol(body: PartnerIn, who: Exchanger, here: Here) -> Response:
    """An identity on the ledger, of this gateway's log. It has signed its own enrolment."""
    objects = here.live.objects
    try:
        key = PublicKey(algorithm_named(body.algorithm), body.public_key)
        await objects.partners.enrol(body.name, key, objects.log_size(), body.possession)
    except SealtrailError as e:
        raise refused_exchange(e) from e
    return Response(status_code=204)


@router.get("/{name:path}/keys", summary="Keys of a partner", responses=documented(401, 403, 404, 409))
async def keys(name: Name, who: KeyReader, here: Here) -> PartnerKeysOut:
    """Its present signature key, and all its KEM keys, the newest last."""
    try:
        return PartnerKeysOut.of(await here.live.objects.partners.keys(name))
    except SealtrailError as e:
        raise refused_exchange(e) from e


@router.post("/{name:path}/keys", status_code=204, summary="Publish a KEM key", response_class=Response,
             responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def publish(name: Name, body: KemKeyIn, who: Partaker, here: Here) -> Response:
    """From now on others seal to this key. The identity's signature key has signed it
    (docs/formats/exchange.md)."""
    _require_own(who, name)
    try:
        key = KemPublicKey(body.suite, body.public_key)
        await here.live.objects.partners.publish(name, key, body.signature)
    except SealtrailError as e:
        raise refused_exchange(e) from e
    return Response(status_code=204)


@router.post("/{name:path}/keys/{kid}/withdraw", status_code=204, summary="Withdraw a KEM key",
             response_class=Response, responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def withdraw(name: Name, kid: Kid, body: WithdrawIn, who: Partaker, here: Here) -> Response:
    """Nobody is to seal to it any more. What was sealed to it before stays open to whoever has its private half."""
    _require_own(who, name)
    try:
        await here.live.objects.partners.withdraw(name, bytes.fromhex(kid), body.reason, body.signature)
    except SealtrailError as e:
        raise refused_exchange(e) from e
    return Response(status_code=204)


def _require_own(who: Caller, name: str) -> None:
    if not who.exchanges and who.label != name:
        raise HTTPException(403, f"this token is {who.label}'s, not {name}'s")
