"""The kinds production and inference, the register, and the published schemas."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chain.record import RecordFlag
from gateway.preprocess import kinds
from gateway.preprocess.errors import PayloadRejected, UnknownKindError
from gateway.preprocess.kind import Context, Limits
from gateway.preprocess.publish import files

NOW_US = 1_795_000_000_000_000  # 2026-11-18
CONTEXT = Context(NOW_US, NOW_US)
DIGEST = "ab" * 32
SCHEMAS = Path(__file__).parents[3] / "docs/formats/schemas"

PRODUCTION: dict[str, Any] = {"gtin": "4006381333931", "lot": "LOT-7/A", "expiry": "290400", "serial": "SN1"}
INFERENCE: dict[str, Any] = {
    "model": {"name": "defects", "version": "3", "digest": DIGEST},
    "preprocessing": [{"step": "clip", "params": {"low": -1000, "high": 400, "fast": True}, "digest": DIGEST}],
    "input": {"digest": "cd" * 32},
    "output": {
        "label": "scratch",
        "scores": {"scratch": 0.9, "ok": 0.1},
        "boxes": [{"label": "scratch", "x": 1, "y": 2, "width": 3, "height": 4, "score": 0.9}],
    },
    "score": 0.9,
    "threshold": 0.5,
    "decision": "reject",
    "latency_ms": 4.2,
    "attribution": [{"feature": "edge", "contribution": -0.25}],
    "human_override": {"who": "QA 7", "decision": "accept", "reason": "dust", "time": "2026-11-18T12:00:00Z"},
}


def prepare(kind: str, payload: dict[str, Any], context: Context = CONTEXT) -> Any:
    return kinds.by_name(kind).prepare(json.dumps(payload).encode(), context)


def test_production_is_normalised() -> None:
    prepared = prepare("production", {**PRODUCTION, "line": "L1", "time": "2026-11-18T13:06:40.5+01:00"})
    assert prepared.fields == (
        ("gtin", "04006381333931"),
        ("lot", "LOT-7/A"),
        ("expiry", "2029-04-30"),
        ("serial", "SN1"),
        ("line", "L1"),
        ("time_us", 1_795_003_600_500_000),
        ("step", "commissioning"),
        ("image_digest", None),
        ("decoder", None),
    )
    assert prepared.sensed_us == 1_795_003_600_500_000
    assert prepared.flags == RecordFlag.NONE
    assert prepared.index == (("gtin", "04006381333931"), ("lot", "LOT-7/A"), ("serial", "SN1"), ("line", "L1"))


def test_production_without_a_time_takes_the_envelopes() -> None:
    prepared = prepare("production", PRODUCTION)
    assert prepared.sensed_us == NOW_US
    assert dict(prepared.fields)["time_us"] is None


def test_production_time_in_unix_seconds() -> None:
    assert prepare("production", {**PRODUCTION, "time": 1_795_000_000.25}).sensed_us == NOW_US + 250_000


def test_the_century_of_an_expiry_follows_the_payloads_own_time() -> None:
    prepared = prepare("production", {**PRODUCTION, "expiry": "600101", "time": "1999-01-01T00:00:00Z"})
    assert dict(prepared.fields)["expiry"] == "1960-01-01"


def test_a_pack_that_had_expired_when_made_is_suspect() -> None:
    assert prepare("production", {**PRODUCTION, "expiry": "2026-11-17"}).flags == RecordFlag.SUSPECT
    assert prepare("production", {**PRODUCTION, "expiry": "2026-11-18"}).flags == RecordFlag.NONE


def test_the_whole_of_character_set_82_is_a_lot() -> None:
    charset = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
    assert len(charset) == 82
    for i in range(0, 82, 20):
        assert (
            dict(prepare("production", {**PRODUCTION, "lot": charset[i : i + 20]}).fields)["lot"] == charset[i : i + 20]
        )


@pytest.mark.parametrize(
    "change",
    [
        {"gtin": "4006381333932"}, {"gtin": None}, {"lot": ""}, {"lot": "a" * 21}, {"lot": "a b"}, {"lot": "a\n"},
        {"lot": "ä"}, {"serial": "#"}, {"expiry": "270230"}, {"line": ""}, {"line": "x" * 65}, {"time": -1},
        {"time": "2026-11-18T12:00:00"}, {"time": "yesterday"}, {"time": 1e12}, {"time": "1969-12-31T23:59:59Z"},
        {"step": "Packing!"}, {"image_digest": DIGEST.upper()}, {"image_digest": DIGEST[1:]}, {"colour": "red"},
    ],
)  # fmt: skip
def test_refused_production(change: dict[str, Any]) -> None:
    with pytest.raises(PayloadRejected):
        prepare("production", {**PRODUCTION, **change})


@pytest.mark.parametrize("missing", ["gtin", "lot"])
def test_production_needs_gtin_and_lot(missing: str) -> None:
    payload = {key: value for key, value in PRODUCTION.items() if key != missing}
    with pytest.raises(PayloadRejected, match=missing):
        prepare("production", payload)


def test_duplicate_keys_are_refused_at_any_depth() -> None:
    nested = json.dumps(INFERENCE).replace('"version": "3"', '"version": "3", "version": "4"').encode()
    with pytest.raises(PayloadRejected, match="twice"):
        kinds.by_name("inference").prepare(nested, CONTEXT)


def test_inference_is_normalised() -> None:
    prepared = prepare("inference", INFERENCE)
    assert prepared.fields == (
        ("model_digest", DIGEST),
        ("model_name", "defects"),
        ("model_version", "3"),
        ("preprocessing", [["clip", DIGEST, {"low": -1000, "high": 400, "fast": True}]]),
        ("input_digest", "cd" * 32),
        ("label", "scratch"),
        ("scores", {"scratch": 0.9, "ok": 0.1}),
        ("boxes", [["scratch", 1.0, 2.0, 3.0, 4.0, 0.9]]),
        ("score", 0.9),
        ("threshold", 0.5),
        ("decision", "reject"),
        ("latency_ms", 4.2),
        ("attribution", [["edge", -0.25]]),
        ("human_override", ["QA 7", "accept", "dust", 1_795_003_200_000_000]),
        ("time_us", None),
    )
    assert ("model", "defects") in prepared.index
    assert ("input", "cd" * 32) in prepared.index


def test_the_least_inference_has_the_same_shape() -> None:
    least = {key: INFERENCE[key] for key in ("model", "input", "decision")} | {"output": {}, "human_override": None}
    names = [name for name, _ in prepare("inference", least).fields]
    assert names == [name for name, _ in prepare("inference", INFERENCE).fields]


def test_limits_apply_to_the_score() -> None:
    context = Context(NOW_US, NOW_US, (("score", Limits(0.95, None, "/")),))
    assert prepare("inference", INFERENCE, context).flags == RecordFlag.OUT_OF_RANGE | RecordFlag.URGENT


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"name": "m", "version": "1"}},
        {"model": {"name": "m", "version": "1", "digest": "00"}},
        {"input": None},
        {"output": {"scores": {str(i): 0.5 for i in range(257)}}},
        {"output": {"boxes": [{"label": "a", "x": 0, "y": 0, "width": -1, "height": 1}]}},
        {"output": {"logits": []}},
        {"preprocessing": [{"step": "s", "digest": DIGEST}] * 33},
        {"preprocessing": [{"step": "s", "digest": DIGEST, "params": {"a": [1]}}]},
        {"preprocessing": [{"step": "s", "digest": DIGEST, "params": {"a": 2**53 + 1}}]},
        {"attribution": [{"feature": "f", "contribution": 1}] * 65},
        {"human_override": {"who": "x", "decision": "y"}},
        {"latency_ms": -1},
        {"decision": ""},
    ],
)
def test_refused_inference(change: dict[str, Any]) -> None:
    with pytest.raises(PayloadRejected):
        prepare("inference", {**INFERENCE, **change})


@pytest.mark.parametrize(("kind", "payload"), [("production", PRODUCTION), ("inference", INFERENCE)])
def test_a_person_is_the_last_field_and_changes_nothing_else(kind: str, payload: dict[str, Any]) -> None:
    plain, named = prepare(kind, payload), prepare(kind, {**payload, "subject": "patient-4711"})
    assert (plain.subject, named.subject) == ("", "patient-4711")
    assert named.fields == (*plain.fields, ("subject", "patient-4711"))
    assert (named.flags, named.sensed_us, named.index) == (plain.flags, plain.sensed_us, plain.index)
    for wrong in ("", "a/b", "a@b", "-a", "é", "a" * 65, "a\n", 7, ["a"]):
        with pytest.raises(PayloadRejected):
            prepare(kind, {**payload, "subject": wrong})


def test_register() -> None:
    assert [(kind.name, kind.code) for kind in kinds.ALL] == [
        ("reading", 1), ("production", 2), ("inference", 3), ("object", 6), ("epcis", 7), ("shipment", 8),
        ("recall", 9),
    ]  # fmt: skip
    for kind in kinds.ALL:
        assert kinds.by_name(kind.name) is kinds.by_code(kind.code) is kind
    with pytest.raises(UnknownKindError, match="reading, production, inference, object"):
        kinds.by_name("rumour")
    with pytest.raises(UnknownKindError):
        kinds.by_code(4)


OBJECT: dict[str, Any] = {"object": "01" * 32, "digest": DIGEST, "size": 16_900, "recipients": "cd" * 32}


def test_a_sealed_object_is_named_by_its_ciphertext() -> None:
    prepared = prepare("object", OBJECT)
    assert prepared.fields == tuple(OBJECT.items())
    assert prepared.index == (("input", "01" * 32), ("input", DIGEST))
    assert (prepared.flags, prepared.sensed_us) == (RecordFlag.NONE, NOW_US)


@pytest.mark.parametrize(
    "change",
    [{"object": "01" * 31}, {"digest": DIGEST.upper()}, {"size": -1}, {"size": 2**53}, {"size": 1.0}, {"name": "x"}],
)
def test_objects_that_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PayloadRejected):
        prepare("object", {**OBJECT, **change})


SHIPMENT: dict[str, Any] = {
    "act": "explain",
    "shipment": "01" * 32,
    "by": "QA",
    "alarm": 0,
    "code": "door",
    "text": "é",
}


def test_an_act_on_a_shipment_is_found_by_it() -> None:
    prepared = prepare("shipment", SHIPMENT)
    assert prepared.fields == tuple(SHIPMENT.items())
    assert prepared.index == (("input", "01" * 32),)


@pytest.mark.parametrize(
    "change", [{"act": "steal"}, {"shipment": "1"}, {"alarm": -1}, {"text": "a" * 4001}, {"by": "a" * 101}, {"x": 1}]
)
def test_acts_on_shipments_that_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PayloadRejected):
        prepare("shipment", {**SHIPMENT, **change})


@pytest.mark.parametrize("name", sorted(files()))
def test_the_published_files_are_what_the_code_says(name: str) -> None:
    """Mend with: python -m gateway.preprocess.publish docs/formats/schemas."""
    assert (SCHEMAS / name).read_text(encoding="utf-8") == files()[name]


def test_nothing_else_is_published() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == set(files())


def test_an_int_and_a_float_of_the_same_value_commit_alike() -> None:
    whole, real = ({**INFERENCE, "score": value} for value in (1, 1.0))
    encode = msgspec.msgpack.encode  # tells 1 from 1.0, as CBOR does
    assert encode(prepare("inference", whole).fields) == encode(prepare("inference", real).fields)
