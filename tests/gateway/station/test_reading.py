"""Drawn packs through the real code reader and the real text models."""

from dataclasses import replace
from datetime import date

import pytest

from gateway.preprocess import kinds
from gateway.preprocess.kind import Context, Limits
from gateway.station.inspection import Inspector
from gateway.station.ocr import TextReader
from gateway.station.payloads import inference_payload, production_payload
from tests.gateway.station.drawing import NOW_US, PACK, drawn, pale, side_by_side, smudged, turned

CONTEXT = Context(NOW_US, NOW_US, (("", Limits(0.8, None, "/")),))


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return Inspector(TextReader(threads=1))


@pytest.mark.parametrize(
    ("image", "reasons"),
    [
        (drawn(), []),
        (turned(drawn(), -163), []),
        (pale(drawn()), []),
        (drawn(lot="L2612B"), ["lot-mismatch"]),
        (drawn(lot="L26I1A"), ["lot-unclear"]),
        (drawn(expiry=date(2029, 3, 31)), ["expiry-mismatch"]),
        (drawn(pack=replace(PACK, expiry=date(2026, 10, 31))), ["expired"]),
        (smudged(drawn()), ["no-code"]),
        (side_by_side(drawn(), drawn("b", replace(PACK, serial="OTHER"))), ["several-codes"]),
    ],
    ids=["good", "upside down", "pale", "wrong lot", "look-alike lot", "wrong expiry", "expired", "smudged",
         "two packs"],
)  # fmt: skip
def test_a_pack_passes_only_where_code_and_print_agree(inspector: Inspector, image: bytes, reasons: list[str]) -> None:
    seen = inspector.inspect(image, NOW_US)
    assert [reason.name for reason in seen.verdict.reasons] == reasons, [line.text for line in seen.lines]
    assert seen.verdict.decision == ("reject" if reasons else "accept")
    assert (seen.verdict.score == 0.0) == bool(reasons)
    judged = kinds.by_name("inference").prepare(inference_payload(seen, inspector.text, NOW_US), CONTEXT)
    assert bool(judged.flags) == bool(reasons)  # out of range and urgent, or nothing
    made = production_payload(seen, "line-1", NOW_US)
    assert (made is None) == bool(seen.code.problem)
    if made is not None:
        fields = dict(kinds.by_name("production").prepare(made, CONTEXT).fields)
        assert (fields["lot"], fields["serial"]) == (PACK.lot, PACK.serial)
        assert fields["step"] == ("rejecting" if reasons else "commissioning")


def test_the_judgement_names_models_steps_and_image(inspector: Inspector) -> None:
    from hashlib import sha256

    assert inspector.text is not None
    image = drawn()
    seen = Inspector(inspector.text).inspect(image, NOW_US)
    payload = inference_payload(seen, inspector.text, NOW_US)
    fields = dict(kinds.by_name("inference").prepare(payload, CONTEXT).fields)
    detector, recogniser = (file.read_bytes() for file in inspector.text.files)
    assert fields["model_digest"] == sha256(detector + recogniser).hexdigest()
    assert fields["input_digest"] == sha256(image).hexdigest()
    steps = {step[0]: step for step in fields["preprocessing"]}
    assert list(steps) == ["decode", "read-code", "upright", "to-rgb"]
    assert steps["to-rgb"][2]["detector"] == sha256(detector).hexdigest()
    assert steps["to-rgb"][2]["recogniser"] == sha256(recogniser).hexdigest()
    assert fields["label"].endswith("| LOT L2611A | EXP 2029-04-30")
    assert fields["latency_ms"] == pytest.approx(seen.code_ms + seen.text_ms, abs=0.01)
    again = Inspector(inspector.text).inspect(image, NOW_US)
    assert [step.digest for step in again.steps] == [step.digest for step in seen.steps]  # anyone can do it again
    assert (again.lines, again.verdict) == (seen.lines, seen.verdict)


def test_where_the_print_is_known_it_is_read_there_and_nothing_passes_by_it(inspector: Inspector) -> None:
    fresh = Inspector(inspector.text)
    first, second = (fresh.inspect(drawn(seed), NOW_US) for seed in "ab")
    assert [one.steps[-1].name for one in (first, second)] == ["to-rgb", "crop-rgb"]
    assert [one.verdict.decision for one in (first, second)] == ["accept", "accept"]
    assert [line.text for line in second.lines] == ["LOT L2611A", "EXP 2029-04-30"]
    assert second.text_ms < first.text_ms
    payload = inference_payload(second, inspector.text, NOW_US)
    assert dict(kinds.by_name("inference").prepare(payload, CONTEXT).fields)["decision"] == "accept"
    for printed in ("L2612B", "L2611AX"):  # the second one is longer than the place
        wrong = fresh.inspect(drawn("c", lot=printed), NOW_US)
        assert [reason.name for reason in wrong.verdict.reasons] == ["lot-mismatch"]
        assert wrong.steps[-1].name == "to-rgb"  # rejected on a full reading only
    turned_over = fresh.inspect(turned(drawn("d"), 180), NOW_US)
    assert (turned_over.verdict.decision, turned_over.steps[-1].name) == ("accept", "crop-rgb")
