"""Signature keys: others' vectors, contexts that keep purposes apart, and keys that are refused."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x25519
from hypothesis import given
from hypothesis import strategies as st

from crypto import labels
from crypto.errors import KeyMaterialError, SealtrailError, SignatureError
from crypto.keys import COMPOSITES, PUBLIC_BYTES, SIGNATURE_BYTES, Algorithm, PrivateKey, PublicKey, algorithm_named

Vectors = Callable[[str], Path]
QUICK = [algorithm for algorithm in Algorithm if algorithm is not Algorithm.SLH_DSA_SHA2_128S]  # it signs in 0.3 s
KEYS = {algorithm: PrivateKey.generate(algorithm) for algorithm in Algorithm}
ALGORITHMS = pytest.mark.parametrize("algorithm", Algorithm)


def _cases(vectors: Vectors, name: str) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """(what it is, public key, test case) of a Wycheproof file."""
    found = json.loads((vectors("wycheproof") / name).read_text())
    for group in found["testGroups"]:
        public = group["publicKey"] if isinstance(group["publicKey"], str) else group["publicKey"]["pk"]
        for case in group["tests"]:
            yield f"{name} {case['tcId']} {case['comment']}", bytes.fromhex(public), case


def _accepted(algorithm: Algorithm, public: bytes, case: dict[str, Any]) -> bool:
    """Whether a case verifies; it may be refused by our errors only. A case without a context, or with an empty
    one, goes through `verify_raw`, which is that function; one with a context through `verify`."""
    message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
    context = bytes.fromhex(case.get("ctx", ""))
    try:
        key = PublicKey(algorithm, public)
        if context:
            key.verify(signature, message, context)
        else:
            key.verify_raw(signature, message)
    except (SignatureError, KeyMaterialError):
        return False
    return True


@pytest.mark.parametrize(
    ("algorithm", "name", "total"),
    [
        (Algorithm.ED25519, "ed25519_test.json", 151),
        (Algorithm.ML_DSA_44, "mldsa_44_verify_test.json", 180),
        (Algorithm.ML_DSA_65, "mldsa_65_verify_test.json", 210),
    ],
)
def test_wycheproof(vectors: Vectors, algorithm: Algorithm, name: str, total: int) -> None:
    """Every case, none set aside. The contexts of 256 bytes must be refused, which the vectors demand; none of the
    shorter ones holds a zero byte, which Sealtrail alone refuses."""
    count = 0
    for what, public, case in _cases(vectors, name):
        assert _accepted(algorithm, public, case) is (case["result"] == "valid"), what
        count += 1
    assert count == total


@given(st.sampled_from(QUICK), st.binary(max_size=200))
def test_a_signature_verifies_under_its_own_context_only(algorithm: Algorithm, message: bytes) -> None:
    key = KEYS[algorithm]
    signature = key.sign(message, labels.SEAL)
    key.public.verify(signature, message, labels.SEAL)
    for context in (labels.ENROL, labels.GATEWAY_RECEIPT, labels.LEDGER_TRANSACTION, labels.KEY_ROTATION):
        with pytest.raises(SignatureError):
            key.public.verify(signature, message, context)
    with pytest.raises(SignatureError):
        key.public.verify_raw(signature, message)
    with pytest.raises(SignatureError):
        key.public.verify(signature, message + b"\x00", labels.SEAL)


@ALGORITHMS
def test_a_raw_signature_is_none_with_a_context(algorithm: Algorithm) -> None:
    key = KEYS[algorithm]
    with pytest.raises(SignatureError):
        key.public.verify(key.sign_raw(b"message"), b"message", labels.SEAL)


def test_a_note_key_of_ed25519_could_sign_for_another_purpose() -> None:
    """Why keys that sign notes sign nothing else: Ed25519 has no context of its own, the label is in the message."""
    key = KEYS[Algorithm.ED25519]
    key.public.verify(key.sign_raw(labels.SEAL + b"\x00message"), b"message", labels.SEAL)


def test_no_label_is_the_beginning_of_another() -> None:
    found = [value for name, value in vars(labels).items() if name.isupper()]
    texts = [value if isinstance(value, bytes) else value.encode() for value in found]
    assert len(texts) > 10
    for text in texts:
        assert 1 <= len(text) <= 255
        assert b"\x00" not in text
        assert [other for other in texts if other.startswith(text)] == [text]


@ALGORITHMS
@pytest.mark.parametrize(
    "context", [b"", b"a\x00b", b"\x00", bytes(256), b"x" * 256], ids=lambda c: f"{c[:3]!r}{len(c)}"
)
def test_contexts_that_must_not_be(algorithm: Algorithm, context: bytes) -> None:
    key = KEYS[algorithm]
    with pytest.raises(KeyMaterialError, match="signature context"):
        key.sign(b"message", context)
    with pytest.raises(KeyMaterialError, match="signature context"):
        key.public.verify(bytes(SIGNATURE_BYTES[algorithm]), b"message", context)


@ALGORITHMS
def test_lengths_are_checked_first(algorithm: Algorithm) -> None:
    key = KEYS[algorithm]
    signature = key.sign(b"message", labels.SEAL)
    for wrong in (b"", signature[:-1], signature + b"\x00", signature * 2):
        with pytest.raises(SignatureError, match=f"signatures are {SIGNATURE_BYTES[algorithm]} bytes"):
            key.public.verify(wrong, b"message", labels.SEAL)
    for length in (0, PUBLIC_BYTES[algorithm] - 1, PUBLIC_BYTES[algorithm] + 1):
        with pytest.raises(KeyMaterialError, match=f"public keys are {PUBLIC_BYTES[algorithm]} bytes"):
            PublicKey(algorithm, bytes(length))


@ALGORITHMS
def test_the_algorithm_is_the_keys_and_not_the_signatures(algorithm: Algorithm) -> None:
    signature = KEYS[algorithm].sign(b"message", labels.SEAL)
    for other in set(Algorithm) - {algorithm}:
        with pytest.raises(SignatureError):
            KEYS[other].public.verify(signature, b"message", labels.SEAL)


@given(st.sampled_from(QUICK), st.data())
def test_an_altered_signature_is_refused(algorithm: Algorithm, data: st.DataObject) -> None:
    key, signature = KEYS[algorithm], bytearray(KEYS[algorithm].sign(b"message", labels.SEAL))
    signature[data.draw(st.integers(0, len(signature) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SignatureError):
        key.public.verify(bytes(signature), b"message", labels.SEAL)


SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # p, another encoding of 0
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # p + 1, another encoding of 1
]


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_points_of_small_order_are_no_keys(encoded: str, sign_bit: int) -> None:
    """The attack: under such a key this one signature (R = A's encoding of the identity, s = 0) verifies for a
    large part of all messages, so anybody could prove possession of the key."""
    raw = bytearray(bytes.fromhex(encoded))
    raw[31] |= sign_bit
    with pytest.raises(KeyMaterialError, match="small order"):
        PublicKey(Algorithm.ED25519, bytes(raw))


def test_the_attack_with_a_point_of_small_order_is_real() -> None:
    identity = bytes.fromhex(SMALL_ORDER[1])
    unguarded = ed25519.Ed25519PublicKey.from_public_bytes(identity)
    unguarded.verify(identity + bytes(32), b"anything at all")


@ALGORITHMS
def test_a_key_survives_its_file_form(algorithm: Algorithm) -> None:
    key = KEYS[algorithm]
    again = PrivateKey.from_pem(key.to_pem())
    assert again.public == key.public
    assert again.public.kid == key.public.kid
    key.public.verify(again.sign(b"message", labels.SEAL), b"message", labels.SEAL)


def _pem(key: Any, *, password: bytes | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    return pem


UNKNOWN_OID = (
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDKwEBBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    b"-----END PRIVATE KEY-----\n"
)
NO_KEYS = {
    "nothing": b"",
    "text": b"not a key",
    "certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "cut off": KEYS[Algorithm.ED25519].to_pem()[:60],
    "encrypted": _pem(ed25519.Ed25519PrivateKey.generate(), password=b"secret"),
    "another curve": _pem(ed448.Ed448PrivateKey.generate()),
    "a key that cannot sign": _pem(x25519.X25519PrivateKey.generate()),
    "an ECDSA key": _pem(ec.generate_private_key(ec.SECP256R1())),
    "an unknown algorithm": UNKNOWN_OID,
}


@pytest.mark.parametrize("pem", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_files_that_hold_no_key_of_ours(pem: bytes) -> None:
    with pytest.raises(KeyMaterialError, match="expected"):
        PrivateKey.from_pem(pem)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_private_key(data: bytes) -> None:
    with pytest.raises(KeyMaterialError):
        PrivateKey.from_pem(data)


@given(st.sampled_from(QUICK), st.data())
def test_arbitrary_public_keys_raise_only_our_errors(algorithm: Algorithm, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=PUBLIC_BYTES[algorithm], max_size=PUBLIC_BYTES[algorithm]))
    with pytest.raises(SealtrailError):
        PublicKey(algorithm, raw).verify(bytes(SIGNATURE_BYTES[algorithm]), b"message", labels.SEAL)


def test_algorithms_have_names() -> None:
    for name in (
        "ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87", "ml-dsa-44-ed25519", "ml-dsa-65-ed25519", "slh-dsa-sha2-128s"
    ):  # fmt: skip
        assert str(algorithm_named(name)) == name
    for name in ("", "Ed25519", "ml-dsa-88", "none"):
        with pytest.raises(KeyMaterialError, match="expected one of ed25519, ml-dsa-44, ml-dsa-65"):
            algorithm_named(name)


PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors" / "composite.json").read_text())
PUBLISHED_NAMES = {
    "id-ML-DSA-87": Algorithm.ML_DSA_87, "id-MLDSA44-Ed25519-SHA512": Algorithm.ML_DSA_44_ED25519,
    "id-MLDSA65-Ed25519-SHA512": Algorithm.ML_DSA_65_ED25519,
}  # fmt: skip


@pytest.mark.parametrize("vector", PUBLISHED["tests"], ids=lambda v: v["tcId"])
def test_published_keys_and_signatures(vector: dict[str, str]) -> None:
    public, secret, bare, bound = (base64.b64decode(vector[name]) for name in ("pk", "sk", "s", "sWithContext"))
    message, context = base64.b64decode(PUBLISHED["m"]), base64.b64decode(PUBLISHED["ctx"])
    key = PrivateKey(PUBLISHED_NAMES[vector["tcId"]], secret)
    assert key.public.raw == public
    key.public.verify_raw(bare, message)
    key.public.verify(bound, message, context)
    for signature, wrong in ((bare, context), (bound, context + b"x")):
        with pytest.raises(SignatureError):
            key.public.verify(signature, message, wrong)


@pytest.mark.parametrize("algorithm", sorted(COMPOSITES))
def test_a_composite_holds_only_if_both_halves_do(algorithm: Algorithm) -> None:
    """Whoever broke one of the two schemes has its key, and signs the other half with a key of his own."""
    key, stranger = PrivateKey.generate(algorithm), PrivateKey.generate(algorithm)
    lattice_broken = PrivateKey(algorithm, key.secret[:32] + stranger.secret[32:])
    classic_broken = PrivateKey(algorithm, stranger.secret[:32] + key.secret[32:])
    true = key.sign(b"message", labels.SEAL)
    key.public.verify(true, b"message", labels.SEAL)
    for forger in (lattice_broken, classic_broken):
        with pytest.raises(SignatureError):
            key.public.verify(forger.sign(b"message", labels.SEAL), b"message", labels.SEAL)
    other = key.sign(b"other", labels.SEAL)
    for mixed in (true[:-64] + other[-64:], other[:-64] + true[-64:]):
        with pytest.raises(SignatureError):
            key.public.verify(mixed, b"message", labels.SEAL)
    alone = PublicKey(Algorithm.ED25519, key.public.raw[-32:])
    for message in (b"message", b"other"):
        with pytest.raises(SignatureError):
            alone.verify(true[-64:], message, labels.SEAL)
