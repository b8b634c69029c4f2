"""Named queries and their subscriptions: in order, nothing lost or doubled, also while a receiver is away."""

import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from gateway.access import Scope
from gateway.api.guards import cookie_name
from gateway.delivery.signing import verify
from gateway.enquiry.standing import Standing
from tests.gateway.api.epcis.asking import bodies, captured, events_in, listed, refused, without_context
from tests.gateway.delivery.receiver import Receiver, receiving
from tests.support.served import Served
from tests.support.trade import objects, pack

TOKEN = "13df38d8275b13f05704629e5f1cf3d45d6132d5"
INSIDE = {"delivery": {"allow_http": True, "allowed_networks": ["127.0.0.0/8"], "retry_max_s": 0.1}}
WITHIN_S = 15.0


@contextmanager
def site(root: Path, **more: Any) -> Iterator[tuple[Served, httpx.Client, httpx.Client]]:
    with Served(root, **(INSIDE | more)) as running:
        yield running, running.client(Scope.CAPTURE, label="maker"), running.client(Scope.OPERATOR)


def named(operator: httpx.Client, name: str, **query: Any) -> None:
    answer = operator.post("/epcis/queries", json={"name": name, "query": query})
    assert answer.status_code == 201, answer.text


def subscribed(operator: httpx.Client, name: str, dest: str, **more: Any) -> str:
    body = {"dest": dest, "signatureToken": TOKEN} | (more or {"stream": True})
    answer = operator.post(f"/epcis/queries/{name}/subscriptions", json=body)
    assert answer.status_code == 201, answer.text
    assert TOKEN not in answer.text
    return str(answer.headers["location"])


def reported(receiver: Receiver) -> list[dict[str, Any]]:
    """The events that came, in order, each report once by its id."""
    found, seen = list[dict[str, Any]](), set[str]()
    for request in receiver.taken:
        if request.headers["webhook-id"] not in seen:
            seen.add(request.headers["webhook-id"])
            found += in_document(request.body)
    return found


def in_document(body: bytes | str) -> list[dict[str, Any]]:
    said = json.loads(body)
    assert said["type"] == "EPCISQueryDocument"
    return [without_context(one) for one in said["epcisBody"]["queryResults"]["resultsBody"]["eventList"]]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def test_a_named_query_answers_like_the_query(tmp_path: Path) -> None:
    events = [objects(i, step, pack(1, i)) for i, step in enumerate(["shipping", "receiving", "shipping", "packing"])]
    with site(tmp_path / "data") as (_, maker, operator):
        captured(maker, listed(*events))
        named(operator, "moves", EQ_bizStep=["shipping", "receiving"], orderBy="eventTime", orderDirection="ASC")
        first = operator.get("/epcis/queries/moves/events?perPage=2")
        assert events_in(first) == bodies(*events[:2])
        assert events_in(operator.get(first.headers["link"].partition(">")[0][1:])) == bodies(events[2])
        assert first.json()["epcisBody"]["queryResults"]["queryName"] == "moves"
        assert [one["name"] for one in operator.get("/epcis/queries").json()] == ["moves"]
        again = operator.post("/epcis/queries", json={"name": "moves", "query": {}})
        refused(again, 409, "ResourceAlreadyExistsException")
        assert operator.delete("/epcis/queries/moves").status_code == 204
        refused(operator.get("/epcis/queries/moves/events"), 404, "NoSuchNameException")


@pytest.mark.parametrize(("body", "status", "kind"), [
    ({"name": "q", "query": {"EQ_bizStep": ["flying"]}}, 400, "QueryValidationException"),
    ({"name": "q", "query": {"colour": "red"}}, 400, "QueryValidationException"),
    ({"name": "q", "query": {"GE_eventTime": {"a": 1}}}, 400, "QueryValidationException"),
    ({"name": "q", "query": {"perPage": 5}}, 400, "QueryValidationException"),
    ({"name": "../q", "query": {}}, 400, "ValidationException"), ({"name": "q"}, 400, "ValidationException"),
])  # fmt: skip
def test_what_is_no_query_gets_no_name(operator: httpx.Client, body: dict, status: int, kind: str) -> None:
    refused(operator.post("/epcis/queries", json=body), status, kind)


def test_reports_come_in_order_signed_and_only_of_what_matches(tmp_path: Path) -> None:
    before, sent = objects(0, "shipping", pack(1, 0)), [objects(i, "shipping", pack(1, i)) for i in range(1, 6)]
    with receiving() as receiver, site(tmp_path / "data") as (_, maker, operator):
        captured(maker, before)
        named(operator, "out", EQ_bizStep="shipping")
        location = subscribed(operator, "out", receiver.url)
        for one in sent:
            captured(maker, listed(one, objects(9, "receiving", pack(2, sent.index(one)))))
        until(lambda: len(reported(receiver)) == 5)
        assert reported(receiver) == bodies(*sent)
        for request in receiver.taken:
            assert (
                request.headers["gs1-signature"]
                == "sha256=" + hmac.digest(TOKEN.encode(), request.body, "sha256").hex()
            )
            verify([TOKEN.encode()], request.headers, request.body)
        until(lambda: operator.get(location).json()["waiting"] == 0)
        told = operator.get(location).json()
        assert (told["delivered"], told["stream"], told["signed"]) == (len(receiver.taken), True, True)
        assert operator.delete(location).status_code == 204
        captured(maker, objects(10, "shipping", pack(1, 99)))
        refused(operator.get(location), 404, "NoSuchNameException")


def test_a_receiver_that_is_away_loses_nothing_and_gets_nothing_twice(tmp_path: Path) -> None:
    """It is away while events come, while the gateway ends and starts again, and while more come."""
    sent = [objects(i, "shipping", pack(1, i)) for i in range(12)]
    receiver = Receiver()
    with site(tmp_path / "data") as (_, maker, operator):
        named(operator, "out", EQ_bizStep="shipping")
        subscribed(operator, "out", receiver.url)
        for one in sent[:6]:
            captured(maker, one)
    with site(tmp_path / "data") as (_, maker, operator):
        captured(maker, listed(*sent[6:]))
        receiver.up()
        try:
            until(lambda: len(reported(receiver)) == 12)
        finally:
            receiver.down()
    assert reported(receiver) == bodies(*sent)
    ids = [request.headers["webhook-id"] for request in receiver.taken]
    assert len(ids) == len(set(ids))


def test_what_the_outbox_cannot_hold_waits_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.enquiry.reports.MAX_WAITING", 2)
    monkeypatch.setattr("gateway.enquiry.reports.MAX_EVENTS", 3)
    sent = [objects(i, "shipping", pack(1, i)) for i in range(20)]
    receiver = Receiver()
    with site(tmp_path / "data") as (_, maker, operator):
        named(operator, "out", EQ_bizStep="shipping")
        location = subscribed(operator, "out", receiver.url)
        captured(maker, listed(*sent))
        until(lambda: operator.get(location).json().get("waiting") == 2)
        time.sleep(0.5)
        assert operator.get(location).json()["waiting"] == 2
        receiver.up()
        try:
            until(lambda: len(reported(receiver)) == 20)
        finally:
            receiver.down()
    assert reported(receiver) == bodies(*sent)


def test_a_report_that_was_cut_short_goes_out_again_under_its_id(tmp_path: Path) -> None:
    """Killed between the outbox and the note that it is there: the same stretch, the same id, the same bytes."""
    with receiving() as receiver:
        with site(tmp_path / "data") as (running, maker, operator):
            named(operator, "out", EQ_bizStep="shipping")
            location = subscribed(operator, "out", receiver.url)
            captured(maker, listed(*[objects(i, "shipping", pack(1, i)) for i in range(3)]))
            standing, name = running.gateway.supply.enquiries.standing, location.rpartition("/")[2]
            until(lambda: standing.subscription("out", name).from_leaf >= 3 and receiver.taken)
            upto = standing.subscription("out", name).from_leaf
        with closing(Standing(tmp_path / "data" / "queries.db")) as standing:
            standing.plan(name, 0, upto)
        with site(tmp_path / "data") as (_, maker, __):
            captured(maker, objects(4, "shipping", pack(1, 4)))
            until(lambda: len(receiver.taken) == 3)
        first, again, _ = receiver.taken
        assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
        assert len(reported(receiver)) == 4


def test_by_schedule_and_from_a_time_on(tmp_path: Path) -> None:
    early = objects(0, "shipping", pack(1, 0))
    with receiving() as receiver, site(tmp_path / "data") as (_, maker, operator):
        captured(maker, early)
        named(operator, "out", EQ_bizStep="shipping")
        subscribed(operator, "out", receiver.url, schedule={"second": "0/1"}, reportIfEmpty=True,
                   initialRecordTime="2020-01-01T00:00:00Z")  # fmt: skip
        until(lambda: reported(receiver) and len(receiver.taken) >= 2)
        assert reported(receiver) == bodies(early)
        assert [] in [in_document(request.body) for request in receiver.taken]


@pytest.mark.parametrize(("body", "status", "kind"), [
    ({"stream": True, "schedule": {"hour": "1"}}, 400, "SubscriptionControlsException"),
    ({}, 400, "SubscriptionControlsException"), ({"stream": False}, 400, "SubscriptionControlsException"),
    ({"schedule": {"hour": "24"}}, 400, "SubscriptionControlsException"),
    ({"schedule": {"month": "2", "dayOfMonth": "30"}}, 400, "SubscriptionControlsException"),
    ({"stream": True, "dest": "http://127.0.0.1/x"}, 403, "SubscribeNotPermittedException"),
    ({"stream": True, "dest": "https://169.254.169.254/latest"}, 403, "SubscribeNotPermittedException"),
    ({"stream": True, "dest": "file:///etc/passwd"}, 403, "SubscribeNotPermittedException"),
    ({"stream": True, "dest": "https://user@client.example/"}, 403, "SubscribeNotPermittedException"),
    ({"stream": True, "signatureToken": "short"}, 400, "ValidationException"),
    ({"stream": True, "colour": "red"}, 400, "ValidationException"),
])  # fmt: skip
def test_what_is_no_subscription_is_refused(operator: httpx.Client, body: dict, status: int, kind: str) -> None:
    """Among them the attacks: the gateway shall not be made to talk to machines that only it reaches."""
    operator.post("/epcis/queries", json={"name": "all", "query": {}})
    answer = operator.post("/epcis/queries/all/subscriptions", json={"dest": "https://client.example/hook"} | body)
    refused(answer, status, kind)


def test_the_operator_says_where_webhooks_may_go(tmp_path: Path) -> None:
    allowed = {"epcis": {"subscriber_prefixes": ["https://client.example/epcis"]}}
    with site(tmp_path / "data", **allowed) as (_, __, operator):
        named(operator, "all")
        subscribed(operator, "all", "https://client.example/epcis/in")
        for dest in ("https://client.example/epcisx", "https://client.example.evil/epcis/", "https://other.example/"):
            body = {"dest": dest, "stream": True}
            answer = operator.post("/epcis/queries/all/subscriptions", json=body)
            refused(answer, 403, "SubscribeNotPermittedException", "subscriber_prefixes")


# -- over a WebSocket


def socket(gateway: Served, query: str, scope: Scope | None = Scope.AUDITOR, cookie: bool = False) -> ClientConnection:
    headers = {} if scope is None else {"Authorization": f"Bearer {gateway.token(scope)}"}
    if cookie:
        headers = {"Cookie": f"{cookie_name(gateway.config.origin)}={gateway.token(Scope.AUDITOR)}"}
    return open_socket(f"{gateway.url.replace('http', 'ws')}/epcis/queries/{query}", additional_headers=headers)


def test_events_stream_over_a_websocket(gateway: Served, maker: httpx.Client, operator: httpx.Client) -> None:
    named(operator, "live", EQ_bizStep="shipping")
    sent = [objects(i, "shipping", pack(30, i)) for i in range(4)]
    with socket(gateway, "live/events?stream=true") as stream:
        stream.send("nobody listens to this")
        for one in sent:
            captured(maker, listed(one, objects(50, "receiving", pack(31, sent.index(one)))))
        came = list[dict]()
        while len(came) < 4:
            came += in_document(stream.recv(timeout=WITHIN_S))
        assert came == bodies(*sent)
        with socket(gateway, "live/events?stream=true&initialRecordTime=2020-01-01T00:00:00Z") as late:
            assert [e for e in in_document(late.recv(timeout=WITHIN_S)) if e in came] == came
        operator.delete("/epcis/queries/live")
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=WITHIN_S)


def test_a_stream_ends_with_its_token(gateway: Served, maker: httpx.Client, operator: httpx.Client) -> None:
    """The attack: go on reading by a connection that was opened while the token still held."""
    operator.post("/epcis/queries", json={"name": "open", "query": {}})
    token = gateway.token(Scope.AUDITOR, label="dismissed")
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{gateway.url.replace('http', 'ws')}/epcis/queries/open/events?stream=true"
    with open_socket(url, additional_headers=headers) as stream:
        captured(maker, objects(0, "shipping", pack(40, 0)))
        assert in_document(stream.recv(timeout=WITHIN_S))
        gateway.gateway.access.revoke_token("dismissed")
        captured(maker, objects(1, "shipping", pack(40, 1)))
        with pytest.raises(ConnectionClosed) as end:
            stream.recv(timeout=WITHIN_S)
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 1008


def test_a_scheduled_websocket_reports_when_it_is_time(gateway: Served, operator: httpx.Client) -> None:
    named(operator, "timed", EQ_bizStep="destroying")
    with socket(gateway, "timed/events?second=0%2F1&reportIfEmpty=true") as stream:
        assert in_document(stream.recv(timeout=WITHIN_S)) == []


@pytest.mark.parametrize(("query", "scope", "status"), [
    ("open/events?stream=true", None, 401), ("open/events?stream=true", Scope.CAPTURE, 403),
    ("open/events?stream=true", Scope.DEVICE_ADMIN, 403), ("none/events?stream=true", Scope.AUDITOR, 404),
    ("open/events", Scope.AUDITOR, 400), ("open/events?stream=true&second=5", Scope.AUDITOR, 400),
    ("open/events?stream=true&colour=red", Scope.AUDITOR, 400),
])  # fmt: skip
def test_a_websocket_is_refused_before_it_is_one(
    gateway: Served, operator: httpx.Client, query: str, scope: Scope | None, status: int
) -> None:  # fmt: skip
    operator.post("/epcis/queries", json={"name": "open", "query": {}})
    with pytest.raises(InvalidStatus) as refusal:
        socket(gateway, query, scope)
    assert refusal.value.response.status_code == status


def test_a_handshake_that_leads_nowhere_ends(gateway: Served, caplog: pytest.LogCaptureFixture) -> None:
    """The attack: hold connections by handshakes that can never be read, or fill the log with refusals."""
    began = time.monotonic()
    with pytest.raises((InvalidMessage, ConnectionClosed, EOFError)):
        socket(gateway, f"open/events?stream={'x' * 9000}")
    assert time.monotonic() - began < 15
    with pytest.raises(InvalidStatus):
        socket(gateway, "open/events?stream=true", None)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_cookie_opens_no_websocket(gateway: Served, operator: httpx.Client) -> None:
    """The attack: a page of another site lets the browser of somebody who is logged in open a socket here."""
    operator.post("/epcis/queries", json={"name": "open", "query": {}})
    with pytest.raises(InvalidStatus) as refusal:
        socket(gateway, "open/events?stream=true", None, cookie=True)
    assert refusal.value.response.status_code == 401


def test_handshakes_count_as_requests_do(tmp_path: Path) -> None:
    """The attack: a flood of handshakes goes round the rate limit."""
    with Served(tmp_path / "data", api={"port": 0, "requests_per_second": 1.0}) as running:
        statuses = list[int]()
        for _ in range(8):
            with pytest.raises(InvalidStatus) as refusal:
                socket(running, "none/events?stream=true", None)
            statuses.append(refusal.value.response.status_code)
    assert statuses[:3] == [401] * 3
    assert statuses[-1] == 429
