"""Flat maps: the same one encoding as crypto.cbor, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import cbor, flat
from crypto.errors import FormatError, SealtrailError
from crypto.flat import Shape

LIMIT = 4096

values = st.integers(0, 2**63 - 1) | st.text() | st.binary()


@given(st.lists(values, min_size=1, max_size=20))
def test_flat_maps_have_the_same_one_encoding(found: list[cbor.CborValue]) -> None:
    item: dict[int, cbor.CborValue] = dict(enumerate(found, 1))
    shape = Shape({key: (f"field {key}", type(value)) for key, value in item.items()})
    encoded = flat.encode(item)
    assert encoded == cbor.encode(item)
    assert flat.decode(encoded, LIMIT, "a thing", Shape({99: ("other", int)}), shape) == item


SHAPE = Shape({1: ("number", int), 2: ("text", str), 3: ("bytes", bytes)})
NOT_FLAT = {
    "a key missing": "a20101026161",
    "a key more": "a4010102616103416104f6",
    "keys in another order": "a30261610101034161",
    "a key that is true": "a3f501026161034161",
    "a key that is 1.0": "a3f93c0001026161034161",
    "a key twice": "a401010101026161034161",
    "a value of another type": "a30101024161034161",
    "a value that is true": "a301f5026161034161",
    "a value that is 1.0": "a301f93c00026161034161",
    "a negative number": "a30120026161034161",
    "a number of 2^63": "a3011b8000000000000000026161034161",
    "a list inside": "a3018101026161034161",
    "an integer in two bytes": "a3011801026161034161",
    "a length in two bytes": "a3010102780161034161",
    "indefinite": "bf0101026161034161ff",
    "a big number in a tag": "a301c249010000000000000000026161034161",
    "a tag around all": "d9d9f7a30101026161034161",
    "something behind": "a3010102616103416100",
    "cut off": "a3010102616103",
    "a list": "830161614161",
    "nothing": "",
}


@pytest.mark.parametrize("hexadecimal", NOT_FLAT.values(), ids=NOT_FLAT.keys())
def test_what_is_not_flat_and_canonical_is_refused(hexadecimal: str) -> None:
    assert flat.decode(bytes.fromhex("a30101026161034161"), LIMIT, "a thing", SHAPE) == {1: 1, 2: "a", 3: b"a"}
    with pytest.raises(FormatError):
        flat.decode(bytes.fromhex(hexadecimal), LIMIT, "a thing", SHAPE)


@given(st.binary(max_size=60))
def test_flat_and_general_reading_agree(data: bytes) -> None:
    for candidate in (data, b"\xa3\x01" + data, b"\xa3\x01\x01\x02\x61a\x03\x41" + data):
        try:
            item = flat.decode(candidate, LIMIT, "a thing", SHAPE)
        except SealtrailError:
            continue
        assert cbor.decode(candidate, LIMIT) == item


def test_maps_in_keys_are_not_read() -> None:
    with pytest.raises(FormatError, match="depth"):
        flat.decode(cbor.encode({(1, 2): 0}), LIMIT, "a thing", SHAPE)


def test_messages_name_the_field() -> None:
    with pytest.raises(FormatError, match=r"a thing: text \(key 2\) must be str, got int"):
        flat.decode(cbor.encode({1: 1, 2: 2, 3: b""}), LIMIT, "a thing", SHAPE)
    with pytest.raises(FormatError, match=r"a thing: number \(key 1\) must be an integer from 0"):
        flat.decode(cbor.encode({1: -1, 2: "", 3: b""}), LIMIT, "a thing", SHAPE)
