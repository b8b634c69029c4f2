"""Hybrid public key encryption against vectors that others wrote, and against what must not open."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from crypto import hpke
from crypto.errors import DecryptionError, KeyMaterialError
from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite
from tests.crypto.test_kem import HPKE_IDS

SUITES = pytest.mark.parametrize("suite", KemSuite)
KEMS = {0x41: KEM.MLKEM768, 0x42: KEM.MLKEM1024, 0x51: KEM.MLKEM1024_P384, 0x647A: KEM.MLKEM768_X25519}
KDFS = {1: KDF.HKDF_SHA256, 2: KDF.HKDF_SHA384, 0x11: KDF.SHAKE256}
AEADS = {1: AEAD.AES_128_GCM, 2: AEAD.AES_256_GCM, 3: AEAD.CHACHA20_POLY1305}


def test_published_messages_open_under_our_keys(vectors: Callable[[str], Path]) -> None:
    """They have additional data, which the library's public function does not take; its own one beneath does."""
    seen = set()
    for vector in json.loads((vectors("hpke") / "hpke-pq.json").read_text()):
        if vector["kem_id"] not in HPKE_IDS or vector["kdf_id"] not in KDFS:
            continue
        key = KemPrivateKey(HPKE_IDS[vector["kem_id"]], bytes.fromhex(vector["skRm"]))
        suite = Suite(KEMS[vector["kem_id"]], KDFS[vector["kdf_id"]], AEADS[vector["aead_id"]])
        first = vector["encryptions"][0]
        sealed, info, aad = (
            bytes.fromhex(part) for part in (vector["enc"] + first["ct"], vector["info"], first["aad"])
        )
        opened = openssl.hpke._decrypt_with_aad(suite, sealed, key.hpke_key(), info, aad)
        assert opened.hex() == first["pt"]
        seen.add(key.suite)
    assert seen == set(KemSuite)


@SUITES
def test_only_the_key_and_the_info_of_sealing_open(suite: KemSuite) -> None:
    key, other = KemPrivateKey.generate(suite), KemPrivateKey.generate(suite)
    sealed = hpke.seal(key.public, b"content key", b"info")
    assert len(sealed) == hpke.sealed_bytes(suite, len(b"content key"))
    assert hpke.open_sealed(key, sealed, b"info") == b"content key"
    for wrong, info in ((other, b"info"), (key, b"other info")):
        with pytest.raises(DecryptionError, match="does not open"):
            hpke.open_sealed(wrong, sealed, info)


@SUITES
def test_altered_and_cut_messages_do_not_open(suite: KemSuite) -> None:
    key = KemPrivateKey.generate(suite)
    sealed = hpke.seal(key.public, b"content key", b"info")
    for place in (*range(0, len(sealed), 89), len(sealed) - 1):
        altered = sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :]
        with pytest.raises(DecryptionError):
            hpke.open_sealed(key, altered, b"info")
    for cut in (sealed[:-1], sealed + b"\0", b"", sealed[:100]):
        with pytest.raises(DecryptionError):
            hpke.open_sealed(key, cut, b"info")


def test_a_key_with_a_point_of_small_order_is_refused() -> None:
    """As X-Wing has it, it is a key; whoever registers it must not bring down those who would seal to it."""
    good = KemPrivateKey.generate(KemSuite.X_WING).public.raw
    with pytest.raises(KeyMaterialError, match="cannot seal to"):
        hpke.seal(KemPublicKey(KemSuite.X_WING, good[:-32] + bytes(32)), b"content key", b"info")
