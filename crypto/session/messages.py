"""The messages of a handshake and around it: small canonical CBOR maps with integer keys (crypto.flat).

Input to every `decode` is untrusted; sizes are bounded and forms checked before any cryptography, and FormatError or
LimitError says what is wrong. What stands under a seal (key 7, or 4 of the third) is decoded only once it was opened.
"""

from typing import Any, Final

from msgspec import Struct

from crypto import cbor, flat
from crypto.errors import FormatError
from crypto.flat import Shape
from crypto.kem import CIPHERTEXT_BYTES, PUBLIC_BYTES, KemSuite
from crypto.merkle import HASH_BYTES
from crypto.session.suites import MAX_SUITES, TAG_BYTES

VERSION: Final = 1
M1, M2, M3, M4, REFUSAL, ASK, ANNOUNCEMENT = range(1, 8)
NONCE: Final = 32
SID: Final = 16
CHECKPOINT: Final = 16 * 1024
SEALED_1, SEALED_2, SEALED_3 = 512, CHECKPOINT + 512, 12 * 1024
LIMITS: Final = {M1: 4096, M2: 20 * 1024, M3: 13 * 1024, M4: 128, REFUSAL: 128, ASK: 128, ANNOUNCEMENT: 16 * 1024}
_KEM: Final = CIPHERTEXT_BYTES[KemSuite.X_WING]
_HEAD: Final = {1: ("version", int), 2: ("type", int)}
_SHAPES: Final = {
    M1: Shape(_HEAD | {3: ("suites", bytes), 4: ("nonce", bytes), 5: ("encapsulation", bytes),
                       6: ("ephemeral key", bytes), 7: ("sealed", bytes)}),
    M2: Shape(_HEAD | {3: ("session", bytes), 4: ("nonce", bytes), 5: ("suite", int), 6: ("encapsulation", bytes),
                       7: ("sealed", bytes)}),
    M3: Shape(_HEAD | {3: ("session", bytes), 4: ("sealed", bytes)}),
    M4: Shape(_HEAD | {3: ("session", bytes), 4: ("confirmation", bytes)}),
    REFUSAL: Shape(_HEAD | {3: ("about", bytes)}),
    ASK: Shape(_HEAD),
    ANNOUNCEMENT: Shape(_HEAD | {3: ("body", bytes), 4: ("signature", bytes)}),
}  # fmt: skip
_LENGTHS: Final[dict[int, dict[int, tuple[int, int]]]] = {
    M1: {3: (1, MAX_SUITES), 4: (NONCE, NONCE), 5: (_KEM, _KEM), 6: (PUBLIC_BYTES[KemSuite.X_WING],) * 2,
         7: (TAG_BYTES, SEALED_1)},
    M2: {3: (SID, SID), 4: (NONCE, NONCE), 6: (_KEM, _KEM), 7: (TAG_BYTES, SEALED_2)},
    M3: {3: (SID, SID), 4: (TAG_BYTES, SEALED_3)},
    M4: {3: (SID, SID), 4: (HASH_BYTES, HASH_BYTES)},
    REFUSAL: {3: (SID, NONCE)},
    ASK: {},
    ANNOUNCEMENT: {3: (1, 4096), 4: (1, SEALED_3)},
}  # fmt: skip
_HELLO: Final = Shape({1: ("source", str), 2: ("credential", bytes), 3: ("boot", int)})
_WELCOME: Final = Shape({
    1: ("confirmation", bytes), 2: ("suites", bytes), 3: ("frames an epoch", int), 4: ("seconds an epoch", int),
    5: ("seconds a session", int), 6: ("time", int), 7: ("checkpoint", bytes),
})  # fmt: skip


class Hello(Struct, frozen=True):
    """Who a device says it is; nothing of it is proved before the third message. `kid`: of its signing key."""

    source: str
    kid: bytes
    boot: int

    def encode(self) -> bytes:
        return flat.encode({1: self.source, 2: self.kid, 3: self.boot})

    @classmethod
    def decode(cls, data: bytes) -> "Hello":
        item = flat.decode(data, SEALED_1, "a device's hello", _HELLO)
        _length(item, 2, HASH_BYTES, HASH_BYTES, "a device's hello")
        return cls(item[1], item[2], item[3])


class Terms(Struct, frozen=True):
    """What a gateway grants and tells: after how many frames and seconds an epoch ends, after how many seconds the
    session; its time in microseconds since 1970; its newest checkpoint (a signed note), or nothing."""

    epoch_frames: int = 1 << 20
    epoch_s: int = 600
    session_s: int = 3600
    time_us: int = 0
    checkpoint: bytes = b""

    def encode(self, suites: bytes) -> dict[int, Any]:
        """The second message's sealed map without its confirmation."""
        return {2: suites, 3: self.epoch_frames, 4: self.epoch_s, 5: self.session_s, 6: self.time_us,
                7: self.checkpoint}  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> tuple[bytes, bytes, "Terms"]:
        """Confirmation, the gateway's suites, terms."""
        what = "a gateway's welcome"
        item = flat.decode(data, SEALED_2, what, _WELCOME)
        _length(item, 1, HASH_BYTES, HASH_BYTES, what)
        _length(item, 2, 1, MAX_SUITES, what)
        if not (item[3] and item[4] and item[5]) or len(item[7]) > CHECKPOINT:
            raise FormatError(f"{what} has bounds above zero and a checkpoint of at most {CHECKPOINT} bytes")
        return item[1], item[2], cls(item[3], item[4], item[5], item[6], item[7])


def refused(seq: int, code: int) -> bytes:
    """The plaintext of a frame that refuses another: its number, and an MQTT reason code."""
    return cbor.encode([seq, code])


def open_refused(plaintext: bytes) -> tuple[int, int]:
    """Number and reason code of a frame of type 3, which is the gateway's own word; FormatError for anything else."""
    item = cbor.decode(plaintext, 64, number_keys=False)
    if type(item) is not list or [type(part) for part in item] != [int, int]:
        raise FormatError("a refused frame is [seq, reason code]")
    return item[0], item[1]


def encode(kind: int, fields: dict[int, Any]) -> bytes:
    """A message of this type; `fields` from key 3 on, in rising order."""
    return flat.encode({1: VERSION, 2: kind, **fields})


def decode(data: bytes, kind: int) -> dict[int, Any]:
    """The map of a message that must be of this type."""
    what = f"handshake message of type {kind}"
    item = flat.decode(data, LIMITS[kind], what, _SHAPES[kind])
    if (item[1], item[2]) != (VERSION, kind):
        raise FormatError(f"expected version {VERSION} and type {kind}, got version {item[1]} and type {item[2]}")
    for key, (least, most) in _LENGTHS[kind].items():
        _length(item, key, least, most, what)
    if kind == M1 and len(set(item[3])) != len(item[3]):
        raise FormatError(f"{what} names a suite twice")
    return item


def kind_of(data: bytes) -> int:
    """The type that a message says it has, without looking at the rest; 0 for what cannot be one. Every message begins
    with its map's head, 01 and the version, 02 and the type."""
    return data[4] if len(data) > 4 and data[1:4] == bytes((1, VERSION, 2)) and M1 <= data[4] <= ANNOUNCEMENT else 0


def _length(item: dict[int, Any], key: int, least: int, most: int, what: str) -> None:
    if not least <= len(item[key]) <= most:
        raise FormatError(f"{what}: key {key} has {least} to {most} bytes, got {len(item[key])}")
