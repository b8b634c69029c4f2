"""The kind `inference`: what a model judged, bound to the model, the preprocessing and the input it judged.

Trust boundary: takes untrusted bytes. Digests bind the judgement to exact bytes; whether the model really
ran on them is what an auditor checks by running it again.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from crypto.cbor import CborValue
from gateway.preprocess.kind import FLAGS, Context, Prepared, Subject, excursion, named_subject
from gateway.preprocess.moment import Moment, to_us
from gateway.preprocess.production import Label, Sha256
from gateway.preprocess.schema import struct_schema
from gateway.preprocess.strictjson import decode_strict

Text = Annotated[str, Meta(max_length=1_024)]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Milliseconds = Annotated[float, Meta(ge=0, le=86_400_000)]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of all parts: a field that the schema does not name is refused."""


class Model(_Strict, frozen=True):
    """Which model: its file's digest says it exactly, name and version for people."""

    name: Label
    version: Label
    digest: Sha256


class Step(_Strict, frozen=True):
    """One preprocessing step; digest is that of the bytes which came out of it."""

    step: Label
    digest: Sha256
    params: Annotated[dict[Label, bool | Whole | float | Text | None], Meta(max_length=32)] = {}


class Input(_Strict, frozen=True):
    """What went in: the digest of the exact bytes."""

    digest: Sha256


class Box(_Strict, frozen=True):
    """One detection, in pixels of the preprocessed image."""

    label: Label
    x: float
    y: float
    width: Annotated[float, Meta(ge=0)]
    height: Annotated[float, Meta(ge=0)]
    score: float | None = None


class Output(_Strict, frozen=True):
    """What came out: a label, scores by label, boxes; each may be absent."""

    label: Text | None = None
    scores: Annotated[dict[Label, float], Meta(max_length=256)] = {}
    boxes: Annotated[list[Box], Meta(max_length=256)] = []


class Feature(_Strict, frozen=True):
    """How much one feature contributed, with its sign."""

    feature: Label
    contribution: float


class Override(_Strict, frozen=True):
    """A person decided otherwise."""

    who: Label
    decision: Label
    reason: Text
    time: Moment


class InferencePayload(_Strict, frozen=True):
    """The payload as sent."""

    model: Model
    input: Input
    output: Output
    decision: Label
    preprocessing: Annotated[list[Step], Meta(max_length=32)] = []
    score: float | None = None
    threshold: float | None = None
    latency_ms: Milliseconds | None = None
    attribution: Annotated[list[Feature], Meta(max_length=64)] = []
    human_override: Override | None = None
    time: Moment | None = None
    subject: Subject | None = None


_DECODER = msgspec.json.Decoder(InferencePayload)


class Inference:
    """Inference receipts. Fifteen fields, each its own commitment, and a sixteenth where a person is named."""

    name = "inference"
    code = 3
    version = 1

    def prepare(self, payload: bytes, context: Context) -> Prepared:
        """See Kind.prepare. Limits apply to the series `score`, unit "/"."""
        sent = decode_strict(_DECODER, payload)
        time_us = None if sent.time is None else to_us(sent.time)
        bits = 0 if sent.score is None else excursion("score", sent.score, "/", context)
        sensed_us = context.sensed_us if time_us is None else time_us
        return Prepared(_fields(sent, time_us), FLAGS[bits], sensed_us, _index(sent), sent.subject or "")

    def json_schema(self) -> dict[str, Any]:
        """See Kind.json_schema."""
        return struct_schema(InferencePayload, self.name, self.version, "One judgement of one model")


def _fields(sent: InferencePayload, time_us: int | None) -> tuple[tuple[str, CborValue], ...]:
    return (
        ("model_digest", sent.model.digest),
        ("model_name", sent.model.name),
        ("model_version", sent.model.version),
        ("preprocessing", [[s.step, s.digest, dict(s.params)] for s in sent.preprocessing]),
        ("input_digest", sent.input.digest),
        ("label", sent.output.label),
        ("scores", dict(sent.output.scores)),
        ("boxes", [[b.label, b.x, b.y, b.width, b.height, b.score] for b in sent.output.boxes]),
        ("score", sent.score),
        ("threshold", sent.threshold),
        ("decision", sent.decision),
        ("latency_ms", sent.latency_ms),
        ("attribution", [[f.feature, f.contribution] for f in sent.attribution]),
        ("human_override", _override(sent.human_override)),
        ("time_us", time_us),
        *named_subject(sent.subject),
    )


def _override(override: Override | None) -> CborValue:
    if override is None:
        return None
    return [override.who, override.decision, override.reason, to_us(override.time)]


def _index(sent: InferencePayload) -> tuple[tuple[str, str], ...]:
    return (
        ("model", sent.model.name),
        ("model", sent.model.digest),
        ("input", sent.input.digest),
        ("decision", sent.decision),
    )
