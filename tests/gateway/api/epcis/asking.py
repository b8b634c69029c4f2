"""What the tests send and ask."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

JSON = {"Content-Type": "application/json"}


def capture(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    return client.post("/epcis/capture", content=body, headers=JSON | headers)


def captured(client: httpx.Client, body: bytes, **headers: str) -> dict[str, Any]:
    """The job of a capture that succeeds."""
    answer = capture(client, body, **headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def listed(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


def events_in(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of an answer, without contexts."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["GS1-EPCIS-Version"] == "2.0.0"
    found = answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return [without_context(event) for event in found]


def without_context(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "@context"}


def bodies(*events: bytes) -> list[dict[str, Any]]:
    return [without_context(json.loads(event)) for event in events]


def refused(answer: httpx.Response, status: int, kind: str, words: str = "") -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["type"] == f"epcisException:{kind}"
    assert words in said["detail"]
    return dict(said)
