"""Deterministic CBOR: encode in one way only, and refuse what was encoded in any other.

Input to `decode` is untrusted. The rule is decode → encode again → require equality (RFC 8949 section 4.2),
which refuses duplicate keys, non-minimal integers, indefinite lengths and unsorted maps at one stroke. Tags
are refused while decoding: a few shared references (tag 29) in one small item would encode to gigabytes.
"""

import math
from typing import Any, NoReturn

import cbor2

from crypto.errors import FormatError, LimitError

MAX_DEPTH = 16

# What an item may be made of. `undefined` and unassigned simple values decode to other types, which the callers'
# type checks refuse; `check_plain` does it where a value may be of any type.
CborValue = None | bool | int | float | str | bytes | list[Any] | dict[Any, Any]
_PLAIN = frozenset({type(None), bool, int, str, bytes})


class _NoTags(dict[int, Any]):
    """Stands in for every decoder of a tag, known or unknown to the library."""

    def __missing__(self, tag: int) -> Any:
        return _refuse_tag


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("tags are not accepted")


_NO_TAGS = _NoTags()


def encode(value: CborValue) -> bytes:
    """The one canonical encoding of `value`: shortest forms, map keys sorted length-first."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, limit: int, *, number_keys: bool = True) -> Any:
    """Decode canonical CBOR of at most `limit` bytes.

    Raises:
        LimitError: longer than `limit`.
        FormatError: not CBOR, nested deeper than 16, with a tag, or not in its canonical encoding.

    number_keys: False where strangers send much: keys are then text or bytes, whose hashes nobody can foresee.
        Lists as keys can be made to collide, and a map of 17,000 of them takes seconds to read.
    """
    if len(data) > limit:
        raise LimitError(f"CBOR item of {len(data)} bytes is over the bound of {limit}")
    value = loads(data, MAX_DEPTH, "one item", number_keys)
    try:
        again = cbor2.dumps(value, canonical=True)
    except (cbor2.CBOREncodeError, ValueError, TypeError, OverflowError) as e:
        raise FormatError(f"expected one canonical CBOR item: {e}") from e
    if again != data:
        raise FormatError("CBOR is not in its canonical encoding; encode with shortest forms and sorted keys")
    return value


def loads(data: bytes, depth: int, what: str, number_keys: bool = True) -> Any:
    """One item, not checked for its canonical encoding: untagged, of definite lengths, no key twice."""
    try:
        return cbor2.loads(
            data, max_depth=depth, allow_indefinite=False, allow_duplicate_keys=False, semantic_decoders=_NO_TAGS,
            strict_hashable_types=not number_keys,
        )  # fmt: skip
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as e:
        raise FormatError(f"expected {what} in canonical CBOR: {e}") from e


def pack(value: CborValue) -> bytes:
    """Any encoding of `value`, fast: for data of our own that is authenticated as a whole and never hashed."""
    return cbor2.dumps(value)


def list_head(count: int) -> bytes:
    """What stands before the items of a list of at most 65,535."""
    return (0x99_0000 | count).to_bytes(3, "big")


def unpack(data: bytes) -> Any:
    """What `pack` encoded. Only for bytes whose authenticity was verified before."""
    return cbor2.loads(data, max_depth=MAX_DEPTH)


def field(item: Any, key: int, kind: type, what: str) -> Any:
    """Value of an integer-keyed map, checked to be exactly of type `kind`; FormatError names `what`."""
    value = item.get(key) if type(item) is dict else None
    if type(value) is not kind:
        raise FormatError(f"{what} (key {key}) must be {kind.__name__}, got {type(value).__name__}")
    return value


def exact_keys(item: Any, keys: frozenset[int], what: str) -> None:
    """FormatError unless `item` is a map with exactly these keys."""
    # The type of each key matters: true and 1.0 equal 1 in Python, but are other CBOR items.
    if type(item) is not dict or item.keys() != keys or set(map(type, item)) != {int}:
        got = sorted(map(str, item)) if type(item) is dict else type(item).__name__
        raise FormatError(f"{what} must be a map with the keys {sorted(keys)}, got {got}")


def check_plain(value: Any, what: str) -> None:
    """FormatError unless `value` is made of null, booleans, finite numbers, text, bytes, lists and maps with text
    keys only: what JSON can show, and bytes."""
    kind = type(value)
    if kind in _PLAIN or (kind is float and math.isfinite(value)):
        return
    if kind is list:
        for item in value:
            check_plain(item, what)
    elif kind is dict:
        for key, item in value.items():
            check_plain(key if type(key) is str else object(), what)
            check_plain(item, what)
    else:
        raise FormatError(f"{what} holds a {kind.__name__} that is no plain value")
