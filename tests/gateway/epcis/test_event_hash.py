"""Event hash ids: the published answers, and the laws that make them ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.epcis.document import open_document
from gateway.epcis.event import open_event, read_event
from gateway.epcis.event_hash import pre_hash
from tests.gateway.epcis.examples import EPC, event, payload


def test_published_answers(vectors: Callable[[str], Path]) -> None:
    files = sorted((vectors("epcis") / "hash").glob("*.hashes"))
    assert len(files) >= 9
    for file in files:
        events = [read_event(one) for one in open_document(file.with_suffix(".jsonld").read_bytes()).events]
        assert [e.hash_id for e in events] == file.read_text().split(), file.name
        strings = file.with_suffix(".prehashes")
        if strings.exists():
            assert [pre_hash(e.body, e.prefixes) for e in events] == strings.read_text().splitlines()


def hash_of(**members: Any) -> bytes:
    return open_event(payload(**members)).hash


SAME: list[dict[str, Any]] = [
    {"recordTime": "2026-11-18T12:00:00Z"},
    {"eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8"},
    {"errorDeclaration": {"declarationTime": "2026-11-18T12:00:00Z", "reason": "did_not_occur"}},
    {"rdfs:comment": "for people"},
    {"eventTime": "2026-11-18T11:00:00Z"},
    {"eventTime": "2026-11-18T11:00:00.0004999Z"},
    {"bizStep": "https://ref.gs1.org/cbv/BizStep-shipping"},
    {"bizStep": "cbv:BizStep-shipping"},
    {"epcList": ["https://example.com/some/path/gtin/9506000134352/lot/AB/ser/1?17=280131"]},
    {"@context": ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld"]},
]
OTHER: list[dict[str, Any]] = [
    {"eventTime": "2026-11-18T12:00:00.001+01:00"},
    {"eventTimeZoneOffset": "+02:00"},
    {"action": "ADD"},
    {"bizStep": "receiving"},
    {"bizStep": "urn:own:shipping"},
    {"epcList": [EPC + "1"]},
    {"ex:field": "1"},
    {"readPoint": {"id": "urn:x:dock"}},
]


@pytest.mark.parametrize("change", SAME)
def test_the_same_event_in_another_spelling_has_the_same_hash(change: dict[str, Any]) -> None:
    assert hash_of(bizStep="shipping") == hash_of(**{"bizStep": "shipping"} | change)


@pytest.mark.parametrize("change", OTHER)
def test_another_event_has_another_hash(change: dict[str, Any]) -> None:
    assert hash_of(bizStep="shipping") != hash_of(**{"bizStep": "shipping"} | change)


def test_an_extension_that_stands_alone_counts() -> None:
    one, other = (
        hash_of(sensorElementList=[{"sensorMetadata": {"ex:probe": probe}, "sensorReport": [{"type": "Count"}]}])
        for probe in ("air", "goods")
    )
    assert one != other


def test_what_the_form_of_cbv_cannot_tell_apart() -> None:
    """Whoever writes both events makes two of one hash, since the standard's string has no separators and reads texts
    that look like numbers as numbers. So nothing may rest on an event's hash but its name (docs/threat-model.md)."""
    assert hash_of(epcList=["urn:x:a", "urn:x:b"]) == hash_of(epcList=["urn:x:aepc=urn:x:b"])
    lots = [hash_of(action="ADD", ilmd={"cbvmda:lotNumber": lot}) for lot in ("007", "7", "7E0")]
    assert lots == lots[:1] * 3


def test_the_order_of_members_and_lists_does_not_matter() -> None:
    given = event(epcList=[EPC, EPC + "2", "urn:x:1"], **{"ex:b": ["2", "1"], "ex:a": {"ex:d": 1, "ex:c": 2}})
    turned = dict(reversed(given.items())) | {"epcList": given["epcList"][::-1], "ex:b": ["1", "2"]}
    assert open_event(json.dumps(given).encode()).hash == open_event(json.dumps(turned).encode()).hash


def test_a_prefix_is_only_a_name_for_its_namespace() -> None:
    one = payload(**{"@context": {"a": "urn:own:"}, "a:x": "1"})
    renamed = payload(**{"@context": {"b": "urn:own:"}, "b:x": "1"})
    assert open_event(one).hash == open_event(renamed).hash
