"""Records of KEM keys: to which key an identity wants to be sealed to, now and before."""

from dataclasses import dataclass
from typing import Any, Self

from chaincode.state import encoded, fields
from crypto import cbor
from crypto.errors import FormatError
from crypto.kem import KemPublicKey, kem_suite_named

MAX_KEM_KEYS = 32
_KEYS = frozenset(range(1, 4))


@dataclass(frozen=True, slots=True)
class KemKey:
    """A KEM key and when it counted: times of the transactions in µs since 1970 (None: it still does). `reason` is
    empty unless the key was withdrawn; one that another took the place of has none."""

    key: KemPublicKey
    since_us: int
    until_us: int | None = None
    reason: str = ""

    def items(self) -> list[cbor.CborValue]:
        return [str(self.key.suite), self.key.raw, self.since_us, self.until_us, self.reason]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) != 5:
            raise FormatError("a KEM key is a list of five: suite, key, since, until, reason")
        suite, raw, since, until, reason = items
        if type(until) not in (int, type(None)) or [type(x) for x in (suite, raw, since, reason)] != [
            str, bytes, int, str,
        ]:  # fmt: skip
            raise FormatError("a KEM key holds text, bytes, a time, a time or null, and text")
        if not all(0 <= time_us < 2**63 for time_us in (since, until or 0)):
            raise FormatError("times are in µs since 1970 and below 2^63")
        return cls(KemPublicKey(kem_suite_named(suite), raw), since, until, reason)


@dataclass(frozen=True, slots=True)
class KemKeys:
    """All KEM keys that an identity ever published, the newest last. Only the newest can be open."""

    handle: str
    keys: tuple[KemKey, ...]

    @property
    def current(self) -> KemPublicKey | None:
        """The key to seal to; None where it was withdrawn."""
        return self.keys[-1].key if self.keys and self.keys[-1].until_us is None else None

    def encode(self) -> bytes:
        return encoded(self.handle, [key.items() for key in self.keys])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _KEYS, "KEM keys record")
        keys = tuple(KemKey.of(items) for items in cbor.field(item, 3, list, "KEM keys"))
        if not 1 <= len(keys) <= MAX_KEM_KEYS:
            raise FormatError(f"an identity has 1 to {MAX_KEM_KEYS} KEM keys, got {len(keys)}")
        if any(key.until_us is None for key in keys[:-1]):
            raise FormatError("only the newest KEM key may be open")
        return cls(cbor.field(item, 2, str, "handle"), keys)
