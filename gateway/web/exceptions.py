"""The pages of exceptions: goods and data that disagree, with what a person needs to decide.

Trust boundary: things, words and answers come from partners too; they are shown, never believed.
"""

import time
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response

from crypto.flat import MAX_NUMBER
from gateway.api.auth import PayloadReader
from gateway.api.services import AView, Here
from gateway.custody.exceptions.register import ANSWERED, OPEN, RESOLVED, ExceptionCase
from gateway.query.records import records_at
from gateway.trace.identify import label
from gateway.web.genealogy import page_of
from gateway.web.pages import render

router = APIRouter(include_in_schema=False)
PAGE_SIZE = 50
MAX_THINGS, MAX_RECORDS = 40, 16
Number = Annotated[str, Path(alias="id", max_length=64)]

KINDS = {
    "product-without-data": ("Product without data", "Goods arrived, and no hand-over tells what they are."),
    "data-without-product": ("Data without product", "A hand-over tells of goods that did not arrive."),
    "quantity-differs": ("Quantity differs", "Another number arrived than was handed over."),
    "label-differs": ("Lot or expiry differs", "Goods bear another lot or expiry than was handed over."),
    "damaged": ("Damaged", "Goods arrived damaged."),
    "suspect": ("Suspect", "Goods may be falsified."),
    "other": ("Something else", "See what was compared."),
    "duplicate-serial": ("Duplicate serial", "One serial number is in two places. One of the packs may be falsified."),
    "recalled-product": ("Recalled product", "A pack of a recalled lot was to be ended."),
    "quarantined-product": ("Quarantined product", "A pack in quarantine was to be ended."),
}  # fmt: skip
RESOLUTIONS = {
    "corrected": "the data were wrong and are right now", "explained": "goods and data agree after all",
    "false-alert": "nothing was wrong", "falsified": "the goods are falsified",
    "returned": "the goods went back", "destroyed": "the goods were destroyed",
}  # fmt: skip
WITHOUT_ANSWER = {
    "withdrawn": "the question is taken back", "unanswered": "no answer came by the deadline",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """What is up, for a person: an icon, one sentence, and whether it is this company's turn."""

    icon: str
    sentence: str
    ours: bool


def step_of(case: ExceptionCase, ours: bool, now_us: int) -> Step:
    """Whose turn it is."""
    other = case.organisation
    late = bool(case.deadline_us) and now_us > case.deadline_us
    if case.state == RESOLVED:
        return Step("holds", f"Resolved: {case.resolution.replace('-', ' ')}.", False)
    if not ours:
        if case.state == ANSWERED:
            return Step("pending", f"Answered. {case.owner or 'Its owner'} resolves it.", False)
        return Step("false" if late else "caution", f"{case.owner or 'The maker'} asks us for an answer.", True)
    if case.state == ANSWERED:
        return Step("caution", f"{other} answered. It is for us to resolve.", True)
    if not other:
        return Step("caution", "It is for us to find out and to resolve.", True)
    if late:
        return Step("false", f"{other} did not answer in time. It may be resolved as unanswered.", True)
    return Step("pending", f"{other} is asked. Until it answers, it can only be withdrawn.", False)


@router.get("/exceptions")
def exceptions(
    request: Request, who: PayloadReader, here: Here,
    state: Annotated[Literal["open", "answered", "resolved", ""], Query()] = "",
    before: Annotated[int, Query(ge=1, le=MAX_NUMBER)] = MAX_NUMBER,
) -> Response:  # fmt: skip
    """The newest first."""
    custody = here.live.supply.custody
    us, now_us = custody.workflow.organisation, time.time_ns() // 1000
    found = custody.exceptions.newest(state or None, before, PAGE_SIZE)
    listed = [(case, step_of(case, case.owner == us, now_us)) for case in found]
    counts = custody.exceptions.counts()
    states = {"": "all", **{one: f"{one} {counts[one]:,}" for one in (OPEN, ANSWERED, RESOLVED)}}
    return render(
        request, "exceptions.html", who, listed=listed, states=states, asked=state, kinds=KINDS, label=label,
        now_us=now_us, onward=found[-1].id if len(found) == PAGE_SIZE else None, first=before == MAX_NUMBER,
    )  # fmt: skip


@router.get("/exceptions/{id}")
def exception(request: Request, number: Number, who: PayloadReader, here: Here, view: AView) -> Response:
    """What was compared, by whom it is to be answered and until when, and what may be done about it."""
    custody = here.live.supply.custody
    case = custody.exceptions.get(int(number)) if number.isascii() and number.isdigit() and len(number) <= 18 else None
    if case is None:
        raise HTTPException(404, "there is no exception of this number here")
    ours, now_us = case.owner == custody.workflow.organisation, time.time_ns() // 1000
    records = records_at(view, case.records[:MAX_RECORDS], payloads=who.sees_payloads)
    return render(
        request, "exception.html", who, case=case, ours=ours, step=step_of(case, ours, now_us), now_us=now_us,
        title=KINDS.get(case.kind, (case.kind, "")), records=here.marked(view, records), label=label, page_of=page_of,
        resolutions=_resolutions(case, now_us), things=case.things[:MAX_THINGS],
    )  # fmt: skip


def _resolutions(case: ExceptionCase, now_us: int) -> dict[str, str]:
    """How the contract lets it end now."""
    if case.state == ANSWERED or not case.organisation:
        return RESOLUTIONS | {"withdrawn": WITHOUT_ANSWER["withdrawn"]}
    over = bool(case.deadline_us) and now_us > case.deadline_us
    return WITHOUT_ANSWER if over else {"withdrawn": WITHOUT_ANSWER["withdrawn"]}
