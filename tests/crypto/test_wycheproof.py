"""Wycheproof over what sealing and sessions stand on: ML-KEM-768 by both providers, X25519, HKDF, ChaCha20-Poly1305.

Signatures are in test_keys.py. Every case of every file runs, none is set aside.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto import kem
from crypto.errors import DecryptionError, KeyMaterialError
from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite
from crypto.providers import VARIABLE, Provider

Vectors = Callable[[str], Path]


def _cases(vectors: Vectors, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    found = json.loads((vectors("wycheproof") / name).read_text())
    for group in found["testGroups"]:
        for case in group["tests"]:
            yield f"{name} {case['tcId']} {case.get('comment', '')}", case


def _bytes(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


@pytest.mark.parametrize("provider", Provider)
def test_ml_kem_768(vectors: Vectors, monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    monkeypatch.setenv(VARIABLE, provider)
    kem._load_public.cache_clear()  # what the other provider parsed
    opened = refused = 0
    for what, case in _cases(vectors, "mlkem_768_test.json"):
        seed, ciphertext, secret = _bytes(case, "seed", "c", "K")
        try:
            key = KemPrivateKey(KemSuite.ML_KEM_768, seed)
            assert key.public == KemPublicKey(KemSuite.ML_KEM_768, bytes.fromhex(case["ek"])), what
            assert key.decapsulate(ciphertext) == secret, what
        except (KeyMaterialError, DecryptionError):
            refused += 1
            assert case["result"] == "invalid", what
        else:
            opened += 1
            assert case["result"] == "valid", what
    kem._load_public.cache_clear()
    assert (opened, refused) == (153, 40)


def test_x25519_as_the_hybrid_uses_it(vectors: Vectors) -> None:
    """Points of small order give zeros, as X-Wing demands; its combiner binds ciphertext and key."""
    count = 0
    for what, case in _cases(vectors, "x25519_test.json"):
        public, private, shared = _bytes(case, "public", "private", "shared")
        key = X25519PrivateKey.from_private_bytes(private)
        assert kem._exchange(KemSuite.X_WING, key, public) == shared, what
        count += 1
    assert count == 518


def test_hkdf_sha256(vectors: Vectors) -> None:
    count = 0
    for what, case in _cases(vectors, "hkdf_sha256_test.json"):
        secret, salt, info, output = _bytes(case, "ikm", "salt", "info", "okm")
        try:
            derived = HKDF(SHA256(), case["size"], salt, info).derive(secret)
        except ValueError:
            assert case["result"] == "invalid", what
        else:
            assert (derived == output) is (case["result"] == "valid"), what
        count += 1
    assert count == 86


def test_chacha20_poly1305(vectors: Vectors) -> None:
    count = 0
    for what, case in _cases(vectors, "chacha20_poly1305_test.json"):
        key, nonce, data, message, sealed, tag = _bytes(case, "key", "iv", "aad", "msg", "ct", "tag")
        try:
            opened = ChaCha20Poly1305(key).decrypt(nonce, sealed + tag, data)
        except (InvalidTag, ValueError):
            assert case["result"] == "invalid", what
        else:
            assert (opened, case["result"]) == (message, "valid"), what
            assert ChaCha20Poly1305(key).encrypt(nonce, message, data) == sealed + tag, what
        count += 1
    assert count == 325
