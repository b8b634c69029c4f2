"""Records of the contract's identities: who may do what, and which key counts in which part of the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from chaincode.state import VERSION, fields
from crypto import cbor
from crypto.errors import FormatError, KeyMaterialError
from crypto.keys import PublicKey, algorithm_named

_IDENTITY = frozenset(range(1, 7))


class Role(StrEnum):
    """What an identity is. Only gateways change the ledger; the other roles are known by their keys."""

    SOURCE = "source"
    GATEWAY = "gateway"
    PARTNER = "partner"
    AUDITOR = "auditor"


_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key and where it counts: log indexes from_index ≤ i < until (None: open). `reason` is empty unless
    the key was revoked."""

    key: PublicKey
    from_index: int
    until: int | None = None
    reason: str = ""

    def valid_at(self, index: int) -> bool:
        return self.from_index <= index and (self.until is None or index < self.until)

    def items(self) -> list[cbor.CborValue]:
        return [str(self.key.algorithm), self.key.raw, self.from_index, self.until, self.reason]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) != 5:
            raise FormatError("a key record is a list of five: algorithm, key, from, until, reason")
        algorithm, raw, start, until, reason = items
        if type(until) not in (int, type(None)) or [type(x) for x in (algorithm, raw, start, reason)] != [
            str, bytes, int, str,
        ]:  # fmt: skip
            raise FormatError("a key record holds text, bytes, a number, a number or null, and text")
        return cls(PublicKey(algorithm_named(algorithm), raw), start, until, reason)


def source_handle(origin: str, name: str) -> str:
    """The handle of a source: two gateways may each have a source `fridge-7`. No name or origin holds a `#`."""
    return f"{origin}#{name}"


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled identity. Its key ranges count indexes of the log `origin`; the newest key comes last."""

    name: str
    role: Role
    organisation: str
    origin: str
    keys: tuple[KeyRecord, ...]

    @property
    def handle(self) -> str:
        """What it is asked for by on the ledger: a source's name is its log's own, all others are the ledger's."""
        return source_handle(self.origin, self.name) if self.role is Role.SOURCE else self.name

    @property
    def current_key(self) -> PublicKey | None:
        """The key by which it acts now; None where that is revoked."""
        return self.current.key if self.current else None

    @property
    def current(self) -> KeyRecord | None:
        """The open key, None once it was revoked."""
        return self.keys[-1] if self.keys[-1].until is None else None

    def key_at(self, index: int) -> PublicKey:
        """The key that counts at this index of the log; KeyMaterialError where none does."""
        for record in self.keys:
            if record.valid_at(index):
                return record.key
        raise KeyMaterialError(f"{self.name} has no valid key at index {index} of {self.origin}")

    def encode(self) -> bytes:
        keys = [record.items() for record in self.keys]
        values = (VERSION, self.name, str(self.role), self.organisation, self.origin, keys)
        return cbor.encode(dict(enumerate(values, 1)))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _IDENTITY, "identity record")
        role = cbor.field(item, 3, str, "role")
        if role not in _ROLES:
            raise FormatError(f"role must be one of {', '.join(Role)}, got {role[:20]!r}")
        keys = tuple(KeyRecord.of(items) for items in cbor.field(item, 6, list, "keys"))
        check_ranges(keys)
        return cls(
            cbor.field(item, 2, str, "name"), Role(role), cbor.field(item, 4, str, "organisation"),
            cbor.field(item, 5, str, "origin"), keys,
        )  # fmt: skip


def check_ranges(keys: Sequence[KeyRecord]) -> None:
    """FormatError unless there is a key, every range runs forward, and each ends before the next begins."""
    if not keys:
        raise FormatError("an identity has at least one key")
    for record, following in zip(keys, [*keys[1:], None], strict=True):
        end = record.until
        if record.from_index < 0 or (end is not None and end < record.from_index):
            raise FormatError(f"a key's range must run forward from 0, got {record.from_index} to {end}")
        if following is not None and (end is None or end > following.from_index):
            raise FormatError(f"key ranges overlap: one ends at {end}, the next begins at {following.from_index}")
