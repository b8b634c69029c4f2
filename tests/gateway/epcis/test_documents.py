"""Documents of GS1 and OpenEPCIS: the valid ones come in and are given back equal, the others are refused by place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.epcis.document import epcis_document, open_document, query_document, sift_document
from gateway.epcis.errors import EpcisError
from gateway.epcis.event import open_event, read_event
from tests.gateway.epcis.examples import CONTEXT, event, events_of, invalid_files, payload, valid_files

NOW = "2026-11-18T12:00:00Z"
REFUSED = {
    "Combination_of_events_with_missing_mandatory_fields": ("/epcisBody/eventList/0", "action"),
    "Combination_of_non_standard_bizStep_and_disposition": ("/epcisBody/eventList/0/bizStep", "'transforming'"),
    "EPCISDocument_without_context": ("", "@context"),
    "ObjectEvent_with_invalid_action": ("/epcisBody/eventList/0/action", "'CREATE'"),
    "ObjectEvent_with_invalid_eventTime_format": ("/epcisBody/eventList/0/eventTime", "'22-07-2026'"),
    "ObjectEvent_with_non_standard_bizStep": ("/epcisBody/eventList/0/bizStep", "'transforming'"),
    "ObjectEvent_with_non_standard_disposition": ("/epcisBody/eventList/0/disposition", "'in_transport'"),
    "ObjectEvent_with_unknown_field_in_quantityList": ("/epcisBody/eventList/0/quantityList/0/weight", "'weight'"),
    "ObjectEvent_without_action_and_eventTime": ("/epcisBody/eventList/0", "eventTime"),
}


def without_context(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != "@context"}


def test_valid_documents_come_back_equal(vectors: Callable[[str], Path]) -> None:
    files = list(valid_files(vectors))
    assert len(files) > 70
    for file in files:
        data = file.read_bytes()
        document = json.loads(data)
        opened = open_document(data)
        given_back = [json.loads(one) for one in opened.events]
        assert list(map(without_context, given_back)) == list(map(without_context, events_of(document))), file.name
        assert opened.context == document["@context"]
        for one, own in zip(given_back, events_of(document), strict=True):
            assert [e for e in own.get("@context", ()) if e not in one["@context"]] == []


def test_bare_events_can_be_opened_and_read_alike(vectors: Callable[[str], Path]) -> None:
    for file in valid_files(vectors):
        bare = open_document(file.read_bytes()).events
        assert [read_event(one) for one in bare] == [open_event(one) for one in bare], file.name


def test_what_a_document_is_opened_to_is_what_its_bare_events_are_opened_to(vectors: Callable[[str], Path]) -> None:
    """The pipeline takes the one for the other."""
    for file in valid_files(vectors):
        sifted = sift_document(file.read_bytes())
        assert list(sifted.opened) == list(map(open_event, sifted.document.events)), file.name
    own = json.loads(document(event(), event(), **{"@context": [CONTEXT, {"ex": "urn:y:"}]}))
    own["epcisBody"]["eventList"][1] |= {"@context": [{"ex": "urn:x:"}], "ex:a": "1"}
    for data in (json.dumps(own).encode(), payload()):
        sifted = sift_document(data)
        assert list(sifted.opened) == list(map(open_event, sifted.document.events))


def test_documents_are_made_of_bare_events_and_open_again(vectors: Callable[[str], Path]) -> None:
    for file in valid_files(vectors):
        bare = open_document(file.read_bytes()).events
        for made in (query_document(bare, NOW), epcis_document(bare, NOW)):
            assert list(map(json.loads, open_document(made).events)) == list(map(json.loads, bare)), file.name


def test_invalid_documents_are_refused_with_place_and_reason(vectors: Callable[[str], Path]) -> None:
    files = {file.stem: file for file in invalid_files(vectors)}
    assert set(files) == set(REFUSED)
    for name, (place, reason) in REFUSED.items():
        with pytest.raises(EpcisError, match=reason) as caught:
            open_document(files[name].read_bytes())
        assert caught.value.place == place


def document(*events: dict[str, Any], **members: Any) -> bytes:
    made = {
        "@context": [CONTEXT], "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": NOW,
        "epcisBody": {"eventList": [without_context(e) for e in events]},
    } | members  # fmt: skip
    return json.dumps({name: value for name, value in made.items() if value is not None}).encode()


def test_a_context_of_null_is_none() -> None:
    given = json.loads(document(event()))
    given["epcisBody"]["eventList"][0]["@context"] = None
    with pytest.raises(EpcisError, match="@context") as caught:
        open_document(json.dumps(given).encode())
    assert caught.value.place == "/epcisBody/eventList/0"


def test_a_number_keeps_its_digits() -> None:
    given = document(event(epcList=None, quantityList=[{"epcClass": "urn:x:y", "quantity": 7.5, "uom": "KGM"}]))
    spelt = given.replace(b"7.5", b"7.50000000000000000001")
    assert b"7.50000000000000000001" in open_document(spelt).events[0]


def test_a_context_of_the_event_joins_that_of_the_document() -> None:
    own = event(**{"own:name": "x", "doc:name": "y"})
    inner = without_context(own) | {"@context": [CONTEXT, {"own": "urn:own:"}]}
    given = json.loads(document()) | {"@context": [CONTEXT, {"doc": "urn:doc:"}]}
    given["epcisBody"]["eventList"] = [inner]
    (bare,) = open_document(json.dumps(given).encode()).events
    assert json.loads(bare)["@context"] == [CONTEXT, {"doc": "urn:doc:"}, {"own": "urn:own:"}]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schemaVersion": "1.2"}, "/schemaVersion"),
        ({"schemaVersion": 2.0}, "/schemaVersion"),
        ({"schemaVersion": None}, ""),
        ({"creationDate": "2026-11-18"}, "/creationDate"),
        ({"creationDate": "2026-02-30T00:00:00Z"}, "/creationDate"),
        ({"type": "EPCISMasterDataDocument"}, "/type"),
        ({"type": ["EPCISDocument"]}, "/type"),
        ({"@context": []}, "/@context"),
        ({"@context": [CONTEXT, CONTEXT]}, "/@context/1"),
        ({"@context": 7}, "/@context"),
        ({"sender": 7}, "/sender"),
        ({"extra": 7}, "/extra"),
        ({"no:prefix": 7}, "/no:prefix"),
        ({"id": "not a uri"}, "/id"),
        ({"epcisBody": {}}, "/epcisBody"),
        ({"epcisBody": {"eventList": {}}}, "/epcisBody/eventList"),
        ({"epcisBody": {"eventList": [7]}}, "/epcisBody/eventList/0"),
        (
            {"epcisHeader": {"epcisMasterData": {"vocabularyList": [{}]}}},
            "/epcisHeader/epcisMasterData/vocabularyList/0",
        ),
        ({"epcisHeader": {"other": 1}}, "/epcisHeader/other"),
    ],
)
def test_a_document_is_refused_by_place(change: dict[str, Any], place: str) -> None:
    open_document(document(event()))
    with pytest.raises(EpcisError) as caught:
        open_document(document(event(), **change))
    assert caught.value.place == place


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"7", b"{", b'{"type":"EPCISDocument","type":"EPCISDocument"}', b"\xff", b"\xef\xbb\xbf{}", b"NaN",
        payload().replace(b'"OBSERVE"', b'"OBSERVE","action":"OBSERVE"'), payload() + b"x",
        payload().replace(b"OBSERVE", b"\\ud800"), b"[" * 100_000, payload(**{"ex:a": eval("[" * 12 + "]" * 12)}),
    ],
)  # fmt: skip
def test_what_is_no_strict_json_is_refused(data: bytes) -> None:
    for opener in (open_document, open_event):
        with pytest.raises(EpcisError):
            opener(data)


def test_hostile_documents_cost_little() -> None:
    """Each would take minutes or gigabytes if a step were quadratic or remembered every byte."""
    with pytest.raises(EpcisError, match="1 to 64 contexts"):
        open_document(document(event(), **{"@context": ["urn:a:b"] * 1_000_000}))
    odd = document(event(**{"rdfs:label": "QUOTE"}))
    with pytest.raises(EpcisError, match="at most 60000"):
        open_document(odd.replace(b"QUOTE", b'\\"' * 2_000_000))
    assert len(open_document(document(*[event()] * 2_000)).events) == 2_000


def test_sizes_are_bounded() -> None:
    with pytest.raises(EpcisError, match="at most 60000 bytes"):
        open_event(payload(**{"ex:a": "x" * 60_000}))
    with pytest.raises(EpcisError, match="at most 60000 bytes") as caught:
        open_document(document(event(), event(**{"rdfs:label": "x" * 60_000})))
    assert caught.value.place == "/epcisBody/eventList/1"
    with pytest.raises(EpcisError, match="at most 500 bytes"):
        open_document(document(event(), event(), event(), event()), limit=500)
