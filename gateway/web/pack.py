"""`GET /01/{gtin}/…`: what a code on a pack opens, for anybody.

Trust boundary: everything of the request is untrusted. Only the parsed question goes on, never the path itself; HTML is
escaped by the templates and the page's content policy allows no script at all. An answer leaves at a full tenth of a
second after the request came, so that its time tells nothing of what was looked up. Asking is limited for each network:
guessing serials is slow, and a real serial is random (EU regulation 2016/161: at most one guess in 10,000 is right). Of
all networks together few questions are at the ledger at once, so that the page takes it from nobody else.
"""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool

from chain.errors import LedgerError, ReceiptError
from gateway.api.ratelimit import Buckets, RateLimits, address_key
from gateway.api.services import Services, a_view
from gateway.consumer.errors import NoPackError
from gateway.consumer.facts import PackFacts, PackQuestion
from gateway.consumer.form import LINKSET_TYPE, Form, as_json, form_of, linkset
from gateway.consumer.language import Language, language_of
from gateway.consumer.question import path_of, question_of
from gateway.consumer.scans import network_of
from gateway.consumer.verdict import answer, last_today
from gateway.query.detail import record_detail
from gateway.query.errors import NotFoundError, NotIndexedError
from gateway.query.proof_chain import Link, proof_chain
from gateway.query.view import View

LIMITS: Final = RateLimits(per_second=0.5, burst=40.0)  # of one network: a household at its medicine cabinet
STEP_S: Final = 0.1
WAIT_S: Final = 3.0  # for one's turn to be looked up
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_templates = Environment(
    loader=PackageLoader("gateway.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
router = APIRouter()


async def pack(request: Request) -> Response:
    """Any path that begins with a GTIN's AI. Plain Starlette: a public link may carry parameters unknown to us."""
    began = time.monotonic()
    found = await _answer(request)
    await asyncio.sleep(pause_s(time.monotonic() - began))
    return found


def pause_s(spent_s: float) -> float:
    """How long an answer waits after so much work, so that both together are whole steps."""
    return max(1, ceil(spent_s / STEP_S)) * STEP_S - spent_s


router.add_route("/01/{rest:path}", pack, methods=["GET"], include_in_schema=False)


async def _answer(request: Request) -> Response:
    query = {name: value[:64] for name, value in request.query_params.items()}
    language = language_of(query.get("lang"), request.headers.get("accept-language", ""))
    client = request.client.host if request.client else ""
    if wait := _buckets(request).take(_counted_as(client)):
        return _said(request, language, "slow", 429, {"Retry-After": str(ceil(wait))})
    form = form_of(request.headers.get("accept", ""), query)
    now_us = time.time_ns() // 1000
    try:
        question = question_of(request.scope["raw_path"], query.get("17"), datetime.now(UTC).year)
    except NoPackError:
        return _said(request, language, "nothing", 400)
    if form is None:
        return _said(request, language, "nothing", 404)
    if form is Form.LINKSET:
        services: Services = request.app.state.services
        public = services.live.supply.ground.config.api.public_url or str(request.base_url).rstrip("/")
        found = linkset(question, public)
        return Response(json.dumps(found), media_type=LINKSET_TYPE, headers=_headers(language))
    return await _looked_up(request, form, question, language, client, now_us)


async def _looked_up(
    request: Request, form: Form, question: PackQuestion, language: Language, client: str, now_us: int
) -> Response:
    here: Services = request.app.state.services
    consumer = here.live.supply.consumer
    try:
        async with asyncio.timeout(WAIT_S):
            await consumer.gate.acquire()
    except TimeoutError:
        return _said(request, language, "away", 503, {"Retry-After": "30"})
    try:
        facts = await consumer.lookup.look_up(question)
    except LedgerError:
        return _said(request, language, "away", 503, {"Retry-After": "60"})
    finally:
        consumer.gate.release()
    scan = None
    if facts.known and facts.fits and question.serial and form in (Form.PAGE, Form.JSON) and _person(request):
        uri = path_of(PackQuestion(question.gtin, serial=question.serial))
        scan = await asyncio.to_thread(consumer.scans.scan, uri, client, now_us)
    told = answer(question, facts, scan, last_today(now_us))
    if form in (Form.PROOF, Form.RECEIPT) and told.lines:
        return await _proof(here, form, question, facts, language)
    if form is Form.JSON:
        body = json.dumps(as_json(question, facts, told, scan, language), ensure_ascii=False)
        return Response(body, media_type="application/json", headers=_headers(language))
    return _page("pack.html", language, question, told=told, facts=facts)


async def _proof(here: Services, form: Form, question: PackQuestion, facts: PackFacts, language: Language) -> Response:
    """The links of the record's receipt, or the receipt itself with nothing disclosed."""
    try:
        if facts.proof is None:
            raise NotFoundError("the record is in another log")
        async with asynccontextmanager(a_view)(here) as view:
            if form is Form.RECEIPT:
                return await run_in_threadpool(_receipt, here, view, facts.proof, language)
            links = await run_in_threadpool(_links, here, view, facts.proof)
    except (NotFoundError, NotIndexedError, ReceiptError):
        links = ()
    return _page("pack_proof.html", language, question, links=links)


def _links(here: Services, view: View, leaf: int) -> tuple[Link, ...]:
    """Names and states only: their sentences speak of sources and sizes, which are nobody's business here."""
    return proof_chain(view, record_detail(view, leaf), here.policy, here.receipt)


def _receipt(here: Services, view: View, leaf: int, language: Language) -> Response:
    headers = _headers(language) | {"Content-Disposition": 'attachment; filename="pack.receipt.json"'}
    return Response(here.receipt(view, leaf, ()).to_json(), media_type="application/json", headers=headers)


def _page(
    name: str, language: Language, question: PackQuestion | None, code: int = 200, headers: Any = None, **values: Any
) -> HTMLResponse:
    path = "" if question is None else path_of(question)
    kept = f"&17={question.expiry:%y%m%d}" if question is not None and question.expiry is not None else ""
    others = [(Language(other), f"{path}?lang={other}{kept}") for other in ("en", "zh")]
    page = _templates.get_template(name).render(
        t=language, question=question, path=path, kept=kept, others=others if path else (), **values
    )
    return HTMLResponse(page, code, headers=_headers(language) | (headers or {}))


def _said(request: Request, language: Language, what: str, code: int, headers: Any = None) -> Response:
    """An answer that is not about a pack."""
    if form_of(request.headers.get("accept", ""), dict(request.query_params)) is Form.JSON:
        body = {"status": what, "title": language[f"status_{what}"], "advice": language[f"lead_{what}"]}
        text = json.dumps(body, ensure_ascii=False)
        return Response(text, code, _headers(language) | (headers or {}), media_type="application/json")
    return _page("pack_said.html", language, None, code, headers, what=what)


def _headers(language: Language) -> dict[str, str]:
    return {
        "Content-Language": language.tag, "Vary": "Accept, Accept-Language", "Content-Security-Policy": POLICY,
        "X-Robots-Tag": "noindex, nofollow",
    }  # fmt: skip


def _person(request: Request) -> bool:
    """Whether somebody scanned: a browser that loads a page in advance is nobody."""
    return not any(request.headers.get(name) for name in ("purpose", "sec-purpose", "x-moz"))


def _counted_as(client: str) -> str:
    """What of an address is counted together: of IPv6 a /48, since whoever has one has 65,536 networks."""
    key = address_key(client)
    return network_of(client) if ":" in key else key


def _buckets(request: Request) -> Buckets:
    state = request.app.state
    if not hasattr(state, "consumer_buckets"):
        state.consumer_buckets = Buckets(LIMITS)
    buckets: Buckets = state.consumer_buckets
    return buckets
