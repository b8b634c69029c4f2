"""Records of the contract's identities: who may do what, and which key counts in which part of the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from chaincode.state import encoded, fields
from crypto import cbor
from crypto.errors import FormatError, KeyMaterialError
from crypto.keys import PublicKey, algorithm_named

_IDENTITY = frozenset(range(1, 7))
_RECOVERABLE = frozenset(range(1, 8))


class Role(StrEnum):
    """What an identity is. Only gateways change the ledger; the other roles are known by their keys."""

    SOURCE = "source"
    GATEWAY = "gateway"
    PARTNER = "partner"
    AUDITOR = "auditor"


_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A key was in strange hands: what it signed from the log index `since` on, while it still counted, may be a
    thief's. `tx_id` names the transaction that declared it."""

    since: int
    tx_id: str


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key and where it counts: log indexes from_index ≤ i < until (None: open). `reason` is empty unless
    the key was revoked or recovered from."""

    key: PublicKey
    from_index: int
    until: int | None = None
    reason: str = ""
    doubt: Doubt | None = None

    def valid_at(self, index: int) -> bool:
        return self.from_index <= index and (self.until is None or index < self.until)

    def doubt_at(self, index: int) -> Doubt | None:
        """Why a signature at this index is in doubt; None where it is not."""
        return self.doubt if self.doubt and self.valid_at(index) and index >= self.doubt.since else None

    def doubted(self, doubt: Doubt) -> "KeyRecord":
        """The same key with this doubt, unless it was doubted from as early before: doubt is never taken back."""
        return self if self.doubt and self.doubt.since <= doubt.since else replace(self, doubt=doubt)

    def items(self) -> list[cbor.CborValue]:
        doubt: list[cbor.CborValue] = [self.doubt.since, self.doubt.tx_id] if self.doubt else []
        return [str(self.key.algorithm), self.key.raw, self.from_index, self.until, self.reason, *doubt]

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or len(items) not in (5, 7):
            raise FormatError("a key record is a list: algorithm, key, from, until, reason, [doubt since, transaction]")
        algorithm, raw, start, until, reason = items[:5]
        if type(until) not in (int, type(None)) or [type(x) for x in (algorithm, raw, start, reason)] != [
            str, bytes, int, str,
        ]:  # fmt: skip
            raise FormatError("a key record holds text, bytes, a number, a number or null, and text")
        if [type(item) for item in items[5:]] not in ([], [int, str]):
            raise FormatError("a key record's doubt is a number and the id of a transaction")
        doubt = Doubt(*items[5:]) if len(items) == 7 else None
        return cls(PublicKey(algorithm_named(algorithm), raw), start, until, reason, doubt)


def source_handle(origin: str, name: str) -> str:
    """The handle of a source: two gateways may each have a source `fridge-7`. No name or origin holds a `#`."""
    return f"{origin}#{name}"


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled identity. Its key ranges count indexes of the log `origin`; the newest key comes last. `recovery`
    is the offline key that may replace the newest one without its help, where there is such a key."""

    name: str
    role: Role
    organisation: str
    origin: str
    keys: tuple[KeyRecord, ...]
    recovery: PublicKey | None = None

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
        return self.record_at(index).key

    def record_at(self, index: int) -> KeyRecord:
        """The same with its range, and whether it is in doubt."""
        for record in self.keys:
            if record.valid_at(index):
                return record
        raise KeyMaterialError(f"{self.name} has no valid key at index {index} of {self.origin}")

    def key_of(self, kid: bytes) -> PublicKey | None:
        """The key of this id, where what it signed counts whenever that was: one that was rotated away signed what
        waited meanwhile; one that was revoked, or is in doubt, counts no more."""
        for record in self.keys:
            if record.key.kid == kid and not record.reason and record.doubt is None:
                return record.key
        return None

    def encode(self) -> bytes:
        keys = [record.items() for record in self.keys]
        values: list[cbor.CborValue] = [self.name, str(self.role), self.organisation, self.origin, keys]
        if self.recovery:
            values.append([str(self.recovery.algorithm), self.recovery.raw])
        return encoded(*values)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _IDENTITY, "identity record", _RECOVERABLE)
        role = cbor.field(item, 3, str, "role")
        if role not in _ROLES:
            raise FormatError(f"role must be one of {', '.join(Role)}, got {role[:20]!r}")
        keys = tuple(KeyRecord.of(items) for items in cbor.field(item, 6, list, "keys"))
        check_ranges(keys)
        return cls(
            cbor.field(item, 2, str, "name"), Role(role), cbor.field(item, 4, str, "organisation"),
            cbor.field(item, 5, str, "origin"), keys, _recovery(item[7]) if 7 in item else None,
        )  # fmt: skip


def _recovery(pair: Any) -> PublicKey:
    if type(pair) is not list or [type(part) for part in pair] != [str, bytes]:
        raise FormatError("a recovery key is a list of two: algorithm, key")
    return PublicKey(algorithm_named(pair[0]), pair[1])


def check_ranges(keys: Sequence[KeyRecord]) -> None:
    """FormatError unless there is a key, every range runs forward, and each ends before the next begins."""
    if not keys:
        raise FormatError("an identity has at least one key")
    for record, following in zip(keys, [*keys[1:], None], strict=True):
        end = record.until
        if record.from_index < 0 or (end is not None and end < record.from_index):
            raise FormatError(f"a key's range must run forward from 0, got {record.from_index} to {end}")
        if record.doubt and record.doubt.since < record.from_index:
            raise FormatError(f"a key is in doubt within its range, got from {record.doubt.since} on")
        if following is not None and (end is None or end > following.from_index):
            raise FormatError(f"key ranges overlap: one ends at {end}, the next begins at {following.from_index}")
