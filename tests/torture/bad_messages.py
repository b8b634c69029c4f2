"""Bad messages of a device, made from valid ones by a seed: the same seed makes the same messages.

Each family says which answers (PUBACK reason codes) are right for what it makes; ANY where damage may be harmless.
"""

import random
from collections.abc import Callable
from typing import Any

import cbor2

from chain.event import MAX_PAYLOAD_BYTES, content_hash
from chain.seal import Seal, sign_seal
from crypto import labels
from crypto.keys import Algorithm, PrivateKey
from crypto.merkle import root_of
from tests.support.source import START_US, payload_bytes

STORED, FORBIDDEN, REJECTED = 0x00, 0x87, 0x99
ANY = frozenset({STORED, FORBIDDEN, REJECTED})
NO, KEPT = frozenset({REJECTED}), frozenset({STORED})
OTHER_KEYS = [PrivateKey.generate(a) for a in (Algorithm.ED25519, Algorithm.ML_DSA_44)]
NUMBERS: list[Any] = [
    -(2**64), -(2**63), -1, 0, 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**500, True, None, 0.0,
    -0.0, 1.5, 5e-324, 1.7e308, float("nan"), float("inf"), float("-inf"), "1", b"1", [], [[]], {}, {1: 2},
]  # fmt: skip
TEXTS: list[Any] = [
    "",
    "a" * 65,
    "A",
    "../../etc/passwd",
    "st/1/x",
    "\0",
    "😀",
    "é",
    "dev\n",
    "x" * 70_000,
    b"dev",
    7,
]
NO_NUMBERS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"0x10", b"01", b"+1", b"true", b'"5"', b"[]", b"{}", b"",
    b"{", b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\\ud800"', b"[" * 5000, b"[" * 40 + b"]" * 40, b"//",
    b"5;", b'{"a":' * 900 + b"1" + b"}" * 900, b'5,"v":6', b'5}],[{"v":6',
]  # fmt: skip
ODD_NUMBERS = [b"1e-999", b"-0", b"9" * 400, b"1" * 5000, b"null", b'"\\u0000"', b"\xef\xbb\xbf5", b"1e308", b"\t5"]


class Maker:
    """Makes bad messages in the name of one source. Every message has a boot of its own, far from any that damage
    makes of another's, so that none depends on what became of another."""

    def __init__(self, name: str, key: PrivateKey, seed: int) -> None:
        self.name, self.key = name, key
        self.random = random.Random(seed)
        self._boot = 0

    def make(self) -> tuple[str, bytes, frozenset[int]]:
        """The next message: its family, its bytes, and the answers that are right."""
        family = self.random.choice(FAMILIES)
        self._boot = self.random.getrandbits(61)
        payload, right = family(self)
        return family.__name__.strip("_"), payload, right

    def event(self, seq: int, payload: bytes | None = None, **fields: Any) -> bytes:
        item: dict[int, Any] = {
            1: 1, 2: self.name, 3: self._boot, 4: seq, 5: 1, 6: 1, 7: START_US, 8: self.random.randbytes(16),
            9: payload_bytes(5.0) if payload is None else payload,
        }  # fmt: skip
        return cbor2.dumps(item | {int(k[1:]): v for k, v in fields.items()}, canonical=True)

    def seal(self, events: list[bytes], **changed: Any) -> Seal:
        parts: dict[str, Any] = {
            "source": self.name, "boot": self._boot, "first": 0, "count": len(events),
            "root": root_of([content_hash(e) for e in events]), "previous": bytes(32), "signed_us": START_US,
            "kid": self.key.public.kid,
        }  # fmt: skip
        return Seal(**parts | changed)


def outer(events: list[Any], seals: list[Any] | None = None) -> bytes:
    return cbor2.dumps([1, events, seals or []], canonical=True)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """One to four small damages anywhere."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        what = rng.randrange(6)
        if what == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif what == 1 and out:
            out[at % len(out)] = rng.choice((0, 1, 0x7F, 0x80, 0x9F, 0xBF, 0xC0, 0xDB, 0xF6, 0xFB, 0xFF))
        elif what == 2:
            del out[at:]
        elif what == 3:
            del out[at : at + rng.randint(1, 9)]
        elif what == 4:
            out[at:at] = rng.randbytes(rng.randint(1, 9))
        else:
            out[at:at] = out[at : at + rng.randint(1, 99)]
    return bytes(out)


Made = tuple[bytes, frozenset[int]]


def _bytes_of_the_message(m: Maker) -> Made:
    return damaged(m.random, outer([m.event(n) for n in range(m.random.randint(1, 4))])), ANY


def _bytes_of_an_event(m: Maker) -> Made:
    return outer([m.event(0), damaged(m.random, m.event(1)), m.event(2)]), ANY


def _bytes_of_the_payload(m: Maker) -> Made:
    return outer([m.event(0, damaged(m.random, payload_bytes(5.0)))]), ANY


def _truncated(m: Maker) -> Made:
    whole = outer([m.event(0), m.event(1)])
    return whole[: m.random.randrange(len(whole))], NO


def _garbage(m: Maker) -> Made:
    return m.random.randbytes(m.random.choice((0, 1, 2, 9, 100, 3000))), NO


def _deeply_nested(m: Maker) -> Made:
    opening = m.random.choice((b"\x81", b"\x9f", b"\xa1\x01", b"\xd8\x1c\x81", b"\xc1", b"\x82\x01"))
    return opening * m.random.choice((17, 500, 30_000)) + b"\x00" * m.random.randint(0, 1), NO


def _oversized_event(m: Maker) -> Made:
    return outer([m.event(0, b" " * (MAX_PAYLOAD_BYTES + m.random.choice((1, 257, 50_000))))]), NO


def _a_field(m: Maker) -> Made:
    key = m.random.choice(("_1", "_2", "_3", "_4", "_5", "_6", "_7", "_8", "_9"))
    return outer([m.event(0, **{key: m.random.choice(NUMBERS + TEXTS)})]), ANY


def _an_unknown_field(m: Maker) -> Made:
    return outer([m.event(0, **{f"_{m.random.choice((0, 10, 99, 2**64 - 1))}": 1})]), NO


def _a_jump(m: Maker) -> Made:
    return outer([m.event(m.random.choice((2**31, 2**63 - 1)))]), KEPT


def _a_jump_too_far(m: Maker) -> Made:
    return outer([m.event(m.random.choice((2**63, 2**64 - 1, -1)))]), NO


def _no_number(m: Maker) -> Made:
    return outer([m.event(0, b'[{"n":"t","u":"Cel","v":' + m.random.choice(NO_NUMBERS) + b"}]")]), NO


def _an_odd_number(m: Maker) -> Made:
    return outer([m.event(0, b'[{"n":"t","u":"Cel","v":' + m.random.choice(ODD_NUMBERS) + b"}]")]), ANY


def _a_time(m: Maker) -> Made:
    return outer([m.event(0, _7=m.random.choice((0, 1, 2**62, 2**63 - 1)))]), KEPT


def _a_time_too_far(m: Maker) -> Made:
    return outer([m.event(0, _7=m.random.choice((-1, 2**63, 2**64 - 1, float("inf"))))]), NO


def _twice(m: Maker) -> Made:
    event = m.event(0)
    return outer([event] * m.random.randint(2, 1024)), KEPT


def _too_many(m: Maker) -> Made:
    return outer([m.event(0)] * 1025), NO


def _another_body(m: Maker) -> Made:
    return outer([m.event(0), m.event(0)]), NO


def _in_any_order(m: Maker) -> Made:
    events = [m.event(n) for n in range(8)]
    m.random.shuffle(events)
    return outer(events), KEPT


def _of_another_source(m: Maker) -> Made:
    return outer([m.event(0, _2="somebody-else")]), frozenset({FORBIDDEN})


def _signed(m: Maker, key: PrivateKey, label: bytes = labels.SEAL, **changed: Any) -> Made:
    events = [m.event(0)]
    seal = m.seal(events, **changed).encode()
    return outer(events, [[seal, key.sign(seal, label)]]), NO


def _signed_by_another_key(m: Maker) -> Made:
    return _signed(m, OTHER_KEYS[0])


def _signed_with_another_algorithm(m: Maker) -> Made:
    return _signed(m, OTHER_KEYS[1])


def _signed_for_another_purpose(m: Maker) -> Made:
    return _signed(m, m.key, labels.ENROL)


def _a_key_that_was_never_enrolled(m: Maker) -> Made:
    return _signed(m, OTHER_KEYS[0], kid=OTHER_KEYS[0].public.kid)


def _a_seal_beyond_all_numbers(m: Maker) -> Made:
    return _signed(m, m.key, first=2**63 - 1, count=65_536)


def _a_damaged_signature(m: Maker) -> Made:
    events = [m.event(0)]
    signed = sign_seal(m.seal(events), m.key)
    at = m.random.randrange(len(signed.signature))
    signature = bytearray(signed.signature)
    signature[at] ^= 1 << m.random.randrange(8)
    return outer(events, [[signed.seal, bytes(signature)]]), NO


def _a_damaged_seal(m: Maker) -> Made:
    events = [m.event(0)]
    signed = sign_seal(m.seal(events), m.key)
    seal = bytearray(signed.seal)
    seal[m.random.randrange(len(seal))] ^= 1 << m.random.randrange(8)
    return outer(events, [[bytes(seal), signed.signature]]), frozenset({REJECTED, FORBIDDEN})


FAMILIES: list[Callable[[Maker], Made]] = [
    _bytes_of_the_message,
    _bytes_of_an_event,
    _bytes_of_the_payload,
    _truncated,
    _garbage,
    _deeply_nested,
    _a_field,
    _an_unknown_field,
    _a_jump,
    _a_jump_too_far,
    _no_number,
    _an_odd_number,
    _a_time,
    _a_time_too_far,
    _another_body,
    _in_any_order,
    _of_another_source,
    _signed_by_another_key,
    _signed_with_another_algorithm,
    _signed_for_another_purpose,
    _a_key_that_was_never_enrolled,
    _a_seal_beyond_all_numbers,
    _a_damaged_signature,
    _a_damaged_seal,
] * 4 + [_oversized_event, _twice, _too_many]
