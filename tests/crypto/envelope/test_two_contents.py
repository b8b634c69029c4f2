"""One object that shows each recipient another content: the attack on AES-GCM, which works, and on sealed objects,
which does not, because the commitment fits one content key only.

A lying sender does all of it: other content keys for each recipient, one ciphertext and tag for all of them.
"""

import io
from collections.abc import Sequence
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from crypto import cbor, hpke
from crypto.envelope import header as headers
from crypto.envelope.content import ALGORITHM, ContentCipher
from crypto.envelope.header import MAGIC, VERSION
from crypto.errors import DecryptionError
from crypto.kem import KemPrivateKey
from tests.crypto.envelope.gcm_collision import BLOCK, GcmKey, collide
from tests.crypto.envelope.support import keys, opened

OBJECT_ID, SALT = bytes(range(32)), bytes(range(24))


def _derived(content_key: bytes, header: bytes) -> tuple[GcmKey, bytes]:
    """By the specification and not by our code: AES key with nonce, and commitment."""
    info = b"c2sp.org/chunked-encryption@v1+" + b"AEAD_AES_256_GCM" + b"\0" + SALT + sha256(header).digest()
    derived = HKDFExpand(SHA512(), 76, info).derive(content_key)
    return GcmKey(derived[:32], derived[32:44]), derived[44:]


def _lying_header(to: Sequence[KemPrivateKey], content_keys: Sequence[bytes]) -> bytes:
    """As `make_header`, but another content key for each recipient. `to` is sorted by kid."""
    named = headers._named([(key.suite, key.public.kid) for key in to])
    stanzas = [
        [str(key.suite), key.public.kid,
         hpke.seal(key.public, content_key, headers._info(key.suite, key.public.kid, OBJECT_ID, named))]
        for key, content_key in zip(to, content_keys, strict=True)
    ]  # fmt: skip
    body = cbor.encode([VERSION, OBJECT_ID, ALGORITHM, stanzas, None])
    return MAGIC + len(body).to_bytes(4, "big") + body


def _recipients(count: int) -> tuple[list[KemPrivateKey], bytes, list[GcmKey], list[bytes]]:
    to = sorted(keys(count), key=lambda key: key.public.kid)
    content_keys = [bytes((n,)) * 32 for n in range(count)]
    header = _lying_header(to, content_keys)
    derived = [_derived(content_key, header) for content_key in content_keys]
    return to, header, [key for key, _ in derived], [commitment for _, commitment in derived]


def _without_commitment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContentCipher, "require", lambda self, commitment: None)


def test_invisible_salamander(monkeypatch: pytest.MonkeyPatch) -> None:
    to, header, gcm, commitments = _recipients(2)
    texts = [b"Batch AB-1 passed. Release it. ..", b"Batch AB-1 FAILED. Destroy it. .."]
    texts = [text.ljust(3 * BLOCK, b" ") for text in texts]
    # The first three blocks are the one's text, the next three the other's; a format that skips noise shows only that.
    fixed = [
        _xor(texts[n // 3][n % 3 * BLOCK : (n % 3 + 1) * BLOCK], gcm[n // 3].keystream(n)) for n in range(6)
    ]  # fmt: skip
    chunk = collide(gcm, fixed)
    for key in gcm:
        assert len(AESGCM(key.key).decrypt(key.nonce, chunk, None)) == 8 * BLOCK  # AES-GCM itself sees nothing wrong
    for n in range(2):
        object_ = header + SALT + commitments[n] + chunk
        # 1. Whom the commitment fits opens it; the other is told that something is wrong.
        content, found = opened(object_, to[n])
        assert content[n * 3 * BLOCK : (n + 1) * 3 * BLOCK] == texts[n]
        assert found.commitment == commitments[n]
        with pytest.raises(DecryptionError, match="commitment"):
            opened(object_, to[1 - n])
        # 2. Without the commitment both open the very same bytes, each to another text.
        with monkeypatch.context() as patch:
            _without_commitment(patch)
            shown = [opened(object_, key)[0] for key in to]
        assert texts[0] in shown[0]
        assert texts[1] in shown[1]
        assert texts[0] not in shown[1]
        assert texts[1] not in shown[0]


def test_partitioning_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """One ciphertext that opens under sixteen keys tells, by whether it opens, if somebody's is among them."""
    to, header, gcm, commitments = _recipients(16)
    object_ = header + SALT + commitments[5] + collide(gcm, [])
    assert opened(object_, to[5])[1].size == 16 * BLOCK
    for key in (*to[:5], *to[6:]):
        with pytest.raises(DecryptionError, match="commitment"):
            opened(object_, key)
    _without_commitment(monkeypatch)
    assert len({opened(object_, key)[0] for key in to}) == 16


def test_a_commitment_is_to_the_whole_header_and_the_salt() -> None:
    """The commitment is compared before any chunk, so a source that ends there already is refused for that."""
    key = keys()[0]
    header = _lying_header([key], [bytes(32)])
    _, commitment = _derived(bytes(32), header)
    for start in (header + SALT[::-1] + commitment, header + SALT + commitment[::-1]):
        with pytest.raises(DecryptionError, match="commitment"):
            opened(start, key)
    assert headers.read_header(io.BytesIO(header + SALT)).raw == header


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
