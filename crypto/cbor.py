"""Deterministic CBOR: encode in one way only, and refuse what was encoded in any other.

Input to `decode` is untrusted. The rule is decode → encode again → require equality (RFC 8949 section 4.2),
which refuses duplicate keys, non-minimal integers, indefinite lengths and unsorted maps at one stroke.
"""

from typing import Any

import cbor2

from crypto.errors import FormatError, LimitError

MAX_DEPTH = 16

# What a decoded item may be made of. Tags decode to other types and are refused by the callers' type checks.
CborValue = None | bool | int | float | str | bytes | list[Any] | dict[Any, Any]


def encode(value: CborValue) -> bytes:
    """The one canonical encoding of `value`: shortest forms, map keys sorted length-first."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, limit: int) -> Any:
    """Decode canonical CBOR of at most `limit` bytes.

    Raises:
        LimitError: longer than `limit`.
        FormatError: not CBOR, nested deeper than 16, with a tag, or not in its canonical encoding.
    """
    if len(data) > limit:
        raise LimitError(f"CBOR item of {len(data)} bytes is over the bound of {limit}")
    try:
        value = cbor2.loads(data, max_depth=MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
        again = cbor2.dumps(value, canonical=True)
    except (cbor2.CBORDecodeError, cbor2.CBOREncodeError, ValueError, TypeError, OverflowError) as e:
        raise FormatError(f"expected one canonical CBOR item: {e}") from e
    if again != data:
        raise FormatError("CBOR is not in its canonical encoding; encode with shortest forms and sorted keys")
    return value


def field(item: Any, key: int, kind: type, what: str) -> Any:
    """Value of an integer-keyed map, checked to be exactly of type `kind`; FormatError names `what`."""
    value = item.get(key) if type(item) is dict else None
    if type(value) is not kind:
        raise FormatError(f"{what} (key {key}) must be {kind.__name__}, got {type(value).__name__}")
    return value


def exact_keys(item: Any, keys: frozenset[int], what: str) -> None:
    """FormatError unless `item` is a map with exactly these keys."""
    if type(item) is not dict or item.keys() != keys:
        got = sorted(map(str, item)) if type(item) is dict else type(item).__name__
        raise FormatError(f"{what} must be a map with the keys {sorted(keys)}, got {got}")
