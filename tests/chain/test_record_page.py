"""The worked example of docs/formats/record.md is what the code produces, byte for byte."""

import json
import re
from pathlib import Path

from chain.erasure import Erasure, open_erasure
from chain.event import Event, content_hash
from chain.record import SEAL_KIND, Authentication, Record, RecordFlag
from chain.seal import Seal
from crypto import cbor, labels
from crypto.commitments import commit, fields_root, salt_for
from crypto.merkle import leaf_hash
from gateway.preprocess import kinds
from gateway.preprocess.kind import Context

FORMATS = Path(__file__).resolve().parents[2] / "docs" / "formats"
SEED = bytes(range(0x40, 0x60))


def _shown() -> dict[str, bytes]:
    """Every block of the page, by the comment before it."""
    blocks = re.findall(r"<!-- ([a-z ]+) -->\n```\n([0-9a-f\n]+)```", (FORMATS / "record.md").read_text())
    return {name: bytes.fromhex(body) for name, body in blocks}


def test_the_worked_example() -> None:
    vectors = json.loads((FORMATS / "vectors" / "device.json").read_text())
    raw, sealed = (bytes.fromhex(vectors[what][0]["encoded"]) for what in ("events", "seals"))
    event, seal = Event.decode(raw), Seal.decode(sealed)
    received = event.sensed_us + 500_000
    prepared = kinds.by_code(event.kind).prepare(event.payload, Context(event.sensed_us, received, ()))
    ((path, value),) = prepared.fields
    salt, place = salt_for(SEED, event.id, path), [event.source, event.boot, event.seq, path]
    record = Record(
        event.kind, event.source, event.boot, event.seq, prepared.sensed_us, received, received + 20_000,
        Authentication.SESSION, RecordFlag.NONE, content_hash(raw), fields_root(SEED, event.id, prepared.fields),
    ).encode()  # fmt: skip
    signed = seal.signed_us
    seal_record = Record(
        SEAL_KIND, seal.source, seal.boot, seal.first, signed, signed + 300_000, signed + 310_000,
        Authentication.SIGNED, RecordFlag.NONE, content_hash(sealed), b"", seal.count,
    ).encode()  # fmt: skip
    asked = received + 20_000 + 60_000_000
    erasure = Erasure(bytes(range(0x60, 0x80)), asked, "operator", "a request", ((0, 1),))
    assert open_erasure(erasure.encode(), erasure.record(0, asked + 10_000), 1) == erasure
    assert _shown() == {
        "value": cbor.encode(value),
        "salt message": cbor.encode([labels.SALT, *place]),
        "salt": salt,
        "commitment message": cbor.encode([labels.COMMITMENT, *place, value]),
        "commitment": commit(salt, event.id, path, value),
        "record": record,
        "leaf hash": leaf_hash(record),
        "seal record": seal_record,
        "statement": erasure.encode(),
        "erasure record": erasure.record(0, asked + 10_000).encode(),
    }
