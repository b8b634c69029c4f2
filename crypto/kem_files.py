"""Encapsulation keys in files of one line: what a one-way gateway seals to, and what its recipients open with.

    sealtrail-kem-public/v1 SUITE BASE64          NAME.pub
    sealtrail-kem-private/v1 SUITE BASE64         NAME.kem, the seed, mode 0600

Untrusted until `KemPublicKey` has checked the key itself. A private key here is not encrypted: keep it off the gateway.
"""

import base64
import binascii
from pathlib import Path

from crypto.errors import KeyMaterialError
from crypto.files import read_private_file, write_durably
from crypto.kem import KemPrivateKey, KemPublicKey, KemSuite, kem_suite_named

PUBLIC, PRIVATE = "sealtrail-kem-public/v1", "sealtrail-kem-private/v1"
MAX_FILE_BYTES = 4096


def write_pair(folder: Path, name: str, key: KemPrivateKey) -> Path:
    """Write NAME.kem and NAME.pub; returns the latter."""
    write_durably(folder / f"{name}.kem", _line(PRIVATE, key.suite, key.seed), mode=0o600)
    public = folder / f"{name}.pub"
    write_durably(public, _line(PUBLIC, key.suite, key.public.raw))
    return public


def read_public(path: Path) -> KemPublicKey:
    """The encapsulation key in a file; KeyMaterialError says what is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise KeyMaterialError(f"cannot read the public key {path}: {e.strerror}") from e
    return KemPublicKey(*_parsed(path, content, PUBLIC))


def read_private_keys(folder: Path) -> dict[bytes, KemPrivateKey]:
    """All private keys of a folder by their ids; KeyMaterialError where there is none."""
    keys = [KemPrivateKey(*_parsed(path, read_private_file(path), PRIVATE)) for path in sorted(folder.glob("*.kem"))]
    if not keys:
        raise KeyMaterialError(f"{folder} holds no private key NAME.kem")
    return {key.public.kid: key for key in keys}


def _line(what: str, suite: KemSuite, raw: bytes) -> bytes:
    return f"{what} {suite} {base64.b64encode(raw).decode()}\n".encode()


def _parsed(path: Path, content: bytes, what: str) -> tuple[KemSuite, bytes]:
    if len(content) > MAX_FILE_BYTES:
        raise KeyMaterialError(f"{path.name}: a key file has at most {MAX_FILE_BYTES} bytes")
    try:
        said, suite, raw = content.decode("ascii").split()
        key = base64.b64decode(raw, validate=True)
    except (UnicodeDecodeError, ValueError, binascii.Error) as e:
        raise KeyMaterialError(f"{path.name}: expected one line {what} SUITE BASE64") from e
    if said != what:
        raise KeyMaterialError(f"{path.name}: expected one line {what} SUITE BASE64, got one of {said[:40]!r}")
    return kem_suite_named(suite), key
