"""Records of the contract's logs: registration, anchored checkpoint, fork evidence, and anchor's answer."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from chaincode.state import digest, encoded, fields, number
from crypto import cbor
from crypto.errors import FormatError
from crypto.merkle import HASH_BYTES, MAX_TREE_SIZE
from crypto.note import VerifierKey

_LOG = frozenset(range(1, 5))
_ROTATED = frozenset(range(1, 6))
_ANCHORED = frozenset(range(1, 8))
_FORK = frozenset(range(1, 8))
_ANSWER = frozenset(range(1, 5))


@dataclass(frozen=True, slots=True)
class FormerKeys:
    """The kids of keys that all signed a log's checkpoints up to size `until`, that one included, and none since."""

    until: int
    kids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A registered log: its origin, the identity that may anchor it, the vkeys that must all sign, and those that
    did before, oldest first."""

    origin: str
    owner: str
    vkeys: tuple[VerifierKey, ...]
    former: tuple[FormerKeys, ...] = ()

    def encode(self) -> bytes:
        values: list[cbor.CborValue] = [self.origin, self.owner, [str(vkey) for vkey in self.vkeys]]
        if self.former:
            values.append([[before.until, list(before.kids)] for before in self.former])
        return encoded(*values)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _LOG, "log record", _ROTATED)
        vkeys = cbor.field(item, 4, list, "vkeys")
        if not all(type(vkey) is str for vkey in vkeys):
            raise FormatError("vkeys of a log record must be text")
        origin, owner = cbor.field(item, 2, str, "origin"), cbor.field(item, 3, str, "owner")
        former = tuple(map(_former, cbor.field(item, 5, list, "former keys"))) if 5 in item else ()
        return cls(origin, owner, tuple(map(VerifierKey.parse, vkeys)), former)


def _former(pair: Any) -> FormerKeys:
    if type(pair) is not list or [type(part) for part in pair] != [int, list] or not 0 <= pair[0] <= MAX_TREE_SIZE:
        raise FormatError("former keys of a log are a list of a size and of kids")
    if not all(type(kid) is bytes and len(kid) == HASH_BYTES for kid in pair[1]):
        raise FormatError(f"a kid has {HASH_BYTES} bytes")
    return FormerKeys(pair[0], tuple(pair[1]))


@dataclass(frozen=True, slots=True)
class AnchoredCheckpoint:
    """A checkpoint the contract accepted, the note it came in, and its transaction. Of a log that was never
    anchored the note is empty, the size 0, and the transaction its registration. Time in µs since 1970."""

    origin: str
    size: int
    root: bytes
    note: str
    anchored_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(self.origin, self.size, self.root, self.note, self.anchored_us, self.tx_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _ANCHORED, "anchored checkpoint")
        return cls(
            cbor.field(item, 2, str, "origin"), number(item, 3, "tree size"), digest(item, 4, "root"),
            cbor.field(item, 5, str, "note"), number(item, 6, "time"), cbor.field(item, 7, str, "transaction id"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForkRecord:
    """Proof that a log signed two roots for one size: the note that was anchored, the note that was refused,
    and the time (µs since 1970) and transaction of the refusal."""

    origin: str
    size: int
    anchored_note: str
    refused_note: str
    refused_us: int
    tx_id: str

    def encode(self) -> bytes:
        return encoded(self.origin, self.size, self.anchored_note, self.refused_note, self.refused_us, self.tx_id)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _FORK, "fork record")
        return cls(
            cbor.field(item, 2, str, "origin"), number(item, 3, "tree size"), cbor.field(item, 4, str, "anchored note"),
            cbor.field(item, 5, str, "refused note"), number(item, 6, "time"),
            cbor.field(item, 7, str, "transaction id"),
        )  # fmt: skip


class AnchorStatus(StrEnum):
    """What `logs.anchor` did. FORK is a refusal that commits, because only so can the evidence be kept."""

    ANCHORED = "anchored"
    UNCHANGED = "unchanged"
    FORK = "fork"


_STATUSES = frozenset(AnchorStatus)


@dataclass(frozen=True, slots=True)
class AnchorAnswer:
    """Result of `logs.anchor`: the status, and size and root of the log's head after it."""

    status: AnchorStatus
    size: int
    root: bytes

    def encode(self) -> bytes:
        return encoded(str(self.status), self.size, self.root)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        item = fields(data, _ANSWER, "anchor answer")
        status = cbor.field(item, 2, str, "status")
        if status not in _STATUSES:
            raise FormatError(f"anchor status must be one of {', '.join(AnchorStatus)}, got {status[:20]!r}")
        return cls(AnchorStatus(status), number(item, 3, "tree size"), digest(item, 4, "root"))
