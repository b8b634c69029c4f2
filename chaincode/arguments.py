"""Reading a call's arguments. All of them are untrusted bytes; FormatError refuses what is not as it must be.

Text is ASCII, numbers are decimal without leading zeros, keys and signatures are raw bytes.
"""

import re
from enum import StrEnum
from typing import TypeVar

from crypto.errors import FormatError, KeyMaterialError
from crypto.keys import Algorithm, PublicKey, algorithm_named
from crypto.merkle import MAX_TREE_SIZE

MAX_NAME = 128
MAX_REASON = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@-]*(/[A-Za-z0-9._~:@-]+)*")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_P = 2**255 - 19  # the field of Curve25519
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826  # y of a point of order eight
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


def public_key(algorithm: bytes, raw: bytes) -> PublicKey:
    """A public key given as the name of its algorithm and its raw bytes."""
    key = PublicKey(algorithm_named(text(algorithm, "algorithm")[:40]), raw)
    refuse_weak(key)
    return key


def refuse_weak(key: PublicKey) -> None:
    """KeyMaterialError for the Ed25519 points of small order: under them anybody's signature can verify, so
    proof of possession would prove nothing. Verifiers of RFC 8032 accept these points."""
    y = int.from_bytes(key.raw, "little") % 2**255 % _P if key.algorithm is Algorithm.ED25519 else 2
    if y in (0, 1, _P - 1, _ORDER_8, _P - _ORDER_8):
        raise KeyMaterialError("this Ed25519 public key is a point of small order; generate a real key pair")
