"""Key encapsulation against vectors that others wrote, and against bad keys and ciphertexts."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import DecryptionError, KeyMaterialError
from crypto.kem import CIPHERTEXT_BYTES, PUBLIC_BYTES, KemPrivateKey, KemPublicKey, KemSuite, kem_suite_named

Vectors = Callable[[str], Path]
SUITES = pytest.mark.parametrize("suite", KemSuite)
HPKE_IDS = {
    0x0041: KemSuite.ML_KEM_768, 0x0042: KemSuite.ML_KEM_1024,
    0x0051: KemSuite.ML_KEM_1024_P384, 0x647A: KemSuite.X_WING,
}  # fmt: skip


def _published(vectors: Vectors) -> Iterator[tuple[KemSuite, dict[str, Any]]]:
    for vector in json.loads((vectors("hpke") / "hpke-pq.json").read_text()):
        if suite := HPKE_IDS.get(vector["kem_id"]):
            yield suite, vector


def test_published_keys_and_secrets(vectors: Vectors) -> None:
    seen = set()
    for suite, vector in _published(vectors):
        key = KemPrivateKey(suite, bytes.fromhex(vector["skRm"]))
        assert key.public.raw.hex() == vector["pkRm"]
        assert key.decapsulate(bytes.fromhex(vector["enc"])).hex() == vector["shared_secret"]
        seen.add(suite)
    assert seen == set(KemSuite)


@SUITES
def test_both_ends_have_one_secret(suite: KemSuite) -> None:
    key = KemPrivateKey.generate(suite)
    ciphertext, secret = key.public.encapsulate()
    assert len(ciphertext) == CIPHERTEXT_BYTES[suite]
    assert len(key.public.raw) == PUBLIC_BYTES[suite]
    assert key.decapsulate(ciphertext) == secret
    assert KemPrivateKey(suite, key.seed).decapsulate(ciphertext) == secret
    assert key.public.encapsulate()[1] != secret


@SUITES
def test_an_altered_ciphertext_never_gives_the_secret(suite: KemSuite) -> None:
    key = KemPrivateKey.generate(suite)
    ciphertext, secret = key.public.encapsulate()
    for place in (*range(0, len(ciphertext), 97), len(ciphertext) - 1):
        altered = bytearray(ciphertext)
        altered[place] ^= 1
        try:
            assert key.decapsulate(bytes(altered)) != secret
        except DecryptionError:
            assert suite is KemSuite.ML_KEM_1024_P384  # a point that is not on the curve


@SUITES
@pytest.mark.parametrize("difference", [-1, 1])
def test_wrong_lengths_are_refused(suite: KemSuite, difference: int) -> None:
    key = KemPrivateKey.generate(suite)
    with pytest.raises(KeyMaterialError, match=f"{suite} public keys are {PUBLIC_BYTES[suite]} bytes"):
        KemPublicKey(suite, bytes(PUBLIC_BYTES[suite] + difference))
    with pytest.raises(DecryptionError, match=f"{suite} ciphertexts are {CIPHERTEXT_BYTES[suite]} bytes"):
        key.decapsulate(bytes(CIPHERTEXT_BYTES[suite] + difference))
    with pytest.raises(KeyMaterialError, match="private keys are seeds"):
        KemPrivateKey(suite, bytes(len(key.seed) + difference))


@SUITES
def test_coefficients_beyond_the_modulus_are_refused(suite: KemSuite) -> None:
    raw = bytearray(KemPrivateKey.generate(suite).public.raw)
    raw[0], raw[1] = 0xFF, raw[1] | 0x0F  # the first coefficient is 4095, the modulus 3329
    with pytest.raises(KeyMaterialError, match=f"not a valid {suite} public key"):
        KemPublicKey(suite, bytes(raw))


@pytest.mark.parametrize("point", [bytes(97), b"\x02" + bytes(96), b"\x04" + b"\x01" * 96])
def test_a_point_off_the_curve_is_refused(point: bytes) -> None:
    key = KemPrivateKey.generate(KemSuite.ML_KEM_1024_P384)
    with pytest.raises(KeyMaterialError, match="not a valid"):
        KemPublicKey(key.suite, key.public.raw[:-97] + point)
    ciphertext, _ = key.public.encapsulate()
    with pytest.raises(DecryptionError, match="not a ml-kem-1024-p384 ciphertext"):
        key.decapsulate(ciphertext[:-97] + point)


def test_a_point_of_small_order_leaves_the_other_half() -> None:
    key = KemPrivateKey.generate(KemSuite.X_WING)
    ciphertext, secret = key.public.encapsulate()
    assert key.decapsulate(ciphertext[:-32] + bytes(32)) != secret
    other = KemPublicKey(KemSuite.X_WING, key.public.raw[:-32] + bytes(32))
    assert other.encapsulate()[1] != other.encapsulate()[1]


def test_names() -> None:
    assert kem_suite_named("x-wing") is KemSuite.X_WING
    with pytest.raises(KeyMaterialError, match="expected one of x-wing, ml-kem-768"):
        kem_suite_named("kyber")
