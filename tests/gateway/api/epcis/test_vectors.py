"""GS1's and OpenEPCIS's documents through a real gateway: the valid come back equal, the invalid are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from gateway.epcis.document import open_document
from gateway.epcis.event import read_event
from tests.gateway.api.epcis.asking import capture, captured, events_in, refused, without_context
from tests.support.trade import CONTEXT, objects

VALID = ("openepcis/Documents", "openepcis/Events", "gs1")


def _same(event: Any) -> str:
    return json.dumps(event, sort_keys=True)


def test_valid_documents_are_captured_and_given_back_equal(
    maker: httpx.Client, auditor: httpx.Client, vectors: Callable[[str], Path]
) -> None:  # fmt: skip
    """Equal: the same JSON, but for "@context", which answers may hold once for all. An event that two documents hold
    is stored once, as it came first; then the hashes are equal."""
    files = [file for folder in VALID for file in sorted((vectors("epcis") / folder).iterdir())]
    assert len(files) > 60
    compared = 0
    for file in files:
        job = captured(maker, file.read_bytes())
        assert job["success"], file
        for payload, (record, known) in zip(open_document(file.read_bytes()).events, job["verdicts"], strict=True):
            event = read_event(payload)
            found = events_in(auditor.get(f"/epcis/events/{_quoted(event.hash_id)}"))
            if known:
                assert found, (file, record)
            else:
                assert _same(without_context(event.body)) in map(_same, found), (file, record)
                compared += 1
    assert compared > 60


def test_contexts_keep_their_meaning(
    maker: httpx.Client, auditor: httpx.Client, vectors: Callable[[str], Path]
) -> None:  # fmt: skip
    """Whatever context an answer has around its events, the same prefixes mean the same in each."""
    file = vectors("epcis") / "openepcis/Documents/Namespaces_at_different_level.json"
    captured(maker, file.read_bytes())
    for payload in open_document(file.read_bytes()).events:
        event = read_event(payload)
        answer = auditor.get(f"/epcis/events/{_quoted(event.hash_id)}")
        (again,) = (read_event(one) for one in open_document(answer.content).events)
        assert (again.hash, again.prefixes) == (event.hash, event.prefixes)


def test_invalid_documents_are_refused_with_place_and_reason(
    maker: httpx.Client, auditor: httpx.Client, vectors: Callable[[str], Path]
) -> None:  # fmt: skip
    files = sorted((vectors("epcis") / "openepcis/Invalid").iterdir())
    assert len(files) >= 9
    before = auditor.get("/epcis/capture?perPage=1").json()
    for file in files:
        said = refused(capture(maker, file.read_bytes()), 400, "ValidationException")
        assert said["detail"].startswith("/epcisBody/eventList/") or "@context" in said["detail"], (file, said)
    assert auditor.get("/epcis/capture?perPage=1").json() == before


def _quoted(event_id: str) -> str:
    return event_id.replace("/", "%2F").replace("?", "%3F")


def test_every_epc_that_is_listed_is_answered(
    maker: httpx.Client, auditor: httpx.Client, vectors: Callable[[str], Path]
) -> None:  # fmt: skip
    """Classes are not listed, nor patterns; assets of other domains, whose check digits nobody verified, are."""
    for folder in ("openepcis/Documents", "openepcis/Events"):
        for file in sorted((vectors("epcis") / folder).iterdir()):
            captured(maker, file.read_bytes())
    gtin, lot = "https://id.gs1.org/01/04012345123456", "https://id.gs1.org/01/04012345123456/10/OF-A-CLASS"
    captured(maker, objects(
        1, "inspecting", gtin, "urn:epc:idpat:sgtin:4012345.*.*", **{"@context": [*CONTEXT, {"lot": f"{gtin}/10/"}]},
        quantityList=[{"epcClass": "lot:OF-A-CLASS"}],
    ))  # fmt: skip
    members = _all_of(auditor, "/epcis/epcs?perPage=20")
    assert len(members) > 40
    assert {gtin, "https://id.gs1.org/8003/030013450007718765", "https://id.gs1.org/8003/952012200000001004"} <= {
        *members
    }
    assert lot not in members
    for member in members:
        path = f"/epcis/epcs/{quote(member, safe='')}"
        assert auditor.get(path).status_code == 200, member
        assert events_in(auditor.get(f"{path}/events")), member
    assert events_in(auditor.get("/epcis/events", params={"MATCH_epcClass": lot}))


def _all_of(client: httpx.Client, path: str) -> list[str]:
    members = list[str]()
    while path:
        answer = client.get(path)
        members += answer.json()["member"]
        path = answer.headers.get("link", "").partition(">")[0][1:]
    return members
