"""Scopes, sizes, rates, headers, fuzzing: whatever comes in, the answer is one of those that are documented."""

import json
import re
from urllib.parse import quote, urlencode

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.access import Scope
from gateway.api import RateLimits
from gateway.api.auth import Requires
from gateway.api.guards import MAX_BODY_BYTES, cookie_name
from gateway.api.ratelimit import Buckets, address_key
from tests.gateway.api.server import Server, app_of
from tests.gateway.api.site import Site

PUBLIC = {
    "/v1/status", "/v1/policy", "/v1/enrol", "/v1/enrol/offer", "/v1/sources/{name}/rotate", "/log/checkpoint",
    "/log/tile/{path:path}", "/schemas/{kind}", "/healthz", "/readyz",
}  # fmt: skip
PAGES = {"/", "/records", "/records/{id}", "/sources/{name}", "/goods", "/login", "/logout", "/static/{name}", "/live"}
READS, PAYLOADS = {Scope.AUDITOR, Scope.OPERATOR, Scope.DEVICE_ADMIN}, {Scope.AUDITOR, Scope.OPERATOR}
EXAMPLES = {"{id}": "3", "{name}": "cold-1", "{kind}": "reading", "{path:path}": "0/000.p/1", "{id:path}": "3",
            "{name:path}": "hospital", "{recipient:path}": "hospital", "{kid}": "00", "{collection}": "epcs",
            "{value:path}": "x", "{token}": "x", "{gtin}": "09520002000019", "{lot}": "LOT-1"}  # fmt: skip


def routes(app: FastAPI) -> list[APIRoute]:
    found = []

    def collect(items: list) -> None:
        for route in items:
            if isinstance(route, APIRoute):
                found.append(route)
            else:
                collect(getattr(getattr(route, "original_router", None) or route, "routes", []) or [])

    collect(app.routes)
    return found


def scopes_of(route: APIRoute) -> set[Scope] | None:
    """The scopes that a route demands, read from the very objects that check them."""

    def search(dependant: object) -> set[Scope] | None:
        if isinstance(dependant.call, Requires):
            return set(dependant.call.scopes)
        return next((s for inner in dependant.dependencies if (s := search(inner)) is not None), None)

    return search(route.dependant)


def test_every_route_demands_a_scope_or_is_public_on_purpose(busy: Site) -> None:
    found = routes(app_of(busy))
    assert len(found) > 25
    unprotected = {route.path for route in found if scopes_of(route) is None}
    assert unprotected - PAGES == PUBLIC


def test_scopes_are_enforced_on_every_route(server: Server, anybody: httpx.Client) -> None:
    clients = {scope: server.client(scope) for scope in Scope}
    for route in routes(server.app):
        demanded = scopes_of(route)
        if demanded is None:
            continue
        path = re.sub(r"\{[a-z:]+\}", lambda m: EXAMPLES[m.group()], route.path)
        (method,) = route.methods
        assert anybody.request(method, path).status_code == 401, path
        for scope, caller in clients.items():
            with caller.stream(method, path, json={} if method == "POST" else None) as answer:  # one never ends
                status = answer.status_code
            assert (status in (401, 403)) == (scope not in demanded), (path, scope, status)


def test_tokens(anybody: httpx.Client, busy: Site) -> None:
    good = busy.token(Scope.AUDITOR)
    for header in ("Bearer wrong", "Bearer", "Basic dTpw", f"Bearer {good}x", "Bearer " + "x" * 400, good):
        answer = anybody.get("/v1/records", headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert anybody.get("/v1/records", headers={"Authorization": f"bearer {good}"}).status_code == 200
    assert anybody.get("/v1/status", headers={"Authorization": "Bearer wrong"}).status_code == 401
    none = busy.token()
    assert anybody.get("/v1/records", headers={"Authorization": f"Bearer {none}"}).status_code == 401
    busy.access.revoke_token("auditor")
    assert anybody.get("/v1/records", headers={"Authorization": f"Bearer {good}"}).status_code == 401


def test_a_cookie_reads_but_changes_nothing(anybody: httpx.Client, busy: Site) -> None:
    """The attack: another site makes the browser of a device administrator post a form."""
    token = busy.token(Scope.DEVICE_ADMIN, Scope.AUDITOR)
    cookie = {"Cookie": f"{cookie_name(busy.folder.origin)}={token}"}
    assert anybody.get("/v1/records", headers=cookie).status_code == 200
    assert anybody.post("/v1/sources", json={"source": "evil"}, headers=cookie).status_code == 401


def test_device_admins_see_no_payloads(admin: httpx.Client) -> None:
    said = admin.get("/v1/records/3").json()
    assert said["payload"] is said["fields"] is None
    assert said["chain"]
    assert all(r["summary"] == "" and r["terms"] == [] for r in admin.get("/v1/records").json()["records"])
    assert admin.get("/v1/records?lot=L2611A").status_code == 403
    assert admin.get("/v1/sources/cold-1").json()["series"] is None


def test_security_headers_are_on_every_answer(anybody: httpx.Client, auditor: httpx.Client) -> None:
    for path in ("/healthz", "/nothing", "/v1/records", "/v1/records/x", "/log/checkpoint", "/"):
        headers = anybody.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert auditor.get("/v1/records").headers["cache-control"] == "no-store"


def test_unknown_paths_and_methods_are_problems(anybody: httpx.Client) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/v1/records", 405), ("PUT", "/healthz", 405)):
        answer = anybody.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_large_bodies_are_refused_while_they_come(admin: httpx.Client) -> None:
    chunks = (b"x" * 4096 for _ in range(24))  # no length is announced, so only counting helps
    answer = admin.post("/v1/sources", content=chunks, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    answer = admin.post("/v1/sources", content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert admin.get("/v1/records?lot=" + "x" * 9000).status_code == 414


@pytest.mark.parametrize(("body", "status"), [
    (b"", 422), (b"{", 422), (b"[" * 60_000, (400, 422)), (b'{"source": "a", "source": 1}', 422), (b"\xff", (400, 422)),
    (b'{"source": "cold-9", "colour": 1}', 422), (b'{"source": "\\ud800"}', 422), (b'{"source": "a\\u0000"}', 422),
    (b'{"source": "a", "limits": [{"unit": "Cel", "low": NaN}]}', 422), (b"1" * 5000, (400, 422)),
    (b'{"source": "a", "limits": [{"unit": "Cel", "low": 1e999}]}', 422), (b'{"source": "a", "kinds": []}', 422),
    (b'{"source": "a", "limits": [{"unit": "Cel", "low": 9, "high": 2}]}', 422), (b"null", 422),
])  # fmt: skip
def test_bodies_that_are_refused(admin: httpx.Client, body: bytes, status: int | tuple[int, ...]) -> None:
    headers = {"Content-Type": "application/json"}
    answer = admin.post("/v1/sources", content=body, headers=headers)
    assert answer.status_code in (status if isinstance(status, tuple) else (status,)), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_too_many_requests(own: Site) -> None:
    with Server(own, RateLimits(per_second=0.001, burst=3)) as server:
        client = server.client()
        statuses = [client.get("/healthz").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        answer = client.get("/healthz")
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1


def test_buckets_fill_up_and_are_bounded() -> None:
    now = [0.0]
    buckets = Buckets(RateLimits(per_second=2, burst=2), bound=3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0.5]
    now[0] = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    for other in "bcdef":
        assert buckets.take(other) == 0
    assert len(buckets) == 3
    assert address_key("2001:db8::1") == address_key("2001:db8::2") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:10.0.0.1") == address_key("10.0.0.1") == "10.0.0.1"


def test_a_fault_is_one_plain_answer(own: Site, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    own.status = broken
    with Server(own) as server:
        answer = server.client().get("/readyz")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


TEXT = st.one_of(
    st.text(max_size=40), st.sampled_from(["-1", "0", "1", "9223372036854775807", "9223372036854775808", "1e9", "null"])
)
NUMBERS = st.integers(-(2**70), 2**70).map(str)
NAMES = st.sampled_from([
    "limit", "cursor", "from", "to", "source", "kind", "flag", "lot", "series", "order", "index", "size", "old", "new",
    "before", "below", "buckets", "after", "disclose", "input", "\x00", "é",
])  # fmt: skip
PATHS = st.sampled_from([
    "/v1/records", "/v1/records/{}", "/v1/records/{}/receipt", "/v1/records/{}/proof", "/v1/proofs/inclusion",
    "/v1/proofs/consistency", "/v1/sources", "/v1/sources/{}", "/v1/sources/{}/completeness", "/v1/sources/{}/series",
    "/v1/sources/{}/readings", "/v1/anchors", "/v1/dead-letters", "/v1/alerts", "/v1/excursions", "/schemas/{}",
    "/log/tile/{}", "/records", "/records/{}", "/sources/{}", "/", "/static/{}", "/login",
])  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS, part=TEXT, query=st.lists(st.tuples(NAMES, TEXT | NUMBERS), max_size=4))
def test_no_parameters_make_a_fault(
    server: Server, fuzzed: httpx.Client, path: str, part: str, query: list[tuple[str, str]]
) -> None:
    target = path.format(quote(part, safe="", errors="replace"))
    answer = fuzzed.get(f"{target}?{urlencode(query, errors='replace')}", follow_redirects=False)
    assert answer.status_code < 500, answer.text
    _is_documented(server.app, answer)


@pytest.fixture(scope="module")
def fuzzed(server: Server) -> httpx.Client:
    return server.client(Scope.OPERATOR, Scope.AUDITOR)


def _is_documented(app: FastAPI, answer: httpx.Response) -> None:
    schema = app.openapi()["paths"]
    path = answer.request.url.path
    for template, item in schema.items():
        pattern = re.sub(r"\\\{path\\\}", ".*", re.escape(template))
        if re.fullmatch(re.sub(r"\\\{[a-z]+\\\}", "[^/]*", pattern), path) and "get" in item:
            assert str(answer.status_code) in item["get"]["responses"], (template, answer.status_code)
            return


KEYS = st.sampled_from(["code", "algorithm", "public_key", "proof", "source", "limits", "kinds", "from_index"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["/v1/enrol", "/v1/enrol/offer", "/v1/sources", "/v1/sources/cold-1/rotate"]), JSON)
def test_no_body_makes_a_fault(server: Server, admin: httpx.Client, path: str, body: object) -> None:
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    answer = admin.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text
    item = server.app.openapi()["paths"][path.replace("cold-1", "{name}")]["post"]
    assert str(answer.status_code) in item["responses"]


def test_a_name_that_is_taken_is_a_documented_conflict(server: Server, admin: httpx.Client) -> None:
    answer = admin.post("/v1/sources", json={"source": "cold-1", "allow_plain": True})
    assert answer.status_code == 409
    assert "409" in server.app.openapi()["paths"]["/v1/sources"]["post"]["responses"]


def test_numbers_have_their_bounds_in_the_schema(server: Server) -> None:
    parameters = server.app.openapi()["paths"]["/v1/dead-letters"]["get"]["parameters"]
    (before,) = [p["schema"] for p in parameters if p["name"] == "before"]
    assert before["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}


def test_openapi_is_complete(anybody: httpx.Client) -> None:
    schema = anybody.get("/v1/openapi.json").json()
    assert {"Problem", "RecordOut", "CompletenessOut"} <= set(schema["components"]["schemas"])
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], path
            assert operation["description"], path
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and (path, status) != ("/readyz", "503"):
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
