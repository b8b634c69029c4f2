"""Puts the interface together: routes, refusals, guards, pages."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi

from chain.ledger.interface import Ledger
from chain.policy import Policy
from chain.site import Folder
from gateway.access import Access
from gateway.api.epcis import binding
from gateway.api.guards import Guards, cookie_name
from gateway.api.parameters import strict_query
from gateway.api.problems import Problem, handle_problems
from gateway.api.ratelimit import RateLimits
from gateway.api.routes import (
    alarms,
    custody,
    deliveries,
    devices,
    erasures,
    exceptions,
    handovers,
    keys,
    objects,
    partners,
    proofs,
    recalls,
    records,
    shipments,
    site,
    sources,
    tiles,
    trace,
)
from gateway.api.services import ReceiptFactory, Services
from gateway.custody.handover.format import MAX_BODY_BYTES
from gateway.events.view import EventsViews
from gateway.live import Live
from gateway.query.view import Views
from gateway.web import pack, pages
from gateway.web.routes import PAGES

VERSION = "1"
_ABOUT = (
    "Evidence of one site: records of what its sources reported, and the proofs that they stand in one log that"
    " nobody can rewrite. Times are microseconds since the Unix epoch. Errors are application/problem+json."
)


def create_app(
    folder: Folder, live: Live, access: Access, receipts: ReceiptFactory, ledger: Ledger,
    site_policy: Callable[[], Policy], limits: RateLimits | None = None,
) -> FastAPI:  # fmt: skip
    """The application for one site. It reads beside the gateway that writes; closing it closes its readers."""
    views, events = Views(folder), EventsViews(folder)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        views.close()
        events.close()

    app = FastAPI(
        title="Sealtrail", version=VERSION, description=_ABOUT, openapi_url="/v1/openapi.json", docs_url=None,
        redoc_url=None, lifespan=lifespan, redirect_slashes=False, dependencies=[Depends(strict_query)],
    )  # fmt: skip
    app.state.services = Services(folder, live, access, receipts, ledger, site_policy, views, events)
    core = (records, proofs, sources, devices, erasures, keys, objects, partners, site, tiles)
    supply = (shipments, alarms, deliveries, trace, recalls, custody, exceptions, handovers)
    for module in (*core, *supply, pack, *PAGES):
        app.include_router(module.router)
    binding.mount(app)
    handle_problems(app, pages.problem_page)
    _describe(app)
    cookie = cookie_name(folder.origin)
    app.add_middleware(Guards, limits=limits or RateLimits(), cookie=cookie, large=_large_bodies(live))
    return app


def _large_bodies(live: Live) -> dict[tuple[str, str], int]:
    """The requests whose bodies may be larger than others, by method and path."""
    document = live.supply.capture.config.max_document_bytes
    return {
        ("POST", "/v1/objects"): live.objects.keeper.most_bytes, ("POST", "/epcis/capture"): document,
        ("POST", "/v1/handovers"): MAX_BODY_BYTES,
    }  # fmt: skip


def _describe(app: FastAPI) -> None:
    """OpenAPI with the one schema of all problems and the bearer scheme."""

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            parts = schema.setdefault("components", {})
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            parts.setdefault("schemas", {}).update(problem.pop("$defs", {}) | {"Problem": problem})
            parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"bearer": []}, {}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
