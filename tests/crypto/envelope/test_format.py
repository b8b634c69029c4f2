"""The format, byte for byte: docs/formats/vectors/sealed.json and the worked example of sealed.md.

SEALTRAIL_WRITE_VECTORS=1 writes both from the fixed keys and values below. HPKE is randomised: what was sealed once is
opened for ever, and everything else is computed again, here by the specification and not by the program's own parts.
"""

import io
import json
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from crypto import hpke, labels
from crypto.envelope import content
from crypto.envelope.content import ContentCipher
from crypto.envelope.grants import Grant
from crypto.envelope.header import Sender, finder, make_header, read_header
from crypto.envelope.objects import inspect
from crypto.kem import SEED_BYTES, KemPrivateKey, KemSuite, kem_suite_named
from crypto.keys import Algorithm, PrivateKey
from tests.crypto.envelope.support import opened

DOCS = Path(__file__).resolve().parents[3] / "docs" / "formats"
VECTORS, PAGE = DOCS / "vectors" / "sealed.json", DOCS / "sealed.md"
WRITE = os.environ.get("SEALTRAIL_WRITE_VECTORS") == "1"
CONTENT = b"Lot AB-1: released."
CONTENT_KEY, OBJECT_ID, SALT = bytes(range(0xA0, 0xC0)), bytes(range(0x60, 0x80)), bytes(range(0x40, 0x58))
RECIPIENTS = [
    KemPrivateKey(suite, bytes(range(n, n + SEED_BYTES[suite]))) for n, suite in enumerate(KemSuite)
]  # fmt: skip
LATER = KemPrivateKey(KemSuite.X_WING, bytes(range(0xFF, 0xDF, -1)))
SENDER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
SENDER = PrivateKey(Algorithm.ED25519, SENDER_KEY.private_bytes_raw())
LONG = bytes(n % 251 for n in range(16_484))
INFO = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"


def build() -> dict[str, Any]:
    """What only the program can make, because it is randomised: the header and the grant; the rest follows."""
    header = make_header(
        OBJECT_ID, CONTENT_KEY, SALT, [key.public for key in RECIPIENTS], Sender(SENDER.public.kid, 64)
    )  # fmt: skip
    made = {"header": header.raw.hex()}
    made |= derived(header.raw)
    object_ = header.raw + SALT + b"".join(bytes.fromhex(made[n]) for n in ("commitment", "chunks", "signature"))
    digest = sha256(object_).digest()
    grant = Grant.make(OBJECT_ID, bytes.fromhex(made["commitment"]), digest, CONTENT_KEY, LATER.public)
    return {
        "recipients": [_key(key) for key in RECIPIENTS],
        "sender": {"algorithm": "ed25519", "seed": bytes(range(32, 64)).hex(), "public": SENDER.public.raw.hex()},
        "content": CONTENT.hex(), "content_key": CONTENT_KEY.hex(), "object_id": OBJECT_ID.hex(), "salt": SALT.hex(),
        **made, "object": object_.hex(), "digest": digest.hex(), "later": _key(LATER), "grant": grant.encode().hex(),
        "grant_info": grant_info(bytes.fromhex(made["commitment"]), digest).hex(), "long": long(),
    }  # fmt: skip


def derived(header: bytes) -> dict[str, Any]:
    """By the page alone: from the header's bytes to the signature."""
    _, object_id, algorithm, stanzas, _ = cbor2.loads(header[20:])
    suite, kid, _ = stanzas[0]
    named = sha256(cbor2.dumps([stanza[:2] for stanza in stanzas])).digest()
    info = cbor2.dumps(["sealtrail/sealed-stanza/v1", suite, algorithm, kid, object_id, named])
    context = sha256(header).digest()
    key, nonce, commitment = _expand(context)
    chunks = AESGCM(key).encrypt(nonce, CONTENT, None)
    signed = sha256(header + SALT + commitment + chunks).digest()
    signature = SENDER_KEY.sign(b"sealtrail/sealed-object/v1\0" + signed)
    found = {
        "info": info, "context": context, "key": key, "base_nonce": nonce, "commitment": commitment,
        "chunks": chunks, "signed": signed, "signature": signature,
    }  # fmt: skip
    return {name: value.hex() for name, value in found.items()}


def long() -> dict[str, Any]:
    key, nonce, commitment = _expand(b"")
    second = (int.from_bytes(nonce, "big") ^ 1).to_bytes(12, "big")
    chunks = AESGCM(key).encrypt(nonce, LONG[:16384], None) + AESGCM(key).encrypt(second, LONG[16384:], None)
    return {"chunks_hash": sha256(chunks).hexdigest(), "commitment": commitment.hex()}


def grant_info(commitment: bytes, digest: bytes) -> bytes:
    parts = [str(LATER.suite), "cobblestone-256", LATER.public.kid, OBJECT_ID, commitment, digest]
    return cbor2.dumps(["sealtrail/sealed-grant/v1", *parts])


def _expand(context: bytes) -> tuple[bytes, bytes, bytes]:
    made = HKDFExpand(SHA512(), 76, INFO + SALT + context).derive(CONTENT_KEY)
    return made[:32], made[32:44], made[44:]


def _key(key: KemPrivateKey) -> dict[str, str]:
    return {"suite": str(key.suite), "seed": key.seed.hex(), "kid": key.public.kid.hex()}


@pytest.fixture(scope="module")
def vector() -> dict[str, Any]:
    if WRITE:
        VECTORS.write_text(json.dumps(build(), indent=1) + "\n")
        PAGE.write_text(_page_with(json.loads(VECTORS.read_text())))
    found: dict[str, Any] = json.loads(VECTORS.read_text())
    return found


def _page_with(vector: dict[str, Any]) -> str:
    def block(match: re.Match[str]) -> str:
        digits: Any = vector
        for step in match[1].split("."):
            digits = digits[step]
        lines = "\n".join(digits[i : i + 64] for i in range(0, len(digits), 64))
        return f"<!-- sealed.json: {match[1]} -->\n```\n{lines}\n```"

    return re.sub(r"<!-- sealed\.json: (\S+) -->\n```\n[^`]*```", block, PAGE.read_text())


def test_the_page_shows_the_vector(vector: dict[str, Any]) -> None:
    assert _page_with(vector) == PAGE.read_text()
    assert PAGE.read_text().count("<!-- sealed.json: ") == 12


def test_every_recipient_opens_the_published_object(vector: dict[str, Any]) -> None:
    whole = bytes.fromhex(vector["object"])
    for entry in vector["recipients"]:
        key = KemPrivateKey(kem_suite_named(entry["suite"]), bytes.fromhex(entry["seed"]))
        assert key.public.kid.hex() == entry["kid"]
        shown, found = opened(whole, key, sender=SENDER.public)
        assert shown == CONTENT == bytes.fromhex(vector["content"])
        assert found.digest.hex() == vector["digest"] == sha256(whole).hexdigest()
        assert (found.commitment.hex(), found.object_id) == (vector["commitment"], OBJECT_ID)
    assert inspect(io.BytesIO(whole)) == found


def test_what_follows_from_the_header_follows_by_the_page_alone(vector: dict[str, Any]) -> None:
    made = derived(bytes.fromhex(vector["header"]))
    assert {name: vector[name] for name in made} == made
    parts = ("header", "salt", "commitment", "chunks", "signature")
    assert "".join(vector[name] for name in parts) == vector["object"]
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(vector["sender"]["public"]))
    public.verify(bytes.fromhex(vector["signature"]), labels.SEALED_OBJECT + b"\0" + bytes.fromhex(vector["signed"]))


def test_the_first_stanza_opens_under_its_info(vector: dict[str, Any]) -> None:
    stanza = read_header(io.BytesIO(bytes.fromhex(vector["object"]))).stanzas[0]
    key = finder(RECIPIENTS)(stanza.kid)
    assert key is not None
    assert hpke.open_sealed(key, stanza.sealed, bytes.fromhex(vector["info"])) == CONTENT_KEY


def test_the_published_grant_opens_it(vector: dict[str, Any]) -> None:
    whole, grant = bytes.fromhex(vector["object"]), Grant.decode(bytes.fromhex(vector["grant"]))
    assert grant.encode().hex() == vector["grant"]
    assert opened(whole, LATER, grant)[0] == CONTENT
    assert grant_info(bytes.fromhex(vector["commitment"]), grant.digest).hex() == vector["grant_info"]
    assert hpke.open_sealed(LATER, grant.sealed, bytes.fromhex(vector["grant_info"])) == CONTENT_KEY


def test_long_content_is_a_message_of_the_specification(vector: dict[str, Any]) -> None:
    assert vector["long"] == long()
    made = ContentCipher.derive(CONTENT_KEY, SALT, b"")
    chunks = bytearray()
    assert content.encrypt(made, io.BytesIO(LONG), chunks.extend) == len(LONG)
    assert sha256(chunks).hexdigest() == vector["long"]["chunks_hash"]
    assert made.commitment.hex() == vector["long"]["commitment"]
