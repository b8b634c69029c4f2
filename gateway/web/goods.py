"""The page of goods: what a thing was made of, where it went, and every step with its proof."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway.api.auth import PayloadReader
from gateway.api.services import AnEventsView, Here
from gateway.query.errors import NotFoundError
from gateway.trace.errors import TraceError
from gateway.trace.identify import MAX_CHARS, label
from gateway.trace.tracing import Question, trace
from gateway.web.genealogy import Organisation, custody, genealogy, page_of
from gateway.web.pages import render

router = APIRouter(include_in_schema=False)
MAX_SHOWN = 200  # steps
THINGS = 2_000


@router.get("/goods")
def goods(
    request: Request, who: PayloadReader, here: Here, view: AnEventsView,
    identifier: Annotated[str, Query(alias="id", max_length=MAX_CHARS)] = "",
) -> Response:  # fmt: skip
    """The form; with an identifier, its way from the materials to where it is now."""
    if not identifier.strip():
        return render(request, "goods.html", who, asked="", found=None, problem="")
    try:
        found = trace(view, Question.of(identifier, limit=THINGS))
    except (TraceError, NotFoundError) as e:
        return render(request, "goods.html", who, 404, asked=identifier, found=None, problem=str(e))
    organisation = organisations(here)
    steps = [step | {"at": organisation(_where(step)) or label(_where(step) or "")} for step in found["steps"]]
    return render(
        request, "goods.html", who, asked=identifier, found=found, problem="", steps=steps[:MAX_SHOWN],
        genealogy=genealogy(found), custody=custody(found, organisation), page_of=page_of, label=label,
        organisation=organisation,
    )  # fmt: skip


def organisations(here: Here) -> Organisation:
    """Whose a place is: a partner's name by its GLN; empty where nobody's."""
    partners = here.live.supply.custody.partners

    def of(uri: str | None) -> str:
        found = partners.at(uri) if uri else None
        return found.organisation if found else ""

    return of


def _where(step: dict[str, Any]) -> str | None:
    found: str | None = step["location"] or step["read_point"]
    return found
