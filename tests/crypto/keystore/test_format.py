"""The formats, byte for byte: docs/formats/vectors/keys.json and the worked example of keys.md, made here by the page
and not by the program's own parts."""

import base64
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from crypto.files import read_secret
from crypto.keys import PrivateKey
from crypto.keystore import vault
from crypto.keystore.file import KeyFile
from crypto.keystore.public import NamedKey

DOCS = Path(__file__).resolve().parents[3] / "docs" / "formats"
PAGE = (DOCS / "keys.md").read_text()
VECTORS: dict[str, Any] = json.loads((DOCS / "vectors" / "keys.json").read_text())
PASSPHRASE = VECTORS["passphrase"].encode()
SECRET, SALT, COST = bytes(range(32)), bytes(range(16)), [65_536, 3, 4]
KEY = Argon2id(salt=SALT, length=32, iterations=3, lanes=4, memory_cost=65_536).derive(PASSPHRASE)


def _seal(content: bytes, place: bytes, nonce: bytes) -> bytes:
    return nonce + AESGCM(KEY).encrypt(nonce, content, place)


def test_the_key_file_is_what_the_page_says() -> None:
    public = Ed25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw()
    header = cbor2.dumps(
        {1: 1, 2: "operator", 3: "ed25519", 4: public, 5: 1, 6: 0, 7: [1_795_413_600_000_000, ""], 8: COST, 9: SALT},
        canonical=True,
    )
    sealed = _seal(SECRET, b"sealtrail/key-file/v1\0" + header, bytes(range(12)))
    file = cbor2.dumps([header, sealed])
    assert file.hex() == VECTORS["key_file"]["file"]
    opened = KeyFile.decode(file)
    assert opened.encode() == file
    key = opened.open(PASSPHRASE)
    assert isinstance(key, PrivateKey)
    assert key.secret == SECRET
    assert json.loads(VECTORS["public_file"]) == {
        "sealtrail_key": 1, "name": "operator", "suite": "ed25519", "public": base64.b64encode(public).decode(),
        "kid": sha256(public).hexdigest(),
    }  # fmt: skip
    assert NamedKey.parse(VECTORS["public_file"].encode()).to_json().decode() == VECTORS["public_file"]


def test_the_locked_folder_is_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = [1, COST, SALT]
    proof = _seal(b"", b"sealtrail/locked-folder/v1\0" + cbor2.dumps(head), bytes(range(12, 24)))
    lock = cbor2.dumps([*head, proof])
    file = b"sealtrail-locked/v1\n" + _seal(SECRET, b"sealtrail/locked-file/v1\0site.key", bytes(range(24, 36)))
    assert (lock.hex(), file.hex()) == (
        VECTORS["locked_folder"]["passphrase.lock"], VECTORS["locked_folder"]["file"],
    )  # fmt: skip
    for name, content in ((vault.LOCK_FILE, lock), ("site.key", file)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("SEALTRAIL_PASSPHRASE", VECTORS["passphrase"])
    assert read_secret(tmp_path / "site.key") == SECRET


def test_the_page_shows_these_bytes() -> None:
    shown = [re.sub(r"\s", "", block) for block in re.findall(r"```\n([0-9a-f\s]+)```", PAGE)]
    assert shown == [VECTORS["key_file"]["file"], VECTORS["locked_folder"]["passphrase.lock"]]
    assert f"`{KEY.hex()}`" in PAGE
