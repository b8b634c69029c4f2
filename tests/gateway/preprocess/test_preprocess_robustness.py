"""Whatever the bytes are: a Prepared that is fit to commit, or PayloadRejected, and the same again next time."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto import cbor
from gateway.preprocess import kinds
from gateway.preprocess.errors import PayloadRejected
from gateway.preprocess.kind import Context, Kind, Limits, Prepared

EVENT: dict[str, Any] = {
    "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", "type": "ObjectEvent",
    "eventTime": "2026-11-18T12:00:00Z", "eventTimeZoneOffset": "+00:00", "action": "OBSERVE",
    "epcList": ["urn:epc:id:sgtin:4012345.011111.9876"], "bizStep": "shipping",
}  # fmt: skip
OBJECT: dict[str, Any] = {"object": "01" * 32, "digest": "ab" * 32, "size": 9, "recipients": "cd" * 32}
RECALL: dict[str, Any] = {"recall": "ab", "what": "told", "drill": False, "digest": "ab" * 32}
SHIPMENT: dict[str, Any] = {"act": "explain", "shipment": "01" * 32, "alarm": 1, "code": "door", "text": "open"}
PRODUCTION: dict[str, Any] = {"gtin": "4006381333931", "lot": "LOT-7/A", "expiry": "290400", "serial": "SN1"}
INFERENCE: dict[str, Any] = {
    "model": {"name": "defects", "version": "3", "digest": "ab" * 32},
    "preprocessing": [{"step": "clip", "params": {"low": -1000, "fast": True}, "digest": "cd" * 32}],
    "input": {"digest": "ef" * 32},
    "output": {"label": "scratch", "scores": {"ok": 0.1}, "boxes": []},
    "decision": "reject",
    "attribution": [{"feature": "edge", "contribution": -0.25}],
    "human_override": {"who": "QA 7", "decision": "accept", "reason": "dust", "time": 0},
}
LIMITS = (("a", Limits(None, 5.0, "Cel")), ("", Limits(0.0, None, "/")))
CONTEXTS = st.builds(Context, st.integers(0, 2**63), st.integers(0, 2**63), st.just(LIMITS))
NUMBERS = st.integers(-(2**70), 2**70) | st.floats()
TEXTS = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "bn": st.sampled_from(["a", "urn:dev:x:", ""]), "bt": NUMBERS, "bu": st.sampled_from(["Cel", "x"]),
        "bv": NUMBERS, "bs": NUMBERS, "bver": st.integers(0, 30), "n": TEXTS | st.just("a"),
        "u": TEXTS | st.sampled_from(["[degF]", "K"]), "v": NUMBERS, "vs": TEXTS, "vb": st.booleans(),
        "vd": TEXTS | st.just("aGk"), "s": NUMBERS, "t": NUMBERS, "ut": NUMBERS, "x": JSON, "y_": JSON,
    },
)  # fmt: skip
ALL_KINDS = pytest.mark.parametrize("kind", kinds.ALL, ids=lambda kind: kind.name)


def assert_fit_to_commit(value: Any) -> None:
    """Only types that CBOR has, only finite numbers, only str keys; encodes and comes back equal."""
    if isinstance(value, list):
        for item in value:
            assert_fit_to_commit(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            assert isinstance(key, str)
            assert_fit_to_commit(item)
    elif isinstance(value, float):
        assert math.isfinite(value)
    else:
        assert value is None or type(value) in (bool, int, str, bytes)


def attempt(kind: Kind, payload: bytes, context: Context) -> Prepared | str:
    try:
        return kind.prepare(payload, context)
    except PayloadRejected as e:
        return str(e)


def check(kind: Kind, payload: bytes, context: Context) -> None:
    first = attempt(kind, payload, context)
    assert first == attempt(kind, payload, context)
    if isinstance(first, str):
        assert 0 < len(first) < 1_000
    else:
        for _, value in first.fields:
            assert_fit_to_commit(value)
            assert cbor.decode(cbor.encode(value), limit=500_000) == value
        assert all(isinstance(term, str) and isinstance(value, str) for term, value in first.index)


@ALL_KINDS
@given(payload=st.binary(max_size=300), context=CONTEXTS)
@example(payload=b'[{"n":"a","v":' + b"9" * 5_000 + b"}]", context=Context(0, 0))
@example(payload=b'[{"n":"a","v":1,"bver":' + b"9" * 5_000 + b"}]", context=Context(0, 0))
@example(payload=b'[{"n":"a","v":1,"x":' + b"9" * 5_000 + b"}]", context=Context(0, 0))
@example(payload=b'\\"' * 29_000, context=Context(0, 0))
@example(payload=b'{"' * 29_000, context=Context(0, 0))
def test_arbitrary_bytes(kind: Kind, payload: bytes, context: Context) -> None:
    check(kind, payload, context)


@ALL_KINDS
@given(value=JSON, context=CONTEXTS)
def test_arbitrary_json(kind: Kind, value: Any, context: Context) -> None:
    check(kind, json.dumps(value).encode(), context)


@given(pack=st.lists(RECORD, max_size=5), context=CONTEXTS)
def test_arbitrary_packs(pack: list[dict[str, Any]], context: Context) -> None:
    check(kinds.by_name("reading"), json.dumps(pack).encode(), context)


@pytest.mark.parametrize(("name", "good"), [("production", PRODUCTION), ("inference", INFERENCE), ("object", OBJECT),
                                           ("epcis", EVENT), ("shipment", SHIPMENT), ("recall", RECALL)])  # fmt: skip
@given(data=st.data(), context=CONTEXTS)
def test_a_good_payload_with_one_field_replaced(
    name: str, good: dict[str, Any], data: st.DataObject, context: Context
) -> None:
    field = data.draw(st.sampled_from([*good, "time"]))
    times = st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat())
    payload = {**good, field: data.draw(JSON | times)}
    check(kinds.by_name(name), json.dumps(payload).encode(), context)


@ALL_KINDS
@given(data=st.data())
def test_a_good_payload_with_bytes_changed(kind: Kind, data: st.DataObject) -> None:
    good = {"reading": [{"bn": "a", "bu": "Cel", "v": 21.5}, {"t": -5, "vs": "x"}]}
    payload = bytearray(
        json.dumps(
            {
                **good,
                "production": PRODUCTION,
                "inference": INFERENCE,
                "object": OBJECT,
                "epcis": EVENT,
                "shipment": SHIPMENT,
                "recall": RECALL,
            }[kind.name]
        ).encode()
    )
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    check(kind, bytes(payload), Context(0, 0))
