"""Sources: who they are, whether anything of them is missing, what they measured; invite and revoke."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from chaincode.errors import ContractError
from chaincode.identity_records import Identity, source_handle
from crypto.errors import SealtrailError
from gateway.access import AccessError, SourceSettings
from gateway.api.auth import DeviceAdmin, PayloadReader, Reader
from gateway.api.bodies import Invite, Invited, Revoke
from gateway.api.parameters import FromTime, SourceName, SourcePath, Text, ToTime
from gateway.api.problems import documented, refused_input
from gateway.api.services import AView, Here, Services
from gateway.api.site_models import (
    CompletenessOut,
    CurveOut,
    KeyOut,
    SeriesOut,
    SourceDetailOut,
    SourceOut,
    SourcesOut,
)
from gateway.query.completeness import completeness as completeness_of
from gateway.query.readings import MAX_BUCKETS, curve, extent, series_of
from gateway.query.sources import MAX_PAGE, SourceRow, all_sources, source_row
from gateway.query.view import View

router = APIRouter(prefix="/v1/sources", tags=["sources"])


@router.get("", summary="List sources", responses=documented(401, 403))
def sources(
    who: Reader, here: Here, view: AView,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    after: Annotated[SourceName | None, Query(description="go on behind this name")] = None,
) -> SourcesOut:  # fmt: skip
    """Every source that is enrolled here or has logged something, by name."""
    settings = here.access.settings()
    rows, more = all_sources(view, settings, limit, after or "")
    connected = set(here.live.status().connected)
    found = [SourceOut(**_source(row, settings.get(row.name), connected)) for row in rows]
    return SourcesOut(sources=found, after=found[-1].name if more else None)


@router.get("/{name}", summary="One source with its keys", responses=documented(401, 403, 404))
async def source(name: SourcePath, who: Reader, here: Here, view: AView) -> SourceDetailOut:
    """Its keys are those that the contract holds, each with the log indexes where it counts."""
    keys = await source_keys(here, name)
    return await run_in_threadpool(_source_detail, here, view, name, keys, who.sees_payloads)


@router.get("/{name}/completeness", summary="Is anything missing?", responses=documented(401, 403, 404))
def completeness(name: SourcePath, who: Reader, view: AView, since: FromTime = None, until: ToTime = None
                 ) -> CompletenessOut:  # fmt: skip
    """Received, missing and sealed numbers of each boot, for all time or between two times of sensing. A gap whose
    time nobody can know counts as inside."""
    return CompletenessOut.model_validate(completeness_of(view, name, since, until))


@router.get("/{name}/series", summary="What a source measures", responses=documented(401, 403, 404))
def series(name: SourcePath, who: PayloadReader, view: AView) -> list[SeriesOut]:
    """Every series of readings with its newest value."""
    source_row(view, name)
    return [SeriesOut.model_validate(row) for row in series_of(view, name)]


@router.get("/{name}/readings", summary="A curve", responses=documented(401, 403, 404))
def readings(
    name: SourcePath, who: PayloadReader, view: AView, series: Annotated[Text, Query()],
    since: FromTime = None, until: ToTime = None, buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 300,
) -> CurveOut:  # fmt: skip
    """Lowest, highest and mean value of each stretch of the time range; without one, of everything there is."""
    first, last = extent(view, name, series) or (0, 0)
    low, high = first if since is None else since, last if until is None else until
    if low > high:
        raise HTTPException(422, "the time range is empty: its end lies before its start")
    return CurveOut.model_validate(curve(view, name, series, low, high, buckets))


@router.post("", status_code=201, summary="Invite a source", responses=documented(400, 401, 403, 409))
async def invite(body: Invite, who: DeviceAdmin, here: Here) -> Invited:
    """A one-time code with which a device enrols, valid for a day; or, with `allow_plain`, at once a password for a
    source without a key, whose records say "gateway only". Both are shown once."""
    settings = body.settings()
    try:
        if body.allow_plain:
            return Invited(source=body.source, password=await here.live.add_plain(body.source, settings))
        return Invited(source=body.source, code=await run_in_threadpool(here.live.invite, body.source, settings))
    except AccessError as e:
        raise HTTPException(409, str(e)) from e


@router.post("/{name}/revoke", status_code=204, summary="Revoke a source's key", response_class=Response,
             responses=documented(400, 401, 403, 404, 409))  # fmt: skip
async def revoke(name: SourcePath, body: Revoke, who: DeviceAdmin, here: Here) -> Response:
    """The key counts up to the log's present size and no further; what it signed before stays proved."""
    if name not in here.access.settings(name):
        raise HTTPException(404, f"no source {name} is enrolled here")
    try:
        await here.live.revoke(name, body.reason, body.compromised_from)
    except SealtrailError as e:
        raise refused_input(e) from e
    return Response(status_code=204)


async def source_keys(here: Services, name: str) -> list[KeyOut]:
    """The keys of a source by the contract; none where it has no identity there."""
    try:
        handle = source_handle(here.folder.origin, name).encode()
        identity = Identity.decode(await here.ledger.evaluate("identities.get", handle))
    except ContractError:
        return []
    return [
        KeyOut(
            algorithm=str(k.key.algorithm), kid=k.key.kid, from_index=k.from_index, until=k.until, reason=k.reason,
            doubtful_from=k.doubt.since if k.doubt else None, declared_by=k.doubt.tx_id if k.doubt else None,
        )
        for k in identity.keys
    ]  # fmt: skip


def _source_detail(here: Services, view: View, name: str, keys: list[KeyOut], payloads: bool) -> SourceDetailOut:
    settings = here.access.settings(name).get(name)
    row = source_row(view, name, known=settings is not None)
    series = [SeriesOut.model_validate(s) for s in series_of(view, name)] if payloads else None
    limits = [msgspec.to_builtins(limit) for limit in settings.limits] if settings else []
    connected = set(here.live.status().connected)
    return SourceDetailOut(**_source(row, settings, connected), keys=keys, limits=limits, series=series)


def _source(row: SourceRow, settings: SourceSettings | None, connected: set[str]) -> dict[str, Any]:
    return {
        "name": row.name, "enrolled": settings is not None, "connected": row.name in connected,
        "kinds": list(settings.kinds) if settings else [], "events": row.events, "seals": row.seals,
        "received_us": row.received_us, "boots": row.boots, "missing": row.missing, "unsealed": row.unsealed,
    }  # fmt: skip
