"""Shipments under a cold chain policy, over REST. What stands in the answers is the ledger's word."""

from collections.abc import Awaitable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query

from chaincode.coldchain.records import DisputeRecord
from chaincode.coldchain.report import Report
from chaincode.errors import Code, ContractError
from crypto.errors import SealtrailError
from gateway.api.alarm_models import (
    ExplainIn,
    ExplanationOut,
    OpenIn,
    ReleaseIn,
    ready_made,
    shipment_out,
)
from gateway.api.auth import Operator, PayloadReader
from gateway.api.problems import documented, refused_input
from gateway.api.services import Here, Services
from gateway.coldchain.errors import ShipmentError, UnknownShipmentError
from gateway.custody.errors import CustodyError
from gateway.epcis.errors import EpcisError

router = APIRouter(prefix="/v1/shipments", tags=["shipments"])
HexId = Annotated[str, Path(alias="id", pattern="^[0-9a-f]{64}$", description="shipment id, 64 lower-case hex digits")]
State = Literal["any", "open", "closed", "complete", "excursion", "released"]


@router.get("/policies", summary="Ready-made policies", responses=documented(401, 403))
async def policies(who: PayloadReader) -> dict[str, Any]:
    """Their names may stand in an opening; each is put on the ledger when it is used first."""
    return {"policies": ready_made()}


@router.post("", status_code=201, summary="Open a shipment", responses=documented(400, 401, 403, 404, 409))
async def open_shipment(body: OpenIn, who: Operator, here: Here) -> dict[str, Any]:
    """Goods go on their way: who reports their temperatures, who receives them, what is in them. Policy, opening and
    the record that evidences it are on the ledger when this answers."""
    cold = here.live.supply.cold
    try:
        shipment = await cold.open(body.opening(), who.label)
        return await _shown(here, shipment.shipment_id)
    except (SealtrailError, ValueError) as e:
        raise refused_shipment(e) from e


@router.get("", summary="List shipments", responses=documented(401, 403))
async def listing(
    who: PayloadReader, here: Here, state: Annotated[State, Query()] = "any",
    organisation: Annotated[str | None, Query(max_length=128, description="whose; without it ours")] = None,
    after: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="go on behind this id")] = None,
) -> dict[str, Any]:  # fmt: skip
    """Ids of those that an organisation opened, reports or receives, ascending, at most 256. `next` is the id behind
    which to go on, null at the end; a page with one may be empty."""
    view = here.live.supply.cold.view
    try:
        of = organisation or await view.organisation()
        found, onward = await view.listed(of, state, bytes.fromhex(after) if after else None)
    except SealtrailError as e:
        raise refused_shipment(e) from e
    return {"organisation": of, "shipments": [one.hex() for one in found], "next": onward and onward.hex()}


@router.get("/{id}", summary="One shipment", responses=documented(401, 403, 404))
async def show(named: HexId, who: PayloadReader, here: Here) -> dict[str, Any]:
    """What was opened, how far it is reported, its alarms with explanations and disputes, and who holds or released."""
    try:
        return await _shown(here, bytes.fromhex(named))
    except SealtrailError as e:
        raise refused_shipment(e) from e


@router.get("/{id}/reports", summary="Its condition reports", responses=documented(401, 403, 404))
async def reports(
    named: HexId, who: PayloadReader, here: Here, after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> dict[str, Any]:
    """As they were reported, at most 32 behind number `after`."""
    try:
        found = await here.live.supply.cold.view.reports(bytes.fromhex(named), after)
    except SealtrailError as e:
        raise refused_shipment(e) from e
    return {"reports": [_report(Report.decode(one.report), one.reported_us, one.tx_id) for one in found]}


@router.post("/{id}/explain", summary="Explain an alarm", responses=documented(400, 401, 403, 404, 409))
async def explain(named: HexId, body: ExplainIn, who: Operator, here: Here) -> ExplanationOut:
    """As the organisation that reports or shipped."""
    cold = here.live.supply.cold
    try:
        return ExplanationOut.of(await cold.explain(bytes.fromhex(named), body.alarm, body.code, body.text, who.label))
    except SealtrailError as e:
        raise refused_shipment(e) from e


@router.post("/{id}/release", summary="Release held units", responses=documented(400, 401, 403, 404, 409))
async def release(named: HexId, body: ReleaseIn, who: Operator, here: Here) -> dict[str, Any]:
    """As another organisation than the one that reported."""
    shipment_id = bytes.fromhex(named)
    return await _shown_after(here.live.supply.cold.release(shipment_id, body.reason, who.label), here, shipment_id)


@router.post("/{id}/accept", summary="Report a shipment", responses=documented(401, 403, 404))
async def accept(named: HexId, who: Operator, here: Here) -> dict[str, Any]:
    """As who reports: somebody opened it whose shipments this gateway does not report by itself."""
    shipment_id = bytes.fromhex(named)
    return await _shown_after(here.live.supply.cold.accept(shipment_id, who.label), here, shipment_id)


@router.post("/{id}/close", summary="Close a shipment", responses=documented(401, 403, 404, 409))
async def close(named: HexId, who: Operator, here: Here) -> dict[str, Any]:
    """As the recipient: the goods are here."""
    shipment_id = bytes.fromhex(named)
    return await _shown_after(here.live.supply.cold.close(shipment_id, who.label), here, shipment_id)


async def _shown_after(change: Awaitable[object], here: Services, shipment_id: bytes) -> dict[str, Any]:
    """The shipment as it is once that was done."""
    try:
        await change
        return await _shown(here, shipment_id)
    except SealtrailError as e:
        raise refused_shipment(e) from e


async def _shown(here: Services, shipment_id: bytes) -> dict[str, Any]:
    cold = here.live.supply.cold
    shipment, progress, policy = await cold.get(shipment_id)
    said = await cold.view.explanations(shipment_id)
    disputed = [_dispute(one) for one in await cold.view.disputes(shipment_id)]
    shown = shipment_out(shipment, progress, policy, said, disputed)
    return shown | {"problem": cold.problems().get(shipment_id, "")}


def _dispute(one: DisputeRecord) -> dict[str, Any]:
    return {
        "report": one.seq, "by": one.organisation, "at_us": one.disputed_us, "transaction": one.tx_id,
        "recomputed": _report(Report.decode(one.recomputed), one.disputed_us, one.tx_id),
    }  # fmt: skip


def _report(one: Report, at_us: int, tx_id: str) -> dict[str, Any]:
    return {
        "number": one.seq, "rules": one.rules, "from_us": one.from_us, "to_us": one.to_us, "first": one.first,
        "end": one.end, "reported_us": at_us, "transaction": tx_id,
        "loggers": [
            {
                "count": x.count, "first_us": x.first_us, "last_us": x.last_us, "least_milli_c": x.least,
                "most_milli_c": x.most, "mkt_milli_c": x.mkt, "longest_gap_s": x.longest_gap_s,
                "missing_s": x.missing_s, "late": x.late, "backwards": x.backwards, "repeated": x.repeated,
                "ahead": x.ahead, "digest": x.digest.hex(),
                "outside": [
                    {"longest_s": o.longest_s, "total_s": o.total_s, "beyond_s": o.beyond_s} for o in x.outside
                ],
            }
            for x in one.loggers
        ],
    }  # fmt: skip


_MISSING = frozenset({Code.UNKNOWN_SHIPMENT, Code.UNKNOWN_ALARM, Code.UNKNOWN_REPORT})
_CONFLICTS = frozenset({
    Code.SHIPMENT_EXISTS, Code.SHIPMENT_CLOSED, Code.UNIT_UNDER_WAY, Code.NOT_QUARANTINED, Code.UNEXPLAINED,
    Code.EXPLANATION_EXISTS, Code.QUARANTINED, Code.NOT_OWNER,
})  # fmt: skip


def refused_shipment(error: Exception) -> HTTPException:
    """The answer to what the contract, or a name that is not known here, refused."""
    if isinstance(error, ContractError):
        known = 404 if error.code in _MISSING else 409 if error.code in _CONFLICTS else None
        status = known or (403 if error.code is Code.FORBIDDEN else 422)
        return HTTPException(status, str(error))
    if isinstance(error, UnknownShipmentError):
        return HTTPException(404, str(error))
    if isinstance(error, ShipmentError | CustodyError | EpcisError | ValueError):
        return HTTPException(422, str(error))
    assert isinstance(error, SealtrailError)
    return HTTPException(refused_input(error).status_code, str(error))
