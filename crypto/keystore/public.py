"""Public key files (`NAME.pub`): a name and a key, as one small JSON object (docs/formats/keys.md).

The file says what it likes: whoever takes it decides to believe that the key is of that name. Nothing signs it.
"""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crypto.errors import FormatError, KeyMaterialError, LimitError
from crypto.kem import KemPublicKey, KemSuite
from crypto.keys import Algorithm, PublicKey

MAX_FILE_BYTES: Final = 8192
SUITES: Final[tuple[KemSuite | Algorithm, ...]] = (*KemSuite, *Algorithm)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MEMBERS: Final = {"sealtrail_key": int, "name": str, "suite": str, "public": str, "kid": str}


def key_name(name: str) -> str:
    """The name itself if it can name a key and its file; KeyMaterialError else."""
    if not _NAME.fullmatch(name):
        rule = "a key name is 1 to 64 of a-z 0-9 . _ - and starts with a letter or digit"
        raise KeyMaterialError(f"{rule}, got {name[:80]!r}")
    return name


def suite_named(name: str) -> KemSuite | Algorithm:
    """The KEM suite or signature algorithm of this name; KeyMaterialError lists all."""
    for suite in SUITES:
        if str(suite) == name:
            return suite
    raise KeyMaterialError(f"unknown suite {name[:40]!r}; expected one of {', '.join(SUITES)}")


def public_key(suite: KemSuite | Algorithm, raw: bytes) -> KemPublicKey | PublicKey:
    """The public key of this suite; KeyMaterialError where `raw` is none."""
    return KemPublicKey(suite, raw) if isinstance(suite, KemSuite) else PublicKey(suite, raw)


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A public key and what it is called where it came from."""

    name: str
    key: KemPublicKey | PublicKey

    @property
    def suite(self) -> KemSuite | Algorithm:
        return self.key.suite if isinstance(self.key, KemPublicKey) else self.key.algorithm

    def to_json(self) -> bytes:
        public = base64.b64encode(self.key.raw).decode()
        values = (1, self.name, str(self.suite), public, self.key.kid.hex())
        return json.dumps(dict(zip(_MEMBERS, values, strict=True)), indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> "NamedKey":
        """Strictly read a public key file.

        Raises:
            LimitError, FormatError: too large, or not the JSON object that it must be.
            KeyMaterialError: no such suite, or not a key of it, or the kid is of another one.
        """
        if len(data) > MAX_FILE_BYTES:
            raise LimitError(f"public key files have at most {MAX_FILE_BYTES} bytes, got {len(data)}")
        item = _members(data)
        try:
            raw = base64.b64decode(item["public"], validate=True)
        except ValueError as e:
            raise FormatError("member 'public' of a public key file must be base64") from e
        found = cls(key_name(item["name"]), public_key(suite_named(item["suite"]), raw))
        if found.key.kid.hex() != item["kid"]:
            raise KeyMaterialError(f"the file of {found.name} names a kid that is not its key's; ask for it again")
        return found


def read_public(path: Path) -> NamedKey:
    """The public key in this file; KeyMaterialError names the file where there is none."""
    try:
        with path.open("rb") as file:
            return NamedKey.parse(file.read(MAX_FILE_BYTES + 1))
    except OSError as e:
        raise KeyMaterialError(f"cannot read the public key file {path}: {e.strerror}") from e
    except (FormatError, KeyMaterialError) as e:
        raise KeyMaterialError(f"{path}: {e}") from e


def _members(data: bytes) -> dict[str, Any]:
    expected = "a public key file is a JSON object made by `sealtrail keys export NAME --public`"
    try:
        item = json.loads(data, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as e:
        raise FormatError(f"{expected}: {e}") from e
    if type(item) is not dict or {name: type(value) for name, value in item.items()} != _MEMBERS:
        raise FormatError(f"{expected}: it has the members {', '.join(_MEMBERS)}, a number and four texts")
    if item["sealtrail_key"] != 1:
        raise FormatError("this public key file is of a version that this program does not know; it reads version 1")
    return item


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member stands twice")
    return dict(pairs)
