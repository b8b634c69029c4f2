"""Capture over REST: durable when answered, once, within bounds, and told of by whom."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from chain.store.database import Database
from gateway.access import Scope, SourceSettings
from gateway.capture.jobs import Jobs, new_job
from gateway.epcis.document import epcis_document
from gateway.epcis.event import open_event
from gateway.ingest.inbound import Verdict
from tests.gateway.api.epcis.asking import JSON, bodies, capture, captured, events_in, listed, refused
from tests.gateway.ingest.mqtt_support import Raw, connect, publish
from tests.support.served import Served
from tests.support.trade import CONTEXT, commissioned, declared_false, objects, pack

WRONG = objects(1, "flying", pack(9, 1))


def test_a_document_is_in_the_log_when_it_is_answered(gateway: Served, maker: httpx.Client) -> None:
    events = [objects(i, "shipping", pack(10, i)) for i in range(3)]
    before = gateway.gateway.status().log_size
    answer = capture(maker, epcis_document(events, "2026-11-23T06:00:00Z"))
    assert answer.status_code == 202
    assert gateway.gateway.status().log_size >= before + 3
    job = maker.get(answer.headers["location"]).json()
    assert (job["running"], job["success"], job["errors"]) == (False, True, [])
    assert (job["events"], job["stored"], job["capturedBy"], job["records"][0][1]) == (3, 3, "maker", 3)


def test_a_lone_event_gets_an_address(maker: httpx.Client, auditor: httpx.Client) -> None:
    event = objects(1, "shipping", pack(11, 1))
    answer = maker.post("/epcis/events", content=event, headers=JSON)
    assert (answer.status_code, answer.json()) == (201, json.loads(event))
    assert events_in(auditor.get(answer.headers["location"])) == bodies(event)
    again = maker.post("/epcis/events", content=event, headers=JSON)
    assert again.status_code == 200
    assert again.headers["sealtrail-record"] == answer.headers["sealtrail-record"]
    document = epcis_document([event], "2026-11-23T06:00:00Z")
    refused(maker.post("/epcis/events", content=document, headers=JSON), 400, "ValidationException", "/epcis/capture")


def test_an_event_is_found_whatever_it_holds(maker: httpx.Client, auditor: httpx.Client) -> None:
    event = objects(1, "shipping", pack(11, 2), **{"@context": [*CONTEXT, {"ex": "urn:x:"}], "ex:a": {"eventList": []}})
    answer = maker.post("/epcis/events", content=event, headers=JSON)
    assert events_in(auditor.get(answer.headers["location"])) == bodies(event)


def test_the_same_event_is_stored_once_however_it_is_written(maker: httpx.Client, auditor: httpx.Client) -> None:
    urn, link = "urn:epc:id:sgtin:4012345.012345.77", "https://id.gs1.org/01/04012345123456/21/77"
    first, second = objects(2, "shipping", urn), objects(2, "shipping", link)
    assert open_event(first).hash == open_event(second).hash
    assert captured(maker, listed(first, second))["verdicts"][1][1] is True
    assert captured(maker, second)["duplicates"] == 1
    for named in (urn, link):
        found = events_in(auditor.get("/epcis/events", params={"MATCH_epc": named, "EQ_bizStep": "shipping"}))
        assert found == bodies(first)


def test_different_events_of_one_hash_are_each_stored(maker: httpx.Client, auditor: httpx.Client) -> None:
    """The attack: what has the hash of another event is there first, and that one is taken for it."""
    made = [commissioned(5, 13, name, pack(13, 1)) for name in ("007", "7", "7E0")]
    split, joined = objects(6, "shipping", "urn:x:a", "urn:x:b"), objects(6, "shipping", "urn:x:aepc=urn:x:b")
    assert len({open_event(one).hash for one in made}) == len({open_event(one).hash for one in (split, joined)}) == 1
    stored = [maker.post("/epcis/events", content=one, headers=JSON) for one in (joined, split, *made[:2])]
    assert [one.status_code for one in stored] == [201] * 4
    both = captured(maker, listed(made[2], made[1], split, made[2]))  # one is new, and stands there twice
    assert (both["stored"], both["duplicates"], both["errors"]) == (1, 3, [])
    for name, event in zip(("007", "7", "7E0"), made, strict=True):
        found = events_in(auditor.get("/epcis/events", params={"EQ_ILMD_cbvmda:lotNumber": name}))
        assert found == bodies(event)
    assert events_in(auditor.get("/epcis/events", params={"MATCH_epc": "urn:x:b"})) == bodies(split)
    again = captured(maker, listed(*made, joined, split))
    records = [int(one.headers["sealtrail-record"]) for one in stored]
    assert again["verdicts"] == [
        [leaf, True] for leaf in (*records[2:], both["verdicts"][0][0], *records[:2])
    ]  # by the index too


def test_another_event_id_makes_another_event(maker: httpx.Client) -> None:
    event = json.loads(objects(3, "shipping", pack(12, 1)))
    ids = [f"urn:uuid:00000000-0000-4000-8000-00000000000{i}" for i in (1, 2)]
    named = [json.dumps(event | {"eventID": event_id}).encode() for event_id in ids]
    assert captured(maker, listed(*named))["stored"] == 2
    assert captured(maker, listed(*named))["duplicates"] == 2
    assert captured(maker, json.dumps(event).encode())["duplicates"] == 1


def test_a_declaration_is_no_duplicate_of_what_it_is_about(maker: httpx.Client, auditor: httpx.Client) -> None:
    event, correct = objects(4, "shipping", pack(13, 1)), objects(4, "shipping", pack(13, 2))
    name = open_event(correct).hash_id
    declaration = declared_false(event, 9, corrective=(name,))
    assert captured(maker, listed(event, declaration, correct))["stored"] == 3
    assert captured(maker, listed(declaration, event))["duplicates"] == 2
    other = declared_false(event, 10)
    assert captured(maker, other)["stored"] == 1
    both = events_in(auditor.get(f"/epcis/events/{_path(open_event(event).hash_id)}"))
    assert both == bodies(event, declaration, other)
    asked = {"EXISTS_errorDeclaration": "true", "EQ_correctiveEventID": name}
    assert events_in(auditor.get("/epcis/events", params=asked)) == bodies(declaration)


def test_all_or_nothing(gateway: Served, maker: httpx.Client, auditor: httpx.Client) -> None:
    good = objects(5, "shipping", pack(14, 1))
    before = gateway.gateway.status().log_size
    refused(capture(maker, listed(good, WRONG)), 400, "ValidationException", "/1/bizStep: 'flying'")
    assert gateway.gateway.status().log_size == before
    job = captured(maker, listed(WRONG, good), **{"GS1-Capture-Error-Behaviour": "proceed"})
    assert (job["success"], job["stored"], job["captureErrorBehaviour"]) == (False, 1, "proceed")
    assert [(e["event"], e["place"]) for e in job["errors"]] == [(0, "/0/bizStep")]
    assert events_in(auditor.get("/epcis/events", params={"MATCH_epc": pack(14, 1)})) == bodies(good)


def test_bounds_and_forms(gateway: Served, maker: httpx.Client) -> None:
    many = listed(*[objects(i, "shipping", pack(15, i)) for i in range(51)])
    refused(capture(maker, many), 413, "CaptureLimitExceededException", "50 events")
    large = b" " * (gateway.config.epcis.max_document_bytes + 1)
    refused(capture(maker, large), 413, "CaptureLimitExceededException")
    refused(capture(maker, many, **{"Content-Type": "text/xml"}), 415, "UnsupportedMediaTypeException")
    refused(capture(maker, b"{}", **{"GS1-EPCIS-Version": "1.2"}), 406, "NotAcceptableException")
    refused(capture(maker, b"{}", Accept="application/xml"), 406, "NotAcceptableException")
    refused(capture(maker, b"[{]"), 400, "ValidationException")
    for deep in (b"[" * 8_000_000, b'{"a":' * 1_000_000, b'[{"a":' * 1_000_000, b"[" * 20 + b"]" * 20):
        refused(capture(maker, deep), 400, "ValidationException", "nested deeper than")
    refused(capture(maker, b"{}", **{"GS1-Capture-Error-Behaviour": "maybe"}), 400, "ValidationException")
    options = maker.options("/epcis/capture").headers
    assert (options["gs1-epcis-capture-limit"], options["allow"]) == ("50", "OPTIONS, GET, POST")


def test_jobs_are_of_who_captured(gateway: Served, maker: httpx.Client, auditor: httpx.Client) -> None:
    other = gateway.client(Scope.CAPTURE, label="rival")
    location = capture(maker, objects(6, "shipping", pack(16, 1))).headers["location"]
    refused(other.get(location), 404, "NoSuchNameException")
    assert other.get("/epcis/capture").json() == []
    assert auditor.get(location).json()["capturedBy"] == "maker"
    first = maker.get("/epcis/capture?perPage=1")
    assert first.json()[0]["captureID"] == location.rpartition("/")[2]
    following = maker.get(first.headers["link"].partition(">")[0][1:])
    assert following.json()[0]["createdAt"] <= first.json()[0]["createdAt"]
    refused(other.get(first.headers["link"].partition(">")[0][1:]), 400, "QueryParameterException", "another question")


def test_many_at_once_store_each_event_once(gateway: Served) -> None:
    """The attack on exactly once: the same events from many connections at the same time."""
    events = [objects(7, "shipping", pack(17, i)) for i in range(20)]
    jobs: list[dict] = []

    def bring() -> None:
        with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            jobs.append(captured(client, listed(*events)))

    token = gateway.token(Scope.CAPTURE, label="many")
    threads = [threading.Thread(target=bring) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(job["stored"] for job in jobs) == 20
    assert len({tuple(map(tuple, ((r, 0) for r, _ in job["verdicts"]))) for job in jobs}) == 1


def test_a_device_captures_over_mqtt_and_rest_knows_it(
    gateway: Served, maker: httpx.Client, auditor: httpx.Client
) -> None:  # fmt: skip
    event = objects(8, "shipping", pack(18, 1))
    password = gateway.run(gateway.gateway.add_plain("scanner", SourceSettings(kinds=("epcis",), allow_plain=True)))
    with Raw(gateway.gateway.doors.front.port) as client:
        client.send(connect("scanner", v5=True, client_id="scanner", password=password.encode()))
        assert client.read()[0] == 0x20
        client.send(publish("st/1/scanner/plain/epcis", event, 1, v5=True))
        assert client.read() == (0x40, b"\0\1")
        client.send(publish("st/1/scanner/plain/epcis", WRONG, 2, v5=True))
        assert client.read()[1][2] == Verdict.REJECTED
    gateway.run(gateway.running.index_caught_up())
    assert events_in(auditor.get("/epcis/events", params={"MATCH_anyEPC": pack(18, 1)})) == bodies(event)
    assert captured(maker, event)["duplicates"] == 1


def test_jobs_and_knowledge_survive_a_restart(tmp_path: Path) -> None:
    event, more = objects(1, "shipping", pack(1, 1)), objects(1, "shipping", pack(1, 2))
    with Served(tmp_path / "data") as site:
        client = site.client(Scope.CAPTURE, label="maker")
        location = capture(client, event).headers["location"]
    # A gateway that was killed between storing and noting it: the job is still running, with the hashes of its events.
    jobs = Jobs(tmp_path / "data" / "captures.db")
    pending = open_event(event).hash + open_event(more).hash
    (left,) = jobs.begin([replace(new_job("maker", 2, proceed=False), pending=pending)])
    jobs.close()
    with Served(tmp_path / "data") as site:
        client = site.client(Scope.CAPTURE, label="maker")
        assert client.get(location).json()["stored"] == 1
        site.run(_settled(site, left.id))
        job = client.get(f"/epcis/capture/{left.id}").json()
        assert (job["running"], job["success"], job["stored"], job["duplicates"]) == (False, False, 1, 0)
        assert "1 events are not in the log" in job["errors"][0]["reason"]
        assert captured(client, listed(event, more))["duplicates"] == 1
        assert job["capturedBy"] == "maker"


async def _settled(site: Served, job: str) -> None:
    while site.gateway.supply.capture.jobs.job(job, None).finished_us is None:
        await asyncio.sleep(0.05)


def test_an_index_that_is_behind_stores_nothing_twice(tmp_path: Path) -> None:
    """While it cannot be known what is in the log, nothing is captured."""
    event = objects(1, "shipping", pack(1, 1))
    with Served(tmp_path / "data") as site:
        captured(site.client(Scope.CAPTURE), event)
    (tmp_path / "data" / "events.db").unlink()
    with Served(tmp_path / "data") as site:
        client = site.client(Scope.CAPTURE)
        while (answer := capture(client, event)).status_code == 503:
            assert answer.headers["retry-after"]
        assert answer.json()["duplicates"] == 1


def test_the_file_holds_no_event_and_is_the_owners(gateway: Served, maker: httpx.Client) -> None:
    captured(maker, objects(9, "shipping", pack(19, 1)))
    path = gateway.gateway.folder.captures
    assert path.stat().st_mode & 0o777 == 0o600
    jobs = Database(path, readonly=True).connection
    end = time.monotonic() + 20
    while any(pending for (pending,) in jobs.execute("SELECT pending FROM job").fetchall()):
        assert time.monotonic() < end  # what came of a capture is noted a moment after it is told
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["/epcis/capture/" + "0" * 32, "/epcis/nonsense", "/epcis/bizSteps/flying"])
def test_what_is_not_there(auditor: httpx.Client, path: str) -> None:
    refused(auditor.get(path), 404, "NoSuchNameException")


def _path(event_id: str) -> str:
    return event_id.replace("/", "%2F").replace("?", "%3F")
