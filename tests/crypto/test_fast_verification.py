"""A yes of the native core to an Ed25519 signature is OpenSSL's yes too, for those that verifiers judge differently as
well. They are made here: the vectors of others have no label before the message."""

import os
from hashlib import sha512

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from crypto import bulk
from crypto.errors import SignatureError
from crypto.keys import Algorithm, PrivateKey, PublicKey

native = pytest.mark.skipif(bulk.ed25519_holds is None, reason="the native core was not built")
LABEL = b"sealtrail/test"
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
Point = tuple[int, int]  # affine


def _add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return (x1 * y2 + y1 * x2) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P


def _times(n: int, point: Point) -> Point:
    out = (0, 1)
    for bit in bin(n)[2:]:
        out = _add(out, out)
        out = _add(out, point) if bit == "1" else out
    return out


def _encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _decode(raw: bytes) -> Point:
    y = int.from_bytes(raw, "little") % 2**255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    return (x if x & 1 == raw[31] >> 7 else P - x), y


BASE, TORSION = _decode(bytes.fromhex("58" + "66" * 31)), _decode(ORDER_8)
SECRET = int.from_bytes(sha512(b"a secret scalar").digest(), "little") % L
PUBLIC, MIXED = _times(SECRET, BASE), _add(_times(SECRET, BASE), TORSION)


def _number(r: bytes, key: Point, message: bytes) -> int:
    return int.from_bytes(sha512(r + _encode(key) + LABEL + b"\0" + message).digest(), "little") % L


def _sign(key: Point, message: bytes, r: bytes, nonce: int, more: int = 0) -> bytes:
    """S so that S·B = nonce·B + k·secret·B, with R given as bytes."""
    s = (nonce + _number(r, key, message) * SECRET) % L + more
    return r + s.to_bytes(32, "little")


def _mixed(message: bytes, remainder: bool) -> bytes:
    """By a key with a part of order eight. Verifiers with the cofactor take any; others only where k is a multiple."""
    nonce = 1
    while bool(_number(_encode(_times(nonce, BASE)), MIXED, message) % 8) is not remainder:
        nonce += 1
    return _sign(MIXED, message, _encode(_times(nonce, BASE)), nonce)


M = b"a seal"
R = _encode(_times(77, BASE))
IDENTITY, SAME_LONGER = _encode((0, 1)), (P + 1).to_bytes(32, "little")
CASES = {
    # key, signature, whether OpenSSL takes it, whether the core does
    "honest": (PUBLIC, _sign(PUBLIC, M, R, 77), True, True),
    "S not reduced": (PUBLIC, _sign(PUBLIC, M, R, 77, L), False, False),
    "R with a part of order eight": (
        PUBLIC, _sign(PUBLIC, M, _encode(_add(_times(77, BASE), TORSION)), 77), False, False,
    ),
    "R of small order": (PUBLIC, _sign(PUBLIC, M, IDENTITY, 0), True, False),
    "R of small order, longer": (PUBLIC, _sign(PUBLIC, M, SAME_LONGER, 0), False, False),
    "R of order eight": (PUBLIC, _sign(PUBLIC, M, ORDER_8, 0), False, False),
    "mixed key, k a multiple of eight": (MIXED, _mixed(M, False), True, True),
    "mixed key, k no multiple of eight": (MIXED, _mixed(M, True), False, False),
    "other message": (PUBLIC, _sign(PUBLIC, b"another", R, 77), False, False),
    "R no point": (PUBLIC, _sign(PUBLIC, M, (2).to_bytes(32, "little"), 77), False, False),
    "too short": (PUBLIC, _sign(PUBLIC, M, R, 77)[:-1], False, False),
    "too long": (PUBLIC, _sign(PUBLIC, M, R, 77) + b"\0", False, False),
}  # fmt: skip


def _holds(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message, LABEL)
    except SignatureError:
        return False
    return True


@native
@pytest.mark.parametrize("name", CASES)
def test_signatures_that_verifiers_judge_differently(name: str) -> None:
    point, signature, valid, sure = CASES[name]
    key = PublicKey(Algorithm.ED25519, _encode(point))
    assert _holds(key, M, signature) is valid
    assert bulk.which_hold([(key, M, signature)], LABEL) == [sure]


@native
@pytest.mark.parametrize("raw", [IDENTITY, SAME_LONGER, IDENTITY[:-1] + b"\x80"], ids=["short", "long", "signed"])
def test_keys_of_small_order_are_left_to_python(raw: bytes) -> None:
    """Under the neutral point S·B signs every message, and OpenSSL says so; `PublicKey` takes no such key."""
    signature = R + (77).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(raw).verify(signature, LABEL + b"\0" + M)
    assert bulk.ed25519_holds([(raw, M, signature)], LABEL) == [False]


@native
def test_what_is_no_key_is_left_to_python() -> None:
    good = (_encode(PUBLIC), M, CASES["honest"][1])
    others = [(raw, M, good[2]) for raw in (b"", bytes(31), bytes(1312), (2).to_bytes(32, "little"))]
    assert bulk.ed25519_holds([good, *others, good], LABEL) == [True, False, False, False, False, True]


@given(st.data())
def test_a_yes_is_a_yes_everywhere(data: st.DataObject) -> None:
    """Many signatures at once, of many keys and algorithms, some damaged: each answer stands for its own signature."""
    keys = [PrivateKey.generate(a) for a in (Algorithm.ED25519, Algorithm.ED25519, Algorithm.ML_DSA_44)]
    signed = []
    for n in range(data.draw(st.integers(0, 8))):
        key, message = data.draw(st.sampled_from(keys)), os.urandom(n)
        signature = bytearray(key.sign(message, LABEL))
        if data.draw(st.booleans()):
            signature[data.draw(st.integers(0, len(signature) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        signed.append((data.draw(st.sampled_from([key, key, keys[0]])).public, message, bytes(signature)))
    assert bulk.which_hold(signed, LABEL) == [_holds(*one) for one in signed]
