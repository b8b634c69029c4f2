"""The wire format, byte for byte: docs/formats/vectors/device.json and the worked example of device.md.

SEALTRAIL_WRITE_VECTORS=1 writes both from the fixed keys and values below; without it they are compared.
ML-DSA signatures are randomised: those in the file are verified, not made again.
"""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from chain.acknowledgement import Acknowledgement, StoredRange, open_acknowledgement
from chain.event import Event, Message, SignedSeal, content_hash
from chain.handover import hand_over
from chain.seal import FIRST_PREVIOUS, Seal, seal_hash, sign_seal, verify_range, verify_seal
from crypto import cbor, labels
from crypto.errors import SignatureError
from crypto.keys import Algorithm, PrivateKey, PublicKey, algorithm_named
from crypto.merkle import root_of
from gateway.device.enrolment import enrolment_request

DOCS = Path(__file__).resolve().parents[3] / "docs" / "formats"
VECTORS, PAGE = DOCS / "vectors" / "device.json", DOCS / "device.md"
WRITE = os.environ.get("SEALTRAIL_WRITE_VECTORS") == "1"
# PKCS#8 up to the 32-byte seed (RFC 8410 and RFC 9881).
PKCS8 = {
    Algorithm.ED25519: "302e020100300506032b657004220420",
    Algorithm.ML_DSA_44: "3034020100300b060960864801650304031104228020",
    Algorithm.ML_DSA_65: "3034020100300b060960864801650304031204228020",
}
DEVICE_SEED, GATEWAY_SEED, NEXT_SEED = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
SOURCE, ORIGIN, CODE = "fridge-7", "gateway.example/log", "mnbvc-xzlkj-hgfds-apoiu-ytrew-q"
T0 = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def key_of(algorithm: Algorithm, seed: bytes) -> PrivateKey:
    der = base64.b64encode(bytes.fromhex(PKCS8[algorithm]) + seed)
    return PrivateKey.from_pem(b"-----BEGIN PRIVATE KEY-----\n" + der + b"\n-----END PRIVATE KEY-----\n")


def event_of(boot: int, seq: int, value: str) -> Event:
    blind = bytes([boot, seq]) * 8
    payload = f'[{{"n":"t","u":"Cel","v":{value}}}]'.encode()
    return Event(SOURCE, boot, seq, 1, 1, T0 + 1_000_000 * (10 * boot + seq), blind, payload)


def sealed(events: list[Event], previous: bytes, key: PrivateKey) -> SignedSeal:
    first, root = events[0], root_of([content_hash(event.encode()) for event in events])
    signed_us = events[-1].sensed_us + 500_000
    seal = Seal(SOURCE, first.boot, first.seq, len(events), root, previous, signed_us, key.public.kid)
    return sign_seal(seal, key)


def key_vector(key: PrivateKey, seed: bytes) -> dict[str, Any]:
    public = key.public
    return {"algorithm": str(public.algorithm), "seed": seed.hex(), "public": public.raw.hex(), "kid": public.kid.hex()}


def event_vector(event: Event) -> dict[str, Any]:
    encoded = event.encode()
    return {
        "boot": event.boot, "seq": event.seq, "kind": event.kind, "schema": event.schema,
        "sensed_us": event.sensed_us, "blind": event.blind.hex(), "payload": event.payload.decode(),
        "encoded": encoded.hex(), "content_hash": content_hash(encoded).hex(),
    }  # fmt: skip


def seal_vector(signed: SignedSeal) -> dict[str, Any]:
    seal = Seal.decode(signed.seal)
    return {
        "boot": seal.boot, "first": seal.first, "count": seal.count, "root": seal.root.hex(),
        "previous": seal.previous.hex(), "signed_us": seal.signed_us, "encoded": signed.seal.hex(),
        "signature": signed.signature.hex(), "hash": seal_hash(signed.seal).hex(),
    }  # fmt: skip


def build() -> dict[str, Any]:
    """Everything that fixed inputs determine."""
    device, gateway = key_of(Algorithm.ED25519, DEVICE_SEED), key_of(Algorithm.ED25519, GATEWAY_SEED)
    events = [event_of(1, 0, "4.5"), event_of(1, 1, "4.75"), event_of(1, 2, "5.0"), event_of(2, 0, "4.25")]
    first = sealed(events[:3], FIRST_PREVIOUS, device)
    second = sealed(events[3:], seal_hash(first.seal), device)
    encoded = [event.encode() for event in events]
    hashes = [content_hash(data) for data in encoded]
    ranges = (StoredRange(1, 0, 3, root_of(hashes[:3])), StoredRange(2, 0, 1, root_of(hashes[3:])))
    acknowledgement = Acknowledgement(SOURCE, ORIGIN, 6, T0 + 30_000_000, seal_hash(second.seal), ranges)
    request = enrolment_request(CODE, SOURCE, ORIGIN, device)
    following = key_of(Algorithm.ED25519, NEXT_SEED)
    handover = hand_over(ORIGIN, gateway, following, 6)
    return {
        "source": SOURCE,
        "device_key": key_vector(device, DEVICE_SEED),
        "gateway_key": key_vector(gateway, GATEWAY_SEED),
        "events": [event_vector(event) for event in events],
        "seals": [seal_vector(first), seal_vector(second)],
        "message": Message(tuple(encoded), (first, second)).encode().hex(),
        "acknowledgement": {
            "origin": ORIGIN, "log_size": 6, "logged_us": T0 + 30_000_000, "sealed": seal_hash(second.seal).hex(),
            "ranges": [[r.boot, r.first, r.count, r.digest.hex()] for r in ranges],
            "encoded": acknowledgement.sign(gateway).hex(),
        },
        "enrolment": {
            "signed": cbor.encode([SOURCE, ORIGIN, request["algorithm"], device.public.raw]).hex(), "request": request,
        },
        "handover": {
            "new_key": key_vector(following, NEXT_SEED), "from_index": 6, "encoded": handover.encode().hex(),
        },
    }  # fmt: skip


def ml_dsa_vector(algorithm: Algorithm) -> dict[str, Any]:
    key = key_of(algorithm, DEVICE_SEED)
    return {"key": key_vector(key, DEVICE_SEED), "seal": seal_vector(sealed([event_of(1, 0, "4.5")], bytes(32), key))}


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    if WRITE:
        ml_dsa = [ml_dsa_vector(a) for a in (Algorithm.ML_DSA_44, Algorithm.ML_DSA_65)]
        VECTORS.write_text(json.dumps(build() | {"ml_dsa": ml_dsa}, indent=1) + "\n")
        PAGE.write_text(_page_with(json.loads(VECTORS.read_text())))
    content: dict[str, Any] = json.loads(VECTORS.read_text())
    return content


def _page_with(vectors: dict[str, Any]) -> str:
    def block(match: re.Match[str]) -> str:
        digits = str(_at(vectors, match[1]))
        lines = "\n".join(digits[i : i + 64] for i in range(0, len(digits), 64))
        return f"<!-- device.json: {match[1]} -->\n```\n{lines}\n```"

    return re.sub(r"<!-- device\.json: (\S+) -->\n```\n[^`]*```", block, PAGE.read_text())


def _at(vectors: Any, path: str) -> Any:
    for step in path.split("."):
        vectors = vectors[int(step)] if isinstance(vectors, list) else vectors[step]
    return vectors


def test_vectors_are_what_this_program_makes(vectors: dict[str, Any]) -> None:
    assert {key: value for key, value in vectors.items() if key != "ml_dsa"} == build()


def test_page_shows_the_vectors(vectors: dict[str, Any]) -> None:
    assert PAGE.read_text() == _page_with(vectors)
    assert PAGE.read_text().count("<!-- device.json: ") >= 8


def test_message_and_seals_of_the_vectors_verify(vectors: dict[str, Any]) -> None:
    key = PublicKey(algorithm_named(vectors["device_key"]["algorithm"]), _hex(vectors, "device_key.public"))
    message = Message.decode(_hex(vectors, "message"))
    hashes = [content_hash(data) for data in message.events]
    first, second = (verify_seal(signed, key) for signed in message.seals)
    verify_range(first, hashes[:3])
    verify_range(second, hashes[3:])
    assert first.previous == FIRST_PREVIOUS
    assert second.previous == seal_hash(message.seals[0].seal)
    assert [Event.decode(data).seq for data in message.events] == [0, 1, 2, 0]


def test_acknowledgement_and_enrolment_of_the_vectors_verify(vectors: dict[str, Any]) -> None:
    gateway = PublicKey(Algorithm.ED25519, _hex(vectors, "gateway_key.public"))
    device = PublicKey(Algorithm.ED25519, _hex(vectors, "device_key.public"))
    opened = open_acknowledgement(_hex(vectors, "acknowledgement.encoded"), gateway)
    assert opened.sealed == _hex(vectors, "seals.1.hash")
    with pytest.raises(SignatureError):
        open_acknowledgement(_hex(vectors, "acknowledgement.encoded"), device)
    proof = base64.b64decode(vectors["enrolment"]["request"]["proof"])
    device.verify(proof, _hex(vectors, "enrolment.signed"), labels.ENROL)


@pytest.mark.parametrize("index", [0, 1])
def test_ml_dsa_seals_of_the_vectors_verify(vectors: dict[str, Any], index: int) -> None:
    vector = vectors["ml_dsa"][index]
    algorithm = algorithm_named(vector["key"]["algorithm"])
    key = key_of(algorithm, bytes.fromhex(vector["key"]["seed"])).public
    assert vector["key"] == key_vector(key_of(algorithm, DEVICE_SEED), DEVICE_SEED)
    signed = SignedSeal(bytes.fromhex(vector["seal"]["encoded"]), bytes.fromhex(vector["seal"]["signature"]))
    verify_range(verify_seal(signed, key), [_hex(vectors, "events.0.content_hash")])
    with pytest.raises(SignatureError):
        verify_seal(SignedSeal(signed.seal, signed.signature[::-1]), key)


def _hex(vectors: dict[str, Any], path: str) -> bytes:
    return bytes.fromhex(_at(vectors, path))
