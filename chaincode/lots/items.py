"""Parts that several records and arguments of lots share: quantities of lots, positions in trees, choices, null.

Everything given here is untrusted; FormatError refuses what is not as it must be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, TypeVar

from chaincode.arguments import digest, text
from chaincode.evidence import check_hashes
from chaincode.state import MAX_NUMBER
from crypto import cbor
from crypto.errors import FormatError
from crypto.merkle import leaf_hash, verify_inclusion

MAX_QUANTITY_BYTES = 64
_MAX_POSITION_BYTES = 4096
_Choice = TypeVar("_Choice", bound=StrEnum)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Quantity:
    """How much of a lot: a count of packs, or of the unit in which a material is counted; from 1 to 2^63-1."""

    lot_id: bytes
    count: int

    def items(self) -> list[cbor.CborValue]:
        return [self.lot_id, self.count]

    def encode(self) -> bytes:
        return cbor.encode(self.items())

    @classmethod
    def of(cls, items: Any) -> Self:
        if type(items) is not list or [type(item) for item in items] != [bytes, int]:
            raise FormatError("a quantity is a list of lot id and count")
        if not 1 <= items[1] <= MAX_NUMBER:
            raise FormatError(f"a quantity is from 1 to 2^63-1, got {items[1]}")
        return cls(digest(items[0], "lot id"), items[1])


def ascending(ids: Sequence[bytes]) -> bool:
    """Each once, in ascending order."""
    return list(ids) == sorted({}.fromkeys(ids))


def quantities(found: Sequence[Quantity], most: int, what: str) -> tuple[Quantity, ...]:
    """At most so many, each lot once, in ascending order of the lots."""
    ids = [quantity.lot_id for quantity in found]
    if len(ids) > most or not ascending(ids):
        raise FormatError(f"{what} are at most {most} lots, each once, in ascending order of their ids")
    return tuple(found)


def listed(items: Any, most: int, what: str) -> tuple[Quantity, ...]:
    """The same in a record."""
    if type(items) is not list:
        raise FormatError(f"{what} must be a list")
    return quantities([Quantity.of(item) for item in items], most, what)


def given(arguments: Sequence[bytes], most: int, what: str) -> tuple[Quantity, ...]:
    """The same as arguments, each CBOR of its own."""
    return quantities([Quantity.of(cbor.decode(one, MAX_QUANTITY_BYTES)) for one in arguments], most, what)


@dataclass(frozen=True, slots=True)
class Position:
    """Where an id stands in a tree of ids, with its RFC 6962 inclusion proof: CBOR list of index and hashes."""

    index: int
    proof: tuple[bytes, ...]

    def encode(self) -> bytes:
        return cbor.encode([self.index, list(self.proof)])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        items = cbor.decode(data, _MAX_POSITION_BYTES)
        if type(items) is not list or [type(item) for item in items] != [int, list]:
            raise FormatError("a position in a tree is a list of index and inclusion hashes")
        check_hashes(items[1])
        return cls(items[0], tuple(items[1]))

    def require(self, member: bytes, size: int, root: bytes) -> None:
        """ProofError unless the id `member` stands here in the tree of `size` ids with this root."""
        verify_inclusion(leaf_hash(member), self.index, size, self.proof, root)


def optional(value: Any, read: Callable[[Any], _T]) -> _T | None:
    """What `read` makes of the value; None where there is null."""
    return None if value is None else read(value)


def choice(kind: type[_Choice], value: Any, what: str) -> _Choice:
    """One of an enumeration's values, in a record."""
    for known in kind:
        if type(value) is str and value == known.value:
            return known
    raise FormatError(f"{what} must be one of {', '.join(kind)}, got {str(value)[:20]!r}")


def organisation(value: Any) -> str:
    """The name of an organisation, in a record."""
    if type(value) is not str or not value or "!" in value:
        raise FormatError("an organisation is text without a `!`")
    return text(value.encode(), "organisation")


def when(items: Any, what: str, *kinds: type) -> list[Any]:
    """A list of the given types that ends with a time and a transaction id."""
    if type(items) is not list or [type(item) for item in items] != [*kinds, int, str]:
        raise FormatError(f"{what} is null or a list of {len(kinds) + 2} that ends with time and transaction id")
    if not 0 <= items[-2] <= MAX_NUMBER:
        raise FormatError(f"{what} has a time from 0 to 2^63-1")
    return items
