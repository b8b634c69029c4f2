"""Sealed objects over REST: upload, download, grants, receipts, revocations.

A partner's token is bound to its name on the ledger by the token's label: it gets what the ledger says was granted to
that name and not revoked, and nothing else. Bodies are streamed; nobody's upload is held in memory.
"""

import logging
import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from chaincode.errors import Code, ContractError
from chaincode.exchange_records import DeliveryStatement
from crypto.errors import SealtrailError
from gateway.api.auth import Caller, Exchanger, Partaker
from gateway.api.object_models import (
    GrantIn,
    GrantOut,
    GrantsOut,
    Handle,
    ObjectOut,
    ObjectsOut,
    Reason,
    ReceiptIn,
)
from gateway.api.problems import RETRY_AFTER, documented, refused_input
from gateway.api.services import Here, Services
from gateway.objects.catalogue import StoredObject
from gateway.objects.errors import AlteredObjectError, ObjectError, ObjectRoomError, UnknownObjectError
from gateway.objects.exchange import Granted, PassedOn
from gateway.objects.keeper import in_thread, require_known

router = APIRouter(prefix="/v1/objects", tags=["sealed objects"])
log = logging.getLogger(__name__)
MAX_PAGE = 100
OCTETS = "application/octet-stream"
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})", re.ASCII)
_UPLOAD = {"requestBody": {"required": True, "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}}
HexId = Annotated[str, Path(alias="id", pattern="^[0-9a-f]{64}$", description="object id, 64 lower-case hex digits")]


@router.post("", status_code=201, summary="Keep a sealed object", responses=documented(401, 403, 409),
             openapi_extra=_UPLOAD)  # fmt: skip
async def put(request: Request, who: Exchanger, here: Here) -> ObjectOut:
    """The body is the sealed object itself, streamed, at most `objects.max_object_bytes`. When this answers, it is on
    disk and a record of the log names its digest. The same object again changes nothing."""
    try:
        return ObjectOut.of(await here.live.objects.keeper.take(request.stream()))
    except ClientDisconnect as e:
        raise HTTPException(400, "the upload broke off; nothing of it is kept") from e
    except SealtrailError as e:
        raise refused_exchange(e) from e


@router.get("", summary="List objects", responses=documented(401, 403))
async def listing(
    who: Partaker, here: Here, limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    after: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="go on behind this id")] = None,
) -> ObjectsOut:  # fmt: skip
    """All that is kept here, by id; for a partner what is granted to it now and kept here."""
    behind = bytes.fromhex(after) if after else None
    found, last = await _page(here, who, behind, limit)
    return ObjectsOut(objects=[ObjectOut.of(stored) for stored in found], after=last)


async def _page(
    here: Services, who: Caller, behind: bytes | None, limit: int
) -> tuple[list[StoredObject], bytes | None]:
    """A page, and the id behind which there may be more. A partner's page may be empty and yet not the last."""
    objects = here.live.objects
    if who.exchanges:
        found = await objects.keeper.page(behind or b"", limit)
        return found, found[-1].object_id if len(found) == limit else None
    ids = (await objects.exchange.listed(who.label, behind))[:limit]
    found = []
    for object_id in ids:
        try:
            await _require_live(here, who, object_id)
            found.append(await objects.keeper.get(object_id))
        except (HTTPException, UnknownObjectError):
            continue
    return found, ids[-1] if len(ids) == limit else None


@router.get("/{id}", summary="Fetch a sealed object", response_class=StreamingResponse,
            responses={200: {"content": {OCTETS: {}}}, 206: {"content": {OCTETS: {}}, "description": "a range"},
                       **documented(401, 403, 404, 416)})  # fmt: skip
async def fetch(named: HexId, who: Partaker, here: Here, request: Request) -> Response:
    """The ciphertext. `Range: bytes=first-last` gives a part of it. A partner gets what is granted to it now; after a
    revocation it is refused. Compare the digest: the answer breaks off where the stored bytes are not those."""
    object_id = bytes.fromhex(named)
    await _require_live(here, who, object_id)
    try:
        stored = await here.live.objects.keeper.get(object_id)
        require_known(stored)
        start, stop = _range(request.headers.get("range", ""), stored.size)
        pieces = in_thread(here.live.objects.keeper.read(stored, start, stop))
        first = await anext(pieces, b"")  # what is missing is told before the answer begins
    except SealtrailError as e:
        raise refused_exchange(e) from e
    whole = (start, stop) == (0, stored.size)
    headers = {
        "Content-Length": str(stop - start), "Accept-Ranges": "bytes", "ETag": f'"{stored.digest.hex()}"',
        "Content-Disposition": f'attachment; filename="{named}.sealed"',
    } | ({} if whole else {"Content-Range": f"bytes {start}-{stop - 1}/{stored.size}"})  # fmt: skip
    return StreamingResponse(_joined(first, pieces), 200 if whole else 206, headers, OCTETS)


def _range(header: str, size: int) -> tuple[int, int]:
    """First byte and end of a single range; of anything else that is allowed, the whole (RFC 9110 section 14.2)."""
    match = _RANGE.fullmatch(header)
    if match is None:
        return 0, size
    start, stop = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
    if start >= stop:
        raise HTTPException(416, f"the object has {size} bytes", {"Content-Range": f"bytes */{size}"})
    return start, stop


async def _joined(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


@router.get("/{id}/grants", summary="Who was granted it", responses=documented(401, 403, 404))
async def grants(
    named: HexId, who: Partaker, here: Here,
    after: Annotated[Handle | None, Query(description="go on behind this recipient")] = None,
) -> GrantsOut:  # fmt: skip
    """By the ledger, with what each recipient signed, 64 at a time. A partner sees its own grant."""
    try:
        found = await _grants(here, who, bytes.fromhex(named), after)
        facts = await here.live.objects.exchange.facts(bytes.fromhex(named))
    except SealtrailError as e:
        raise refused_exchange(e) from e
    last = found[-1].record.recipient if len(found) == 64 else None
    return GrantsOut(
        id=facts.object_id, digest=facts.digest, size=facts.size, origin=facts.origin, record=str(facts.index),
        grants=[GrantOut.of(one) for one in found], after=last,
    )  # fmt: skip


async def _grants(here: Services, who: Caller, object_id: bytes, after: str | None) -> list[Granted]:
    exchange = here.live.objects.exchange
    if who.exchanges:
        return await exchange.grants(object_id, after)
    return [await exchange.granted(object_id, who.label)]


@router.post("/{id}/grants", status_code=204, summary="Grant it", response_class=Response,
             responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def grant(named: HexId, body: GrantIn, who: Partaker, here: Here) -> Response:
    """Let recipients have it, by their names on the ledger. A partner passes on what it holds, with its own signature
    and a grant file. Waits until the record that names the object is anchored."""
    by = _passed_on(body, who)
    exchange = here.live.objects.exchange
    try:
        if body.grant is None:
            await exchange.grant(bytes.fromhex(named), body.recipients)
        else:
            await exchange.grant_by_file(bytes.fromhex(named), body.recipients[0], body.grant, by)
    except SealtrailError as e:
        raise refused_exchange(e) from e
    return Response(status_code=204)


def _passed_on(body: GrantIn, who: Caller) -> PassedOn | None:
    """The holder's own word; needed from whoever is not the owner."""
    if len(set(body.recipients)) != len(body.recipients):
        raise HTTPException(422, "a recipient is named twice")
    if body.grant is not None and len(body.recipients) != 1:
        raise HTTPException(422, "a grant file is for one recipient")
    if (body.holder is None) != (body.signature is None) or (body.holder is not None and body.grant is None):
        raise HTTPException(422, "holder and signature belong together, and to a grant file")
    if body.holder is None or body.signature is None:
        if not who.exchanges:
            raise HTTPException(403, "a partner passes an object on with its own signature and a grant file")
        return None
    if not who.exchanges and body.holder != who.label:
        raise HTTPException(403, f"this token is {who.label}'s; it passes on what {who.label} holds")
    return PassedOn(body.holder, body.signature)


@router.delete("/{id}/grants/{recipient:path}", status_code=204, summary="Revoke a grant", response_class=Response,
               responses=documented(401, 403, 404, 409))  # fmt: skip
async def revoke(
    named: HexId, recipient: Annotated[Handle, Path()], who: Exchanger, here: Here,
    reason: Annotated[Reason, Query(description="why, for the ledger")],
) -> Response:  # fmt: skip
    """It is delivered to this recipient no more, and the ledger shows when. This takes nothing back: whoever opened the
    object has its content and its key."""
    try:
        await here.live.objects.exchange.revoke(bytes.fromhex(named), recipient, reason)
    except SealtrailError as e:
        raise refused_exchange(e) from e
    return Response(status_code=204)


@router.post("/{id}/receipt", status_code=204, summary="Sign for it", response_class=Response,
             responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def receive(named: HexId, body: ReceiptIn, who: Partaker, here: Here) -> Response:
    """Bring a recipient's signed receipt to the ledger: opened, or refused with a reason. Once for each verdict; the
    same again changes nothing."""
    try:
        said = DeliveryStatement.decode(body.statement)
        if said.object_id.hex() != named:
            raise HTTPException(422, "the receipt is for another object")
        if not who.exchanges and said.recipient != who.label:
            raise HTTPException(403, f"this token is {who.label}'s, the receipt is of {said.recipient}")
        await here.live.objects.exchange.receive(body.statement, body.signature)
    except SealtrailError as e:
        raise refused_exchange(e) from e
    return Response(status_code=204)


async def _require_live(here: Services, who: Caller, object_id: bytes) -> None:
    """A partner has a grant that was not revoked. 404 without one, so that nobody learns what there is."""
    if who.exchanges:
        return
    try:
        found = await here.live.objects.exchange.granted(object_id, who.label)
    except ContractError as e:
        if e.code not in (Code.NOT_GRANTED, Code.UNKNOWN_OBJECT, Code.MALFORMED):
            raise
        raise HTTPException(404, f"no object {object_id.hex()[:16]}… is granted to {who.label}") from e
    if found.record.revoked is not None:
        raise HTTPException(403, f"the grant to {who.label} was revoked: {found.record.revoked.reason}")


_STATUS = {
    Code.NOT_GRANTED: 404, Code.UNKNOWN_OBJECT: 404, Code.UNKNOWN_IDENTITY: 404, Code.NO_KEM_KEY: 404,
    Code.OBJECT_EXISTS: 409, Code.GRANT_EXISTS: 409, Code.RECEIPT_EXISTS: 409, Code.KEY_CLOSED: 409,
    Code.NOT_ANCHORED: 409, Code.UNKNOWN_CHECKPOINT: 409,
}  # fmt: skip


def refused_exchange(error: SealtrailError) -> HTTPException:
    if isinstance(error, UnknownObjectError):
        return HTTPException(404, str(error))
    if isinstance(error, AlteredObjectError):
        log.error("%s", error)
        return HTTPException(500, "the stored bytes are not those that were stored; the gateway's log says more")
    if isinstance(error, ObjectRoomError):
        return HTTPException(503, str(error), RETRY_AFTER)
    if isinstance(error, ObjectError):
        return HTTPException(409, str(error))
    if isinstance(error, ContractError) and error.code in _STATUS:
        return HTTPException(_STATUS[error.code], str(error))
    return refused_input(error)
