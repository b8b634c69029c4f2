"""The page of alarms: what a person should know, the newest first. Acknowledging is an operator's, over REST."""

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from crypto.flat import MAX_NUMBER
from gateway.alarms.alarm import Alarm, What
from gateway.api.auth import PayloadReader
from gateway.api.services import Here
from gateway.supply.parts import Supply
from gateway.web.pages import render

router = APIRouter(include_in_schema=False)
PAGE_SIZE = 50
_HEX = re.compile(r"([0-9a-f]{2}){1,64}")
WORDS = {
    What.EXCURSION: "Excursion", What.OVERDUE: "No report in time", What.EXPLAINED: "Explained",
    What.RELEASED: "Released", What.DISPUTE: "Disputed figures", What.EXCEPTION: "Exception", What.RECALL: "Recall",
    What.SITE: "This site",
}  # fmt: skip
GRAVE = (What.EXCURSION, What.OVERDUE, What.DISPUTE, What.EXCEPTION, What.RECALL)


@router.get("/alarms")
async def alarms(
    request: Request, who: PayloadReader, here: Here, show: Annotated[Literal["all", "pending"], Query()] = "all",
    before: Annotated[int, Query(ge=1, le=MAX_NUMBER)] = MAX_NUMBER,
) -> Response:  # fmt: skip
    """All of them, or those that nobody has acknowledged."""
    part = here.live.supply.alarms
    found = await part.page(before, PAGE_SIZE, pending=show == "pending")
    kept, waiting, dropped = await part.counts()
    tabs = {"all": f"all {kept:,}", "pending": f"not acknowledged {waiting:,}"}
    links = await run_in_threadpool(lambda: [link_of(alarm, here.live.supply) for alarm in found])
    listed = [
        (alarm, WORDS[alarm.what], alarm.what in GRAVE, link) for alarm, link in zip(found, links, strict=True)
    ]  # fmt: skip
    return await run_in_threadpool(
        render, request, "alarms.html", who, alarms=listed, tabs=tabs, asked=show, dropped=dropped,
        onward=found[-1].id if len(found) == PAGE_SIZE else None, first=before == MAX_NUMBER,
    )  # fmt: skip


def link_of(alarm: Alarm, supply: Supply) -> str:
    """The page that tells more; empty where there is none. Blocks for moments."""
    if "shipment" in alarm.links:
        return f"/shipments/{alarm.subject}"
    if alarm.what is What.EXCEPTION and _HEX.fullmatch(alarm.subject):
        case = supply.custody.exceptions.on_ledger(bytes.fromhex(alarm.subject))
        return f"/exceptions/{case.id}" if case else ""
    if alarm.what is What.RECALL and supply.recalls.book.has(recall := str(alarm.numbers.get("recall", ""))):
        return f"/recalls/{recall}"
    record = alarm.links.get("record", "")
    return record if record.startswith("/records/") else ""
