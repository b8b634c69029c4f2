"""The two providers against each other, and what one of them does not have."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature

from crypto import labels
from crypto.errors import KeyMaterialError
from crypto.kem import KemPrivateKey, KemSuite
from crypto.keys import Algorithm, PrivateKey, PublicKey
from crypto.providers import VARIABLE, Classes, Provider, chosen, classes
from tests.torture.scale import scaled

HOME = Path(__file__).parents[2]
KEMS = ("ml-kem-768", "ml-kem-1024")
SIGNATURES = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
CASES = scaled(200, 10_000)
USES = 10  # cases of one key: expanding a seed costs the most


def _both(scheme: str) -> list[Classes]:
    return [classes(scheme, provider) for provider in Provider]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    altered = bytearray(data)
    altered[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(altered)


@pytest.mark.parametrize("scheme", KEMS)
@pytest.mark.timeout(3600)
def test_secrets_of_one_are_those_of_the_other(scheme: str) -> None:
    """Also the secret that stands for an altered ciphertext: FIPS 203 says which one it is."""
    chance = random.Random(number := random.SystemRandom().getrandbits(64))
    print(f"chance {number}")
    for _ in range(CASES // len(KEMS + SIGNATURES) // USES):
        seed = chance.randbytes(64)
        keys = [one.private.from_seed_bytes(seed) for one in _both(scheme)]
        raw = {key.public_key().public_bytes_raw() for key in keys}
        assert len(raw) == 1
        public = [one.public.from_public_bytes(*raw) for one in _both(scheme)]
        for use in range(USES):
            secret, ciphertext = public[use % 2].encapsulate()
            assert [key.decapsulate(ciphertext) for key in keys] == [secret] * 2
            altered = _flipped(ciphertext, chance)
            rejected = {key.decapsulate(altered) for key in keys}
            assert len(rejected) == 1
            assert secret not in rejected


def _out_of_range(raw: bytes, place: int, value: int) -> bytes:
    """An encapsulation key with `value` as the coefficient at `place`: little-endian in twelve bits."""
    whole = int.from_bytes(raw[:-32], "little") & ~(0xFFF << 12 * place) | value << 12 * place
    return whole.to_bytes(len(raw) - 32, "little") + raw[-32:]


@pytest.mark.parametrize("scheme", KEMS)
def test_both_refuse_keys_out_of_range(scheme: str) -> None:
    """FIPS 203 section 7.2, in every place: a coefficient is at most 3328."""
    raw = classes(scheme).private.from_seed_bytes(bytes(64)).public_key().public_bytes_raw()
    places = (len(raw) - 32) * 8 // 12
    for place in range(places):
        for number, one in enumerate(_both(scheme)):
            value = (3329, 4095)[(place + number) % 2]
            with pytest.raises(ValueError, match=r"(?i)invalid|key"):
                one.public.from_public_bytes(_out_of_range(raw, place, value))
    for one in _both(scheme):
        one.public.from_public_bytes(_out_of_range(raw, 5, 3328))
        for wrong in (raw[:-1], raw + bytes(1), b""):
            with pytest.raises(ValueError, match=r"(?i)invalid|expected|bytes"):
                one.public.from_public_bytes(wrong)


@pytest.mark.parametrize("scheme", SIGNATURES)
@pytest.mark.timeout(3600)
def test_signatures_of_one_hold_with_the_other(scheme: str) -> None:
    chance = random.Random(number := random.SystemRandom().getrandbits(64))
    print(f"chance {number}")
    for _ in range(CASES // len(KEMS + SIGNATURES) // USES):
        seed = chance.randbytes(32)
        keys = [one.private.from_seed_bytes(seed) for one in _both(scheme)]
        raw = {key.public_key().public_bytes_raw() for key in keys}
        assert len(raw) == 1
        public = [one.public.from_public_bytes(*raw) for one in _both(scheme)]
        for use in range(USES):
            message, context = chance.randbytes(chance.randrange(400)), chance.randbytes(chance.randrange(1, 254))
            signature = keys[use % 2].sign(message, context)
            altered = _flipped(signature, chance)
            for key in public:
                key.verify(signature, message, context)
                for wrong in ((altered, message, context), (signature, message + b"\0", context),
                              (signature, message, context[:-1] or None)):  # fmt: skip
                    with pytest.raises(InvalidSignature):
                        key.verify(*wrong)


@pytest.mark.parametrize("suite", [Algorithm.ML_DSA_44, Algorithm.ML_DSA_65_ED25519, Algorithm.ML_DSA_87])
def test_a_key_is_the_same_with_both(monkeypatch: pytest.MonkeyPatch, suite: Algorithm) -> None:
    """As the program uses it: a process under each provider takes the other's key and signature."""
    default = PrivateKey.generate(suite)
    signed = default.sign(b"message", labels.SEAL)
    monkeypatch.setenv(VARIABLE, "pqcrypto")
    other = PrivateKey(suite, default.secret)
    assert other.public == default.public
    PublicKey(suite, default.public.raw).verify(signed, b"message", labels.SEAL)
    theirs = other.sign(b"message", labels.SEAL)
    monkeypatch.delenv(VARIABLE)
    default.public.verify(theirs, b"message", labels.SEAL)


@pytest.mark.parametrize("suite", KemSuite)
def test_a_sealing_key_is_the_same_with_both(monkeypatch: pytest.MonkeyPatch, suite: KemSuite) -> None:
    default = KemPrivateKey.generate(suite)
    ciphertext, secret = default.public.encapsulate()
    monkeypatch.setenv(VARIABLE, "pqcrypto")
    other = KemPrivateKey(suite, default.seed)
    assert other.public.raw == default.public.raw
    assert other.decapsulate(ciphertext) == secret
    with pytest.raises(KeyMaterialError, match="HPKE is not in the provider pqcrypto; unset SEALTRAIL_PROVIDER"):
        other.hpke_key()


def test_a_context_that_only_one_takes() -> None:
    """A signature that is good is not called false by a library that cannot take its context."""
    one, other = (part.private.from_seed_bytes(bytes(32)) for part in _both("ml-dsa-44"))
    signature = one.sign(b"message", b"x" * 255)
    for refused in (lambda: other.sign(b"", b"x" * 254), lambda: other.public_key().verify(signature, b"", b"x" * 255)):
        with pytest.raises(KeyMaterialError, match="at most 253 bytes in the provider pqcrypto"):
            refused()


def test_a_scheme_that_a_provider_does_not_have() -> None:
    for provider in Provider:
        with pytest.raises(KeyMaterialError, match=f"hqc-128 is not in the provider {provider}, which has ml-kem-768"):
            classes("hqc-128", provider)


def test_a_provider_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "liboqs")
    with pytest.raises(KeyMaterialError, match="is one of cryptography, pqcrypto, got 'liboqs'"):
        PrivateKey.generate(Algorithm.ML_DSA_44)
    monkeypatch.setenv(VARIABLE, "")
    assert chosen() is Provider.CRYPTOGRAPHY


ABSENT = """
import sys
sys.modules["pqcrypto"] = None
from crypto.errors import KeyMaterialError
from crypto.keys import Algorithm, PrivateKey
PrivateKey.generate(Algorithm.{})
"""


@pytest.mark.parametrize(
    ("algorithm", "environment", "said"),
    [
        (
            "SLH_DSA_SHA2_128S",
            {},
            "slh-dsa-sha2-128s is not in the provider cryptography; the provider pqcrypto is",
        ),
        ("ML_DSA_65", {VARIABLE: "pqcrypto"}, "the provider pqcrypto is not installed"),
        ("ML_DSA_65", {}, None),
    ],
)
def test_a_provider_that_is_not_installed(algorithm: str, environment: dict[str, str], said: str | None) -> None:
    command = [sys.executable, "-c", ABSENT.format(algorithm)]
    done = subprocess.run(
        command, cwd=HOME, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    if said is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert said in done.stderr
        assert "pip install 'sealtrail[pqcrypto]'" in done.stderr
