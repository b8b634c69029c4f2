"""Subscriptions to named queries by webhook."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from gateway.api.auth import Operator, PayloadReader
from gateway.api.bodies import In
from gateway.api.epcis.answers import answer, negotiate
from gateway.api.epcis.asking import next_link, refused
from gateway.api.epcis.queries import PerPage, QueryName, Token, named
from gateway.api.problems import documented
from gateway.api.services import Here
from gateway.delivery.errors import DeliveryError
from gateway.delivery.outbox import QueueState
from gateway.enquiry.destinations import require_prefix
from gateway.enquiry.errors import DestinationError, EnquiryError, ScheduleError
from gateway.enquiry.schedule import parsed_schedule
from gateway.enquiry.standing import Subscription
from gateway.enquiry.values import moment
from gateway.events.times import rfc3339
from gateway.query.cursor import decode_cursor, encode_cursor

router = APIRouter(prefix="/epcis/queries/{name}/subscriptions", tags=["EPCIS"], dependencies=[Depends(negotiate)])
_QUESTION = "epcis subscriptions of "
SubscriptionId = Annotated[str, Path(alias="id", pattern="^[0-9a-f]{32}$")]


class SubscriptionIn(In):
    """Where reports go, and when: `stream` or a schedule."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dest: Annotated[str, Field(min_length=8, max_length=2048, examples=["https://client.example.com/events"])]
    signature_token: Annotated[str, Field(pattern=r"^[\x21-\x7e]{16,256}$")] | None = Field(
        default=None, alias="signatureToken", description="signs what is sent: GS1-Signature, webhook-signature"
    )
    stream: bool | None = Field(default=None, description="report whenever something matches")
    schedule: dict[str, Annotated[str, Field(min_length=1, max_length=200)]] | None = Field(
        default=None, examples=[{"hour": "1", "minute": "5"}]
    )
    report_if_empty: bool = Field(default=False, alias="reportIfEmpty")
    initial_record_time: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="initialRecordTime")


@router.post("", status_code=201, summary="Subscribe", response_class=Response,
             responses=documented(400, 401, 403, 404, 406))  # fmt: skip
async def subscribe(name: QueryName, body: SubscriptionIn, who: Operator, here: Here) -> Response:
    """Matching events go to `dest` as EPCISQueryDocuments, in the order of the log, at least once; `webhook-id` is the
    same in every try. From now on, or from `initialRecordTime` on."""
    await named(here, name)
    enquiries = here.live.supply.enquiries
    try:
        wanted = _wanted(name, body, here.live.supply.ground.log_size())
        require_destination(here, wanted)
        made = await asyncio.to_thread(enquiries.standing.subscribe, wanted)
    except EnquiryError as e:
        raise refused(e) from e
    enquiries.reports.changed()
    location = f"/epcis/queries/{name}/subscriptions/{made.id}"
    return answer(_json(made, None), 201, {"Location": location})


@router.get("", summary="List subscriptions", response_class=Response,
            responses=documented(400, 401, 403, 404, 406))  # fmt: skip
async def subscriptions(
    request: Request, name: QueryName, who: PayloadReader, here: Here, per_page: PerPage = 30, token: Token = None
) -> Response:  # fmt: skip
    """Of one query, oldest first. Secrets are not told."""
    await named(here, name)
    question = f"{_QUESTION}{name}"
    behind = decode_cursor(question, token) if token else 0
    standing = here.live.supply.enquiries.standing
    found = await asyncio.to_thread(standing.subscriptions, name, behind, per_page + 1)
    headers = {}
    if len(found) > per_page:
        found = found[:per_page]
        headers["Link"] = next_link(request, encode_cursor(question, found[-1].number))
    states = await _states(here)
    return answer([_json(one, states.get(one.id)) for one in found], headers=headers)


@router.get("/{id}", summary="One subscription", response_class=Response,
            responses=documented(400, 401, 403, 404, 406))  # fmt: skip
async def subscription(name: QueryName, subscription_id: SubscriptionId, who: PayloadReader, here: Here) -> Response:
    """With how many reports wait for its receiver, and why."""
    try:
        found = await asyncio.to_thread(here.live.supply.enquiries.standing.subscription, name, subscription_id)
    except EnquiryError as e:
        raise refused(e) from e
    return answer(_json(found, (await _states(here)).get(found.id)))


@router.delete("/{id}", status_code=204, summary="Unsubscribe", response_class=Response,
               responses=documented(400, 401, 403, 404, 406))  # fmt: skip
async def unsubscribe(name: QueryName, subscription_id: SubscriptionId, who: Operator, here: Here) -> Response:
    """What waits for its receiver is forgotten."""
    enquiries = here.live.supply.enquiries
    try:
        await asyncio.to_thread(enquiries.standing.unsubscribe, name, subscription_id)
    except EnquiryError as e:
        raise refused(e) from e
    await enquiries.reports.forget(subscription_id)
    return answer(status=204)


def require_destination(here: Here, wanted: Subscription) -> None:
    """DestinationError where the operator's rules allow nothing to be sent there."""
    enquiries = here.live.supply.enquiries
    try:
        require_prefix(wanted.dest, enquiries.prefixes)
        enquiries.reports.require_target(wanted.dest, wanted.secret)
    except (EnquiryError, DeliveryError) as e:
        raise DestinationError(f"dest: {e}") from e


def _wanted(name: str, body: SubscriptionIn, log_size: int) -> Subscription:
    if (body.stream is True) == (body.schedule is not None) or body.stream is False:
        raise ScheduleError('give either "stream": true or a schedule')
    schedule = parsed_schedule(body.schedule).text if body.schedule is not None else {}
    initial = None
    if body.initial_record_time is not None:
        initial = moment("initialRecordTime", [body.initial_record_time])
    token = (body.signature_token or "").encode()
    start = log_size if initial is None else 0
    return Subscription(name, body.dest, token, schedule, body.report_if_empty, initial, start)


async def _states(here: Here) -> dict[str, QueueState]:
    states = await here.live.supply.outbox.states()
    return {state.name.removeprefix("epcis/"): state for state in states if state.name.startswith("epcis/")}


def _json(one: Subscription, state: QueueState | None) -> dict[str, Any]:
    when: dict[str, Any] = {"schedule": one.schedule} if one.schedule else {"stream": True}
    initial = {} if one.initial_us is None else {"initialRecordTime": rfc3339(one.initial_us)}
    waits = {} if state is None else {
        "waiting": state.waiting, "delivered": state.delivered, "putOut": state.put_out, "problem": state.problem
    }  # fmt: skip
    return {
        "subscriptionID": one.id, "queryName": one.query, "dest": one.dest, "createdAt": rfc3339(one.created_us),
        "reportIfEmpty": one.report_if_empty, "signed": bool(one.secret), **when, **initial, **waits,
    }  # fmt: skip
