"""Bearer secrets: long enough that a plain hash may be stored, and compared in constant time."""

import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import tokens

LOOK_ALIKES = set("ilou")


def test_tokens_carry_256_bits() -> None:
    found = {tokens.new_token() for _ in range(1000)}
    assert len(found) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in found)


def test_codes_carry_130_bits_that_can_be_read_aloud() -> None:
    found = [tokens.new_code() for _ in range(1000)]
    assert len(set(found)) == 1000
    assert all(re.fullmatch(r"([a-z0-9]{5}-){5}[a-z0-9]", code) for code in found)
    letters = set("".join(found)) - {"-"}
    assert len(letters) == 32  # five bits a letter; 26,000 draws miss one of 32 with probability below 10^-300
    assert not letters & LOOK_ALIKES


@given(st.text() | st.binary())
def test_a_token_matches_its_own_fingerprint(token: str | bytes) -> None:
    stored = tokens.fingerprint(token)
    assert len(stored) == 32
    assert tokens.matches(token, stored)


@given(st.text())
def test_a_password_is_the_same_as_text_and_as_bytes(token: str) -> None:
    """HTTP brings text, MQTT brings bytes."""
    assert tokens.matches(token.encode(), tokens.fingerprint(token))


@given(st.text() | st.binary(), st.text() | st.binary())
def test_another_token_does_not_match(token: str | bytes, other: str | bytes) -> None:
    same = _bytes(token) == _bytes(other)
    assert tokens.matches(other, tokens.fingerprint(token)) is same


def _bytes(token: str | bytes) -> bytes:
    return token.encode() if isinstance(token, str) else token


@pytest.mark.parametrize("wrong", ["\ud800", "token\udcff", "a" * 1_000_000, "", "\x00"], ids=lambda t: repr(t[:8]))
def test_what_no_token_can_be_is_a_wrong_token(wrong: str) -> None:
    assert not tokens.matches(wrong, tokens.fingerprint(tokens.new_token()))


def test_a_damaged_fingerprint_matches_nothing() -> None:
    token = tokens.new_token()
    stored = tokens.fingerprint(token)
    for damaged in (b"", stored[:31], stored + b"\x00", bytes(32)):
        assert not tokens.matches(token, damaged)


def test_comparison_does_not_stop_at_the_first_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are not measured here; that the standard library's constant-time comparison decides is."""
    asked: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def noted(a: bytes, b: bytes) -> bool:
        asked.append((a, b))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    stored = tokens.fingerprint("right")
    assert tokens.matches("right", stored)
    assert not tokens.matches("wrong", stored)
    assert asked == [(stored, stored), (tokens.fingerprint("wrong"), stored)]
