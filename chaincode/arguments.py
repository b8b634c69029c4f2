"""Reading a call's arguments. All of them are untrusted bytes; FormatError refuses what is not as it must be.

Text is ASCII, numbers are decimal without leading zeros, keys and signatures are raw bytes.
"""

import re
from enum import StrEnum
from typing import TypeVar

from crypto.errors import FormatError
from crypto.keys import PublicKey, algorithm_named
from crypto.merkle import HASH_BYTES, MAX_TREE_SIZE

MAX_NAME = 128
MAX_REASON = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@-]*(/[A-Za-z0-9._~:@-]+)*")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_Choice = TypeVar("_Choice", bound=StrEnum)


def text(argument: bytes, what: str) -> str:
    """Printable ASCII."""
    if not all(0x20 <= byte < 0x7F for byte in argument):
        raise FormatError(f"{what} must be printable ASCII, got {argument[:40]!r}")
    return argument.decode("ascii")


def name(argument: bytes, what: str) -> str:
    """A name or log origin: segments of letters, digits and . _ ~ : @ - joined by single slashes, ≤ 128 bytes."""
    value = text(argument, what)
    if len(value) > MAX_NAME or not _NAME.fullmatch(value):
        raise FormatError(
            f"{what} must be at most {MAX_NAME} letters, digits and . _ ~ : @ - in segments joined by /, "
            f"beginning with a letter or digit, got {value[:40]!r}"
        )
    return value


def handle(argument: bytes, what: str) -> str:
    """What an identity is asked for by: its name, or `origin#name` for a source."""
    origin, mark, source = argument.partition(b"#")
    return f"{name(origin, 'origin')}#{name(source, what)}" if mark else name(argument, what)


def index(argument: bytes, what: str) -> int:
    """A log index or tree size: decimal, from 0 to 2^63-1."""
    value = text(argument, what)
    if not _NUMBER.fullmatch(value) or int(value) > MAX_TREE_SIZE:
        raise FormatError(f"{what} must be a decimal number below 2^63 without leading zeros, got {value[:40]!r}")
    return int(value)


def reason(argument: bytes) -> str:
    """Why a key is revoked: 1 to 200 printable ASCII characters."""
    value = text(argument, "reason")
    if not 1 <= len(value) <= MAX_REASON:
        raise FormatError(f"a reason has 1 to {MAX_REASON} characters, got {len(value)}")
    return value


def choice(kind: type[_Choice], argument: bytes, what: str) -> _Choice:
    """One of an enumeration's values."""
    value = text(argument, what)
    try:
        return kind(value)
    except ValueError as e:
        raise FormatError(f"{what} must be one of {', '.join(kind)}, got {value[:40]!r}") from e


def digest(value: object, what: str) -> bytes:
    """A SHA-256, or what is as long: an id, a kid."""
    if type(value) is not bytes or len(value) != HASH_BYTES:
        raise FormatError(f"{what} must be {HASH_BYTES} bytes")
    return value


def public_key(algorithm: bytes, raw: bytes) -> PublicKey:
    """A public key given as the name of its algorithm and its raw bytes."""
    return PublicKey(algorithm_named(text(algorithm, "algorithm")[:40]), raw)
