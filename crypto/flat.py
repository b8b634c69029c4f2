"""Flat CBOR maps: small integer keys in rising order; integers, text and byte strings as values.

Events, seals and records are such maps, and every event is read and written once or twice, so this is a few
times faster than crypto.cbor: nothing has to be sorted. Input to `decode` is untrusted; the rule is the same,
decode → encode again → require equality.
"""

from collections.abc import Mapping
from typing import Any

import cbor2

from crypto import cbor
from crypto.errors import FormatError, LimitError

MAX_NUMBER = 2**63 - 1


class Shape:
    """Which keys a map has, in rising order, with the name and the type of each: int, str or bytes. Integers are
    from 0 to 2^63-1."""

    __slots__ = ("_numbers", "_types", "fields", "keys")

    def __init__(self, fields: Mapping[int, tuple[str, type]]) -> None:
        self.fields = dict(fields)
        self.keys = list(fields)
        self._types = [kind for _, kind in fields.values()]
        self._numbers = [key for key, (_, kind) in fields.items() if kind is int]

    def check(self, item: dict[int, Any], what: str) -> None:
        """FormatError unless every value has exactly its type, and every integer its range."""
        if list(map(type, item.values())) != self._types:
            key = next(key for key, (_, kind) in self.fields.items() if type(item[key]) is not kind)
            name, kind = self.fields[key]
            raise FormatError(f"{what}: {name} (key {key}) must be {kind.__name__}, got {type(item[key]).__name__}")
        for key in self._numbers:
            if not 0 <= item[key] <= MAX_NUMBER:
                name = self.fields[key][0]
                raise FormatError(f"{what}: {name} (key {key}) must be an integer from 0 to 2^63-1, got {item[key]}")


def encode(item: dict[int, Any]) -> bytes:
    """The canonical encoding of a map whose keys are given in rising order. Lists as values may hold no maps."""
    return cbor2.dumps(item)


def decode(data: bytes, limit: int, what: str, *shapes: Shape) -> dict[int, Any]:
    """Decode a canonical map of at most `limit` bytes that has one of `shapes`; `what` names it in messages.

    Raises:
        LimitError, FormatError: too long, not CBOR, other keys, types or ranges, or not canonical.
    """
    # 1. The limit, then one item without tags and without anything nested.
    if len(data) > limit:
        raise LimitError(f"{what} of {len(data)} bytes is over the bound of {limit}")
    item = cbor.loads(data, 1, what)
    # 2. Exactly the keys. 1.0 and True equal the integer 1, so the keys' types are looked at first.
    keys = list(item) if type(item) is dict and set(map(type, item)) == {int} else None
    for shape in shapes:
        if shape.keys == keys:
            break
    else:
        expected = " or ".join(str(list(shape.fields)) for shape in shapes)
        got = keys or type(item).__name__
        raise FormatError(f"{what} must be a map with the keys {expected} in this order, got {got}")
    # 3. Types and ranges.
    flat: dict[int, Any] = item
    shape.check(flat, what)
    # 4. The one encoding.
    if cbor2.dumps(flat) != data:
        raise FormatError(f"{what} is not in its canonical encoding; encode with shortest forms")
    return flat
