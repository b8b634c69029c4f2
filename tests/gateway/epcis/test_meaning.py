"""What an event says: the same however it is spelled, and another where the event hash does not tell events apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.epcis.document import open_document
from gateway.epcis.event import read_event
from gateway.epcis.meaning import meaning
from tests.gateway.epcis.examples import payload, valid_files
from tests.gateway.epcis.test_event_hash import OTHER, SAME

ONE_HASH: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"ex:lot": "007"}, {"ex:lot": "7"}),
    ({"ex:lot": "7"}, {"ex:lot": "7E0"}),
    ({"ex:lot": "12345678901234567890"}, {"ex:lot": "12345678901234567899"}),
    ({"epcList": ["urn:x:a", "urn:x:b"]}, {"epcList": ["urn:x:aepc=urn:x:b"]}),
    ({"ex:a": "1", "ex:b": "2"}, {"ex:a": "1{https://ns.example.com/epcis/}b=2"}),
]


@pytest.mark.parametrize("change", SAME, ids=str)
def test_one_event_however_it_is_spelled(change: dict[str, Any]) -> None:
    assert meaning(payload(**{"bizStep": "shipping"} | change)) == meaning(payload(bizStep="shipping"))


@pytest.mark.parametrize("change", OTHER, ids=str)
def test_another_event(change: dict[str, Any]) -> None:
    assert meaning(payload(**{"bizStep": "shipping"} | change)) != meaning(payload(bizStep="shipping"))


@pytest.mark.parametrize(("one", "other"), ONE_HASH, ids=str)
def test_events_of_one_hash_are_told_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = payload(**one), payload(**other)
    assert read_event(first).hash == read_event(second).hash
    assert meaning(first) != meaning(second)


def test_what_says_the_same_has_one_hash(vectors: Callable[[str], Path]) -> None:
    """Also with its members and lists in another order."""
    found: dict[bytes, set[bytes]] = {}
    for file in valid_files(vectors):
        for one in open_document(file.read_bytes()).events:
            turned = json.dumps(_turned(json.loads(one))).encode()
            assert meaning(turned) == meaning(one)
            found.setdefault(meaning(one), set()).update((read_event(one).hash, read_event(turned).hash))
    assert len(found) > 50
    assert all(len(hashes) == 1 for hashes in found.values())


def _turned(value: Any, name: str = "") -> Any:
    if type(value) is dict:
        return {n: _turned(v, n) for n, v in reversed(value.items())}
    if type(value) is list and name != "@context":
        return [_turned(item) for item in reversed(value)]
    return value
