"""Strict JSON: bounds before parsing, and what a decoder alone lets through is refused.

Trust boundary: takes untrusted bytes. A decoder of msgspec already refuses NaN, Infinity, numbers beyond
IEEE double, lone surrogates, a byte order mark and trailing bytes. Added here: size, nesting depth,
duplicate keys (RFC 8259 section 4 leaves them open, and two parsers that disagree make a proof worthless),
and invalid UTF-8 in parts that a decoder skips.
"""

import json
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

from gateway.preprocess.errors import PayloadRejected

MAX_BYTES = 60_000  # a log entry holds 65,535 bytes at most; the rest is left to the envelope
MAX_DEPTH = 8  # the deepest kind needs four

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ALL_SQUARE = bytes.maketrans(b"{}", b"[]")


class Decoder(Protocol[T_co]):
    """The part of msgspec.json.Decoder that is used here."""

    def decode(self, buf: bytes, /) -> T_co: ...


def check_bounds(payload: bytes, max_depth: int = MAX_DEPTH, max_bytes: int = MAX_BYTES) -> None:
    """Refuse what is empty, too large or too deep, before any parser sees it."""
    if not payload:
        raise PayloadRejected("expected a JSON payload, got no bytes; send at least one value")
    if len(payload) > max_bytes:
        raise PayloadRejected(f"expected at most {max_bytes} bytes, got {len(payload)}; split it into several events")
    # A payload with few opening brackets cannot be deep: almost all readings end here.
    if payload.count(b"[") + payload.count(b"{") > max_depth:
        _check_depth(payload, max_depth)


def _check_depth(payload: bytes, max_depth: int) -> None:
    """Peel one level of brackets a round; what is left after `max_depth` rounds is too deep or not closed."""
    outside_strings = payload.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    brackets = b"".join(outside_strings).translate(_ALL_SQUARE, _NO_BRACKETS)
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise PayloadRejected(
            f"JSON is nested deeper than {max_depth} levels, or its brackets do not close; send a flatter payload"
        )


def decode(decoder: Decoder[T], payload: bytes) -> T:
    """Decode into the decoder's type. `check_bounds` has been called. Duplicate keys are not found here."""
    try:
        return decoder.decode(payload)
    except (ValueError, RecursionError) as e:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        raise PayloadRejected(f"payload does not fit the schema: {e!s:.300}") from e


def check_keys(payload: bytes, refused: Callable[[str], bool] = lambda key: False) -> None:
    """Refuse duplicate keys anywhere, keys for which `refused` is true, and invalid UTF-8."""

    def check(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise PayloadRejected(f"field {key!r:.80} occurs twice in one object; send it once")
            if refused(key):
                raise PayloadRejected(f"field {key!r:.80} must be understood, but is not known here; leave it out")
            seen.add(key)

    try:
        json.loads(payload.decode("utf-8"), object_pairs_hook=check, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as e:
        raise PayloadRejected(f"payload is not JSON (RFC 8259): {e!s:.300}") from e


def decode_strict(decoder: Decoder[T], payload: bytes) -> T:
    """All of the above in order: bounds, types, duplicate keys."""
    check_bounds(payload)
    value = decode(decoder, payload)
    check_keys(payload)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise PayloadRejected(f"{name} is not a JSON number (RFC 8259 section 6); leave the value out")
