"""The pages' routes: first page, records, one record, one source, login."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool

from gateway.access import AccessError
from gateway.api.auth import MAX_TOKEN_CHARS, Caller, Reader, WhoeverCalls
from gateway.api.parameters import FromTime, RecordId, SourcePath, ToTime
from gateway.api.routes.sources import source_keys
from gateway.api.services import AView, Here, Services
from gateway.query.completeness import completeness
from gateway.query.detail import record_detail
from gateway.query.errors import NotFoundError
from gateway.query.kinds import flag_names, kind_name
from gateway.query.proof_chain import LinkState, proof_chain
from gateway.query.readings import excursions, series_of
from gateway.query.records import RecordFilter, list_records
from gateway.query.sources import source_row
from gateway.query.summary import format_value, short_series, summary_of
from gateway.query.view import View
from gateway.web import chart, text
from gateway.web.fields import shown_fields
from gateway.web.home import gather, series_chart
from gateway.web.sections import sections

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).parent / "static"
FILES = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
PAGE_SIZE = 50
SOURCE_SERIES = 6
MAX_FORM_BYTES = 4096
MAX_NEXT_CHARS = 1000  # as the form sends it, each may be three bytes; the token has to fit beside it
# A page of our own and what it is asked, in characters that browsers read as no more: no backslash, no control.
OWN_PAGE = re.compile(
    r"/((records|sources|shipments|exceptions|recalls)(/[a-z0-9][a-z0-9._-]{0,63})?|goods|alarms)?"
    r"(\?[A-Za-z0-9._~%&=+:/?@!$'()*,;-]*)?"
)

_templates = Environment(
    loader=PackageLoader("gateway.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals |= {
    "text": text, "flag_words": text.FLAG_WORDS, "format_value": format_value, "short_series": short_series,
}  # fmt: skip


def render(request: Request, name: str, who: Caller, code: int = 200, **values: Any) -> HTMLResponse:
    """A page from its template. Blocks where the caller sees payloads: use it in a thread then."""
    here: Services = request.app.state.services
    page = _templates.get_template(name).render(
        path=request.url.path, who=who, origin=here.folder.origin, company=here.live.supply.ground.config.company,
        sections=sections(here, who), **values,
    )  # fmt: skip
    return HTMLResponse(page, code)


@router.get("/")
def home(request: Request, who: WhoeverCalls, here: Here, view: AView) -> Response:
    return render(request, "home.html", who, home=gather(here, view, who))


@router.get("/records")
def records(
    request: Request, who: Reader, here: Here, view: AView,
    source: Annotated[str, Query(max_length=64)] = "", kind: Annotated[str, Query(max_length=32)] = "",
    flag: Annotated[str, Query(max_length=32)] = "",
    term: Annotated[
        Literal["lot", "gtin", "serial", "series", "model", "line", "input", "decision", "epc"], Query()
    ] = "lot",
    value: Annotated[str, Query(max_length=256)] = "",
    order: Annotated[Literal["newest", "oldest"], Query()] = "newest",
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:  # fmt: skip
    value = value.strip()
    if value and not who.sees_payloads:
        raise HTTPException(403, "asking for what payloads say needs a token of scope auditor or operator")
    terms = ((term, value),) if value else ()
    wanted = RecordFilter(
        source.strip() or None, kind or None, flags=(flag,) if flag else (), terms=terms, oldest_first=order == "oldest"
    )
    page = list_records(view, wanted, PAGE_SIZE, cursor, payloads=who.sees_payloads)
    asked = {"source": source, "kind": kind, "flag": flag, "term": term, "value": value, "order": order}
    onward = urlencode({**{k: v for k, v in asked.items() if v}, "cursor": page.next_cursor or ""})
    return render(
        request, "records.html", who, records=here.marked(view, page.records), page=page, asked=asked, onward=onward,
        first=cursor is None,
    )  # fmt: skip


@router.get("/records/{id}")
def record(request: Request, leaf: RecordId, who: Reader, here: Here, view: AView) -> Response:
    detail = record_detail(view, leaf)
    chain = proof_chain(view, detail, here.policy, here.receipt)
    content = detail.content if who.sees_payloads else None
    return render(
        request, "record.html", who, detail=detail, record=detail.record, chain=chain, verdict=verdict(chain),
        kind=kind_name(detail.record.kind), flags=flag_names(detail.record.flags), content=content,
        fields=shown_fields(detail.record.kind, content.stored.fields) if content else (),
        summary=summary_of(detail.record.kind, content.stored.fields) if content else "",
        payload=content.event.payload.decode(errors="replace") if content else "",
    )  # fmt: skip


def verdict(chain: Any) -> tuple[str, str]:
    """The whole chain in one word and one sentence. Witnesses are worth having and not needed."""
    states = {link.name: link.state for link in chain}
    needed = [state for name, state in states.items() if name != "witnesses"]
    if LinkState.FALSE in states.values():
        return "false", "The proof does not hold: something was changed."
    if LinkState.DOUBTFUL in states.values():
        return "false", "In doubt: the device's key was in strange hands when this was signed."
    if LinkState.PENDING in needed:
        return "pending", "On its way: the open links close by themselves."
    if LinkState.MISSING in needed:
        return "missing", "Proved in part: a link is missing for good."
    return "holds", "Proved from the device to the ledger."


@router.get("/sources/{name}")
async def source(request: Request, name: SourcePath, who: Reader, here: Here, view: AView, since: FromTime = None,
                 until: ToTime = None) -> Response:  # fmt: skip
    keys = await source_keys(here, name)
    values = await run_in_threadpool(_source, here, view, who, name, since, until)
    return await run_in_threadpool(render, request, "source.html", who, keys=keys, **values)


def _source(here: Services, view: View, who: Caller, name: str, since: int | None, until: int | None) -> dict[str, Any]:
    settings = here.access.settings(name).get(name)
    row = source_row(view, name, known=settings is not None)
    try:
        found = completeness(view, name, since, until)
    except NotFoundError:  # enrolled, and nothing logged yet
        found = None
    series = series_of(view, name)[:SOURCE_SERIES] if who.sees_payloads else ()
    charts = [made for one in series if (made := series_chart(view, one, settings))]
    boots = [(boot, chart.bar(boot)) for boot in reversed(found.boots)] if found else []
    newest = list_records(view, RecordFilter(source=name), 8, payloads=who.sees_payloads)
    return {
        "row": row, "settings": settings, "found": found, "boots": boots, "charts": charts,
        "connected": name in here.live.status().connected, "ranged": since is not None or until is not None,
        "excursions": excursions(view, source=name, limit=20) if who.sees_payloads else (),
        "records": here.marked(view, newest.records),
    }  # fmt: skip


@router.get("/login")
def login(
    request: Request, here: Here, token: Annotated[str | None, Query(max_length=MAX_TOKEN_CHARS)] = None,
    next_path: Annotated[str, Query(alias="next", max_length=MAX_NEXT_CHARS)] = "/",
) -> Response:  # fmt: skip
    """The form; with a token, the same as sending the form."""
    if token is None:
        return render(request, "login.html", Caller(), problem="", next_path=own_page(next_path))
    return _logged_in(request, here, token, next_path)


@router.post("/login")
async def login_form(request: Request, here: Here) -> Response:
    body = await request.body()
    try:
        form = parse_qs(body[:MAX_FORM_BYTES].decode("ascii", "replace"), max_num_fields=8)
    except ValueError as e:
        raise HTTPException(422, "expected a form with a token") from e
    token, next_path = form.get("token", [""])[0], form.get("next", ["/"])[0]
    return await run_in_threadpool(_logged_in, request, here, token, next_path)


@router.post("/logout")
def logout(here: Here) -> Response:
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(here.cookie, path="/", httponly=True, samesite="strict")
    return answer


def _logged_in(request: Request, here: Services, token: str, next_path: str) -> Response:
    token = token.strip()
    try:
        if not token.isascii() or not token.isprintable() or len(token) > MAX_TOKEN_CHARS:
            raise AccessError("that is not a token")
        here.access.token(token)
    except AccessError:
        problem = "This token is unknown or was revoked. Ask your operator for another one."
        return render(request, "login.html", Caller(), 401, problem=problem, next_path=own_page(next_path))
    answer = RedirectResponse(own_page(next_path), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(here.cookie, token, path="/", httponly=True, samesite="strict", secure=secure)
    return answer


def own_page(asked: str) -> str:
    """Where a log-in leads: to a page of our own, else the first. It must not be a way to send people elsewhere."""
    return asked if len(asked) <= MAX_NEXT_CHARS and OWN_PAGE.fullmatch(asked) else "/"


@router.get("/static/{name}")
def static(name: str) -> Response:
    if name not in FILES:
        raise HTTPException(404, f"expected one of {', '.join(FILES)}")
    headers = {"Cache-Control": "public, max-age=300"}
    return FileResponse(STATIC / name, media_type=FILES[name], headers=headers)


def problem_page(request: Request, status: int, detail: str) -> Response | None:
    """A refusal as a page, where a person asked for a page; None for all others."""
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if not wants_page or request.url.path.startswith(("/v1", "/log/", "/schemas", "/static")):
        return None
    if status == 401:
        asked = own_page(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
        return render(request, "login.html", Caller(), 401, problem="This page needs a token.", next_path=asked)
    return render(request, "problem.html", Caller(), status, status=status, detail=detail)
