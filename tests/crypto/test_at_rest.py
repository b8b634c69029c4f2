"""Encryption at rest: what was altered, shortened, moved or sealed under another key does not open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.at_rest import AtRestKey, new_key
from crypto.errors import DecryptionError

KEY = AtRestKey(bytes(range(32)))
SEALED = KEY.seal(b"4.5 Cel", b"place")


@given(st.binary(max_size=300), st.binary(max_size=50), st.binary(min_size=32, max_size=32))
def test_what_was_sealed_opens(plaintext: bytes, place: bytes, key: bytes) -> None:
    sealed = AtRestKey(key).seal(plaintext, place)
    assert AtRestKey(key).open(sealed, place) == plaintext
    assert len(sealed) == 12 + len(plaintext) + 16


def test_each_flipped_bit_is_found() -> None:
    for bit in range(8 * len(SEALED)):
        altered = bytearray(SEALED)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            KEY.open(bytes(altered), b"place")


def test_each_truncation_is_found() -> None:
    for length in range(len(SEALED)):
        for part in (SEALED[:length], SEALED[len(SEALED) - length :]):
            with pytest.raises(DecryptionError):
                KEY.open(part, b"place")


@given(st.binary(max_size=100))
def test_arbitrary_bytes_do_not_open(data: bytes) -> None:
    with pytest.raises(DecryptionError):
        KEY.open(data, b"place")


@pytest.mark.parametrize("place", [b"", b"plac", b"place2", b"place\x00"])
def test_another_place_is_found(place: bytes) -> None:
    with pytest.raises(DecryptionError, match="moved from its place"):
        KEY.open(SEALED, place)


def test_another_key_does_not_open() -> None:
    with pytest.raises(DecryptionError):
        AtRestKey(new_key()).open(SEALED, b"place")


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_shorter_keys_are_refused(length: int) -> None:
    """AES would take 16 and 24 bytes in silence."""
    with pytest.raises(DecryptionError, match="32 bytes"):
        AtRestKey(bytes(length))


def test_nonces_and_keys_do_not_repeat() -> None:
    assert len({KEY.seal(b"same", b"place")[:12] for _ in range(1000)}) == 1000
    assert len({new_key() for _ in range(1000)}) == 1000
