"""Deterministic CBOR: one encoding of everything, and nothing else is read."""

import itertools
import math

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import cbor
from crypto.errors import FormatError, LimitError, SealtrailError

LIMIT = 1 << 20
numbers = st.integers(-(2**64), 2**64 - 1)
scalars = st.none() | st.booleans() | numbers | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(numbers | st.text(), inner), max_leaves=20
)


@given(values)
def test_what_was_encoded_reads_back(value: cbor.CborValue) -> None:
    assert cbor.decode(cbor.encode(value), LIMIT) == value


@given(st.dictionaries(numbers | st.text(max_size=3), st.none(), min_size=2))
def test_the_order_of_insertion_does_not_show(item: dict[int | str, None]) -> None:
    assert cbor.encode(dict(reversed(item.items()))) == cbor.encode(item)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_have_one_reading_or_none(data: bytes) -> None:
    try:
        value = cbor.decode(data, LIMIT)
    except SealtrailError:
        return
    assert cbor.encode(value) == data


@given(values, st.binary(min_size=1, max_size=8))
def test_nothing_may_follow_the_item(value: cbor.CborValue, more: bytes) -> None:
    with pytest.raises(FormatError):
        cbor.decode(cbor.encode(value) + more, LIMIT)


@given(values)
def test_a_truncated_item_is_refused(value: cbor.CborValue) -> None:
    encoded = cbor.encode(value)
    for length in range(len(encoded)):
        with pytest.raises(FormatError):
            cbor.decode(encoded[:length], LIMIT)


NOT_CANONICAL = {
    "integer in two bytes": "1801",
    "integer in three bytes": "190001",
    "negative integer in two bytes": "3801",
    "length in two bytes": "580161",
    "array length in two bytes": "980101",
    "map length in two bytes": "b8010101",
    "float of 64 bits that fits 16": "fb3ff0000000000000",
    "float of 32 bits that fits 16": "fa3f800000",
    "false in two bytes": "f814",
    "indefinite bytes": "5f4161ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9f01ff",
    "indefinite map": "bf0101ff",
    "keys in the wrong order": "a202010101",
    "longer key first": "a2616101182001",
    "a key twice": "a201010102",
    "a text key twice": "a2616101616102",
    "a key twice, as number and as true": "a2010101f502",
    "break alone": "ff",
    "reserved length": "1c",
    "text that is not UTF-8": "61ff",
    "text with half a surrogate pair": "63eda080",
    "nothing": "",
    "more items than bytes": "9b7fffffffffffffff",
    "more text than bytes": "7b7fffffffffffffff",
    "more pairs than bytes": "bb7fffffffffffffff",
}


@pytest.mark.parametrize("hexadecimal", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_other_encodings_are_refused(hexadecimal: str) -> None:
    with pytest.raises(FormatError):
        cbor.decode(bytes.fromhex(hexadecimal), LIMIT)


def test_not_a_number_has_one_encoding() -> None:
    assert math.isnan(cbor.decode(bytes.fromhex("f97e00"), LIMIT))
    for bits in (0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001):
        with pytest.raises(FormatError):
            cbor.decode(b"\xfb" + bits.to_bytes(8, "big"), LIMIT)
    for short in ("f97e01", "f9fe00", "f97d00", "fa7fc00000"):
        with pytest.raises(FormatError):
            cbor.decode(bytes.fromhex(short), LIMIT)


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x01"], ids=["arrays", "maps"])
def test_depth_is_bounded(opening: bytes) -> None:
    cbor.decode(opening * cbor.MAX_DEPTH + b"\x01", LIMIT)
    for depth in (cbor.MAX_DEPTH + 1, 100_000):
        with pytest.raises(FormatError, match="depth"):
            cbor.decode(opening * depth + b"\x01", LIMIT)


def test_size_is_checked_before_anything_is_read() -> None:
    with pytest.raises(LimitError, match="over the bound of 4"):
        cbor.decode(b"\xff" * 5, 4)
    assert cbor.decode(cbor.encode(b"123"), 4) == b"123"


def _tagged(number: int, body: bytes) -> bytes:
    head = next(h for h in (_head(number, size) for size in (0, 1, 2, 4, 8)) if h is not None)
    return head + body


def _head(number: int, size: int) -> bytes | None:
    if size == 0:
        return bytes([0xC0 + number]) if number < 24 else None
    additional = {1: 24, 2: 25, 4: 26, 8: 27}[size]
    return bytes([0xC0 + additional]) + number.to_bytes(size, "big") if number < 256**size else None


TAGGED = [
    _tagged(0, cbor2.dumps("2026-01-01T00:00:00Z")), _tagged(1, b"\x01"), _tagged(2, b"\x49\x01" + bytes(8)),
    _tagged(3, b"\x49\x01" + bytes(8)), _tagged(30, b"\x82\x01\x02"), _tagged(35, cbor2.dumps("(a+)+$")),
    _tagged(37, b"\x50" + bytes(16)), _tagged(258, b"\x81\x01"), _tagged(55799, b"\x01"),
    _tagged(2**64 - 1, b"\x01"),
]  # fmt: skip


@pytest.mark.parametrize("data", TAGGED, ids=lambda data: data[:4].hex())
@pytest.mark.parametrize("wrap", [b"", b"\x81", b"\xa1\x01"], ids=["alone", "in an array", "in a map"])
def test_tags_are_refused(data: bytes, wrap: bytes) -> None:
    with pytest.raises(FormatError):
        cbor.decode(wrap + data, LIMIT)


@given(st.integers(0, 2**64 - 1), scalars | st.lists(numbers, max_size=2))
def test_any_tag_is_refused(number: int, value: cbor.CborValue) -> None:
    with pytest.raises(FormatError):
        cbor.decode(_tagged(number, cbor.encode(value)), LIMIT)


def test_shared_references_do_not_multiply() -> None:
    """Lists of 250 references to the list before: twelve kilobytes that would encode to 250^16 items."""
    lists = [_tagged(28, b"\x98\xfa" + _tagged(29, bytes([n])) * 250) for n in range(16)]
    bomb = b"\x91" + _tagged(28, b"\x80") + b"".join(lists)
    with pytest.raises(FormatError):
        cbor.decode(bomb, LIMIT)


def test_string_references_do_not_multiply() -> None:
    text = cbor2.dumps("x" * 60_000)
    bomb = _tagged(256, b"\x9a" + (100_000).to_bytes(4, "big") + text + _tagged(25, b"\x00") * 99_999)
    with pytest.raises(FormatError):
        cbor.decode(bomb, LIMIT)


def _colliding_keys(count: int) -> list[tuple[int, int]]:
    """Pairs of numbers that have one hash as tuples: CPython's is xxHash without a secret, so the second number
    can be solved for."""
    whole, odd, even, start = 2**64, 11400714785074694791, 14029467366897019727, 2870177450012600261
    found: list[tuple[int, int]] = []
    for first in itertools.count(1):
        lane = (start + first * even) % whole
        mixed = ((lane << 31) | (lane >> 33)) % whole * odd % whole
        second = (12345 - mixed) * pow(even, -1, whole) % whole
        if second < 2**61 - 1:
            found.append((first, second))
        if len(found) == count:
            return found
    raise AssertionError


def test_maps_cannot_be_made_to_collide() -> None:
    """Reading such a map takes time that grows with the square of its size. No time is measured here: it must be
    refused at its first key."""
    keys = _colliding_keys(2000)
    assert len({hash(key) for key in keys}) == 1, "the attack does not fit this Python any longer"
    bomb = cbor.encode(dict.fromkeys(keys, 0))
    for data in (bomb, cbor.encode([1, [dict.fromkeys(keys, 0)], []])):
        with pytest.raises(FormatError, match="map key must be a text string or byte string, not tuple"):
            cbor.decode(data, LIMIT, number_keys=False)


@pytest.mark.parametrize("key", [1, -1, True, None, 1.0, (1,)], ids=repr)
def test_where_strangers_send_much_keys_are_text_or_bytes(key: object) -> None:
    assert cbor.decode(cbor.encode({"a": {b"b": 1}}), LIMIT, number_keys=False) == {"a": {b"b": 1}}
    with pytest.raises(FormatError):
        cbor.decode(cbor.encode({"a": {key: 1}}), LIMIT, number_keys=False)


@pytest.mark.parametrize("key", [True, 1.0, "1"], ids=repr)
def test_keys_that_only_equal_a_number_are_other_keys(key: bool | float | str) -> None:
    item = cbor.decode(cbor.encode({key: 0}), LIMIT)
    with pytest.raises(FormatError, match="must be a map with the keys"):
        cbor.exact_keys(item, frozenset({1}), "a thing")


@pytest.mark.parametrize("item", [{}, {1: 0}, {1: 0, 2: 0, 3: 0}, {1: 0, 3: 0}, [1, 2], None, 7], ids=repr)
def test_exactly_the_keys(item: object) -> None:
    cbor.exact_keys({2: 0, 1: 0}, frozenset({1, 2}), "a thing")
    with pytest.raises(FormatError, match="a thing must be a map"):
        cbor.exact_keys(item, frozenset({1, 2}), "a thing")


@pytest.mark.parametrize("value", [True, 1.0, "1", b"1", None, [1]], ids=repr)
def test_a_field_has_exactly_its_type(value: cbor.CborValue) -> None:
    assert cbor.field({1: 7}, 1, int, "number") == 7
    with pytest.raises(FormatError, match="number \\(key 1\\) must be int"):
        cbor.field({1: value}, 1, int, "number")
    with pytest.raises(FormatError):
        cbor.field([value], 1, int, "number")


@given(st.recursive(scalars.filter(lambda v: v not in (math.inf, -math.inf)),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))  # fmt: skip
def test_plain_values_are_plain(value: cbor.CborValue) -> None:
    cbor.check_plain(value, "a value")


@pytest.mark.parametrize(
    "hexadecimal", ["f7", "e0", "f820", "f97e00", "f97c00", "a10101", "a1410101", "81f7", "a16161f7"]
)
def test_what_json_cannot_show_is_not_plain(hexadecimal: str) -> None:
    value = cbor.decode(bytes.fromhex(hexadecimal), LIMIT)
    with pytest.raises(FormatError, match="no plain value"):
        cbor.check_plain(value, "a value")
